"""A BERT reads the mention in its context, and what it makes of it is added to the bag's vector.

A bag of n-grams knows names and hardly sees what a context means: that a report is on football, so
that "Leeds" is the club. The BERT sees that. It is the context encoder of Gillick et al. (2019)
with another text encoder, on the mention's side alone: entities keep vectors of bags, so those of
a new KB are made as quickly as ever, and the same vectors are searched with or without a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import Bert
from entlink.eightbit import EightBit, export
from entlink.encode.features import Ragged
from entlink.encode.tokens import padded
from entlink.errors import ConfigError
from entlink.inputs import MentionInput

if TYPE_CHECKING:
    from entlink.encode.dual import DualEncoder

_GROUP = 16  # sequences of like length that are read together
_GPU_GROUP = 256


class ContextReader(nn.Module):
    """Mentions in context to vectors that are added to those of the bag."""

    def __init__(self, bert: Bert, *, marks: tuple[int, int], vector: int) -> None:
        """``marks`` are the tokens before and after the span. Begins by adding nothing."""
        super().__init__()
        size = bert.config.hidden_size
        self.bert = bert
        self.hidden = nn.Linear(2 * size, size)
        self.out = nn.Linear(size, vector, bias=False)
        nn.init.zeros_(self.out.weight)
        self.bf16 = False  # products in bfloat16
        self.quick: EightBit | None = None  # the same in eight bits, used where nothing is trained
        self._marks = marks

    def forward(self, sequences: Ragged) -> Tensor:
        """(n sequences of tokens) -> (n, vector); zero for one without tokens, an unread mention.

        The mean over the span with its marks, and the first token, through two layers.
        """
        device = self.out.weight.device
        lengths = np.diff(sequences.offsets)
        read = np.flatnonzero(lengths > 0)
        order = read[np.argsort(lengths[read], kind="stable")]
        vectors = torch.zeros(len(sequences), self.out.weight.shape[0], device=device)
        group = _GROUP if device.type == "cpu" else _GPU_GROUP
        parts = [
            self._read(sequences.take(order[begin : begin + group]).rows())
            for begin in range(0, len(order), group)
        ]
        if not parts:
            return vectors
        places = torch.from_numpy(order).to(device)
        return vectors.index_copy(0, places, torch.cat(parts))

    def _read(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        device = self.out.weight.device
        found = padded(sequences)
        begin, end = self._marks
        in_span = np.zeros(found[0].shape, dtype=np.float32)
        for row, tokens in zip(in_span, sequences, strict=True):
            row[tokens.index(begin) : tokens.index(end) + 1] = 1.0
        ids, is_token, spans = (torch.from_numpy(a).to(device) for a in (*found, in_span))
        if self.quick is not None and not torch.is_grad_enabled():
            quick = self.quick.run(ids, spans, is_token)
            if quick is not None:
                return quick
        return self.added(ids, spans, is_token)

    def added(self, ids: Tensor, spans: Tensor, is_token: Tensor) -> Tensor:
        """What is added for each sequence, (n, vector).

        ids, spans, is_token: (n, length); spans is 1 on the span and its marks, else 0.
        """
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.bf16):
            x = self.bert(ids, torch.zeros_like(ids), is_token)
        x = x.float()
        means = (spans[:, :, None] * x).sum(dim=1) / spans.sum(dim=1, keepdim=True)
        joined = torch.cat([means, x[:, 0]], dim=1)
        found: Tensor = self.out(functional.gelu(self.hidden(joined)))
        return found


class _Added(nn.Module):
    """The reader as a module of tensors alone."""

    def __init__(self, reader: ContextReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, ids: Tensor, spans: Tensor, is_token: Tensor) -> Tensor:
        return self.reader.added(ids, spans, is_token)


def export_reader(reader: ContextReader, file: Path) -> None:
    """Write the reader's eight-bit version (see ``eightbit.export``)."""
    ones = torch.ones(2, 4, dtype=torch.long)
    export(_Added(reader), (ones, ones.float(), ones.bool()), file)


@dataclass(frozen=True, slots=True)
class ReaderComparison:
    """How near mentions' vectors are to those in single precision."""

    n_mentions: int
    mean_cosine: float
    min_cosine: float

    def check(self) -> None:
        """ConfigError if they are further than eight bits should be."""
        if self.min_cosine < MIN_COSINE:
            raise ConfigError(
                "the eight-bit reader of contexts is too far from single precision: the vector of "
                f"a mention has a cosine of {self.min_cosine:.3f} with its own (allowed: "
                f"{MIN_COSINE}); use --backend torch"
            )


MIN_COSINE = 0.98


def compare_reader(
    encoder: DualEncoder, quick: EightBit, contexts: Sequence[tuple[str, str, str]]
) -> ReaderComparison:
    """Encode mentions in (left, span, right) contexts with and without eight bits."""
    reader = encoder.reader
    assert reader is not None
    mentions = [MentionInput(span, left, right, "", "") for left, span, right in contexts]
    before, reader.quick = reader.quick, None
    try:
        exact = encoder.encode_mentions(mentions)
        reader.quick = quick
        cosines = (exact * encoder.encode_mentions(mentions)).sum(axis=1)
    finally:
        reader.quick = before
    return ReaderComparison(len(mentions), float(cosines.mean()), float(cosines.min()))
