"""Which tokens of a pair the cross-encoder's logit hangs on: gradient x input, of every token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from entlink.explain.parts import Window
from entlink.explain.result import TokenWeight
from entlink.explain.scoring import Base, Scorer
from entlink.inputs import cut_entity, cut_mention, pair_context_of, pair_entity
from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, PairTokenizer, pad_pairs


@dataclass(frozen=True, slots=True)
class PairToken:
    """A token of a pair and where it stands in the part of the pair that it is of."""

    id: int
    side: str  # left, span, right, name, description, or mark
    start: int  # character offset in that part, inclusive; 0 for marks
    end: int


def token_weights(linker: Scorer, base: Base) -> tuple[TokenWeight, ...]:
    """The tokens of the pair of the answer, or of the rival where only that was read."""
    logits = base.scores.logits
    signed = [(place, 1.0 if place == base.answer else -1.0) for place in base.watched()]
    signed = [(place, sign) for place, sign in signed if np.isfinite(logits[place])]
    if linker.reranker is None or not signed:
        return ()
    context = pair_context_of(base.window.item)
    texts = [pair_entity(base.entities[place]) for place, _ in signed]
    halves = [pair_tokens(linker.reranker.pairs, context, text) for text in texts]
    model = torch_model(linker)
    weights = gradient_times_input(
        model, [[t.id for t in a] for a, _ in halves], [[t.id for t in b] for _, b in halves]
    )
    first, second = halves[0]
    total = np.zeros(len(first) + len(second))
    for (_, sign), row in zip(signed, weights, strict=True):
        total[: len(first)] += sign * row[: len(first)]  # the context stands in both pairs
    total[len(first) :] = signed[0][1] * weights[0][len(first) : len(total)]
    names = linker.reranker.pairs.tokenizer.id_to_token
    return tuple(
        TokenWeight(names(token.id) or "", token.side, *_in_text(base.window, token), float(w))
        for token, w in zip([*first, *second], total, strict=True)
    )


def pair_tokens(
    pairs: PairTokenizer, context: tuple[str, str, str], entity: tuple[str, str]
) -> tuple[list[PairToken], list[PairToken]]:
    """The two halves as `PairTokenizer` makes them, each token with its place."""
    (first,), (second,) = pairs.mentions([context]), pairs.entities([entity])
    config = pairs.config
    left, span, right = cut_mention(
        *(_encoded(pairs, part) for part in context),
        n_span=config.span_tokens,
        n=config.context_tokens,
        n_head=config.head_tokens,
    )
    name, description = cut_entity(
        *(_encoded(pairs, part) for part in entity),
        n_name=config.name_tokens,
        n=config.entity_tokens,
    )
    n_left, n_span, n_name = len(left), len(span), len(name)
    one = [
        PairToken(first[0], "mark", 0, 0),
        *(PairToken(i, "left", a, b) for i, a, b in left),
        PairToken(first[1 + n_left], "mark", 0, 0),
        *(PairToken(i, "span", a, b) for i, a, b in span),
        PairToken(first[2 + n_left + n_span], "mark", 0, 0),
        *(PairToken(i, "right", a, b) for i, a, b in right),
        PairToken(first[-1], "mark", 0, 0),
    ]
    two = [
        *(PairToken(i, "name", a, b) for i, a, b in name),
        PairToken(second[n_name], "mark", 0, 0),
        *(PairToken(i, "description", a, b) for i, a, b in description),
        PairToken(second[-1], "mark", 0, 0),
    ]
    return one, two


def gradient_times_input(
    model: BertClassifier, first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """For each pair the product of each token's embedding with the logit's gradient by it.

    Summed over the embedding's dimensions (Shrikumar et al. 2016); one number a token.
    """
    embedded: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_(True)
        embedded.append(leaf)
        return leaf

    device = next(model.parameters()).device
    model.eval()
    hook = model.bert.embeddings.word_embeddings.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            batch = [tensor.to(device) for tensor in pad_pairs(first, second)]
            logits = model(*batch)
            (gradient,) = torch.autograd.grad(logits.sum(), embedded[0])
    finally:
        hook.remove()
    products = (gradient * embedded[0].detach()).sum(dim=2).double().cpu().numpy()
    lengths = [len(a) + len(b) for a, b in zip(first, second, strict=True)]
    return [row[:length] for row, length in zip(products, lengths, strict=True)]


def _encoded(pairs: PairTokenizer, text: str) -> list[tuple[int, int, int]]:
    """(id, start, end) of each token of a text."""
    encoding = pairs.tokenizer.encode(text, add_special_tokens=False)
    return [(i, *place) for i, place in zip(encoding.ids, encoding.offsets, strict=True)]


def _in_text(window: Window, token: PairToken) -> tuple[int | None, int | None]:
    """The token's place in the text; None where it is not of it."""
    if token.side == "left":
        start, last = (window.pair_left[place] for place in (token.start, token.end - 1))
        return (None, None) if start is None or last is None else (start, last + 1)
    if token.side == "right":
        return window.mention.end + token.start, window.mention.end + token.end
    if token.side == "span" and not window.mention.full_name:
        return window.mention.start + token.start, window.mention.start + token.end
    return None, None


def torch_model(linker: Scorer) -> BertClassifier:
    """The reranker's model in PyTorch, whatever computes it in use: only PyTorch has gradients."""
    if isinstance(linker.reranker, CrossEncoder):
        return linker.reranker.model
    digest = linker.bundle.files.get("reranker/model.safetensors", "")
    return _loaded(linker.bundle.path / "reranker", str(digest))


@lru_cache(maxsize=1)
def _loaded(folder: Path, _digest: str) -> BertClassifier:
    return CrossEncoder.load(folder).model
