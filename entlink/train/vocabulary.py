"""A smaller vocabulary for a BERT: word pieces that the texts at hand hardly use are dropped.

Words that contained them are split into smaller pieces that stay; every single character stays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import torch
from tokenizers import Tokenizer
from torch import nn

from entlink.rerank.bert import BertClassifier

_N_MARKS = 8  # [unused...] entries kept, for marks in the text
_BATCH = 2000  # texts


def prune_vocabulary(
    model: BertClassifier, tokenizer: Tokenizer, texts: Iterable[str], *, size: int
) -> tuple[BertClassifier, Tokenizer]:
    """The same model over the ``size`` most used word pieces of ``texts``, and its tokenizer.

    More than ``size`` stay only if there are more single characters and special tokens. ``model``
    is changed in place; both tokenizers lose truncation and padding.
    """
    raw = json.loads(tokenizer.to_str())
    old: dict[str, int] = raw["model"]["vocab"]
    counts = _piece_counts(tokenizer, texts)
    kept = {piece for piece in old if _always(piece)}
    others = sorted(old.keys() - kept, key=lambda piece: (-counts[old[piece]], old[piece]))
    kept.update(others[: max(0, size - len(kept))])
    rows = [row for piece, row in sorted(old.items(), key=lambda item: item[1]) if piece in kept]
    place = {row: new for new, row in enumerate(rows)}
    raw["model"]["vocab"] = {piece: place[row] for piece, row in old.items() if piece in kept}
    for special in raw.get("added_tokens", []):
        special["id"] = place[special["id"]]
    raw["post_processor"] = None  # the pair text brings its own [CLS] and [SEP]
    raw["truncation"] = raw["padding"] = None
    weight = model.bert.embeddings.word_embeddings.weight.detach()[torch.tensor(rows)]
    model.bert.embeddings.word_embeddings = nn.Embedding(len(rows), weight.shape[1], _weight=weight)
    model.config = replace(model.config, vocab_size=len(rows))
    return model, Tokenizer.from_str(json.dumps(raw))


def shorten(model: BertClassifier, *, positions: int) -> BertClassifier:
    """The same model for sequences of at most so many tokens."""
    weight = model.bert.embeddings.position_embeddings.weight.detach()[:positions].clone()
    model.bert.embeddings.position_embeddings = nn.Embedding(
        len(weight), weight.shape[1], _weight=weight
    )
    model.config = replace(model.config, max_position_embeddings=len(weight))
    return model


def _piece_counts(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            counts.update(_ids(tokenizer, batch))
            batch = []
    counts.update(_ids(tokenizer, batch))
    return counts


def _ids(tokenizer: Tokenizer, batch: list[str]) -> Iterable[int]:
    for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
        yield from encoding.ids


def _always(piece: str) -> bool:
    if piece.startswith("[unused"):
        return int(piece[7:-1]) < _N_MARKS
    return (piece.startswith("[") and piece.endswith("]")) or len(piece.removeprefix("##")) == 1
