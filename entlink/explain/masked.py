"""What the reranker's vectors stand for, read by a masked-language head."""

from __future__ import annotations

from pathlib import Path

import torch

from entlink.encode.masked import FILE, MaskedHead, token_logits, top_tokens
from entlink.explain.result import VectorReading
from entlink.explain.scoring import NIL_PLACE, Base, Scorer
from entlink.explain.tokens import pair_tokens, torch_model
from entlink.inputs import pair_context_of, pair_entity
from entlink.rerank.cross_encoder import pad_pairs

_LOW = 0.05  # words of the input that rank below this share of the vocabulary are forgotten
_MOST = 12  # forgotten words that are told


def head_folder(linker: Scorer, given: str | Path | None) -> Path | None:
    """Where the head is: the folder given, else the bundle's reranker if one lies beside it."""
    own = linker.bundle.path / "reranker"
    return Path(given) if given else own if (own / FILE).is_file() else None


@torch.inference_mode()
def pair_readings(
    linker: Scorer, base: Base, folder: Path, n_words: int
) -> tuple[VectorReading, ...]:
    """The last layer's vectors at [CLS], at the mention's mark and at the entity's mark.

    Of the pair of the answer, or of its rival where the answer is NIL. BundleError if the head is
    not one for this reranker.
    """
    place = base.answer if base.answer != NIL_PLACE else base.rival
    if linker.reranker is None or place == NIL_PLACE:
        return ()
    model, pairs = torch_model(linker), linker.reranker.pairs
    head = MaskedHead.load(folder, model.config).to(next(model.parameters()).device)
    entity = pair_entity(base.entities[place])
    first, second = pair_tokens(pairs, pair_context_of(base.window.item), entity)
    device = head.bias.device
    batch = pad_pairs([[t.id for t in first]], [[t.id for t in second]])
    logits = token_logits(model.bert, head, *(tensor.to(device) for tensor in batch))[0].cpu()
    tokens = [*first, *second]
    marks = [i for i, token in enumerate(tokens) if token.side == "mark"]
    whole = [token.id for token in tokens if token.side != "mark"]
    entity_mark = next(i for i in marks if i >= len(first))
    places = {"[CLS]": 0, "mention mark": marks[1], "entity mark": entity_mark}
    names = pairs.tokenizer.id_to_token
    return tuple(
        _reading(f"reranker, {of}", logits[at], whole, n_words, names) for of, at in places.items()
    )


def _reading(
    of: str, logits: torch.Tensor, own: list[int], n_words: int, names: object
) -> VectorReading:
    assert callable(names)
    order = torch.argsort(logits, descending=True, stable=True).tolist()
    rank = {token: i for i, token in enumerate(order, start=1)}
    ranks = {str(names(token)): rank[token] for token in dict.fromkeys(own)}
    words = [(str(names(token)), share) for token, share in top_tokens(logits, n=n_words)]
    low = sorted((w for w in ranks if ranks[w] > _LOW * len(order)), key=lambda w: -ranks[w])
    return VectorReading(
        of=of,
        words=tuple(words),
        expansion=tuple(word for word, _ in words if word not in ranks),
        ranks=ranks,
        amnesia=tuple(low[:_MOST]),
        n_words=len(order),
    )
