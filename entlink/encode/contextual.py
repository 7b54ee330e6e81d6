"""A BERT reads the mention in its context, and what it makes of it is added to the bag's vector.

A bag of n-grams knows names and hardly sees what a context means: that a report is on football, so
that "Leeds" is the club. The BERT sees that. It is the context encoder of Gillick et al. (2019)
with another text encoder, on the mention's side alone: entities keep vectors of bags, so those of
a new KB are made as quickly as ever, and the same vectors are searched with or without a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import Bert
from entlink.encode.features import Ragged
from entlink.encode.tokens import padded

_GROUP = 16  # sequences of like length that are read together


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
        parts = [
            self._read(_rows(sequences.take(order[begin : begin + _GROUP])))
            for begin in range(0, len(order), _GROUP)
        ]
        if not parts:
            return vectors
        places = torch.from_numpy(order).to(device)
        return vectors.index_copy(0, places, torch.cat(parts))

    def _read(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        device = self.out.weight.device
        ids, is_token = (torch.from_numpy(array).to(device) for array in padded(sequences))
        begin, end = self._marks
        spans = torch.zeros(ids.shape, device=device)
        for row, tokens in zip(spans, sequences, strict=True):
            row[tokens.index(begin) : tokens.index(end) + 1] = 1.0
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            x = self.bert(ids, torch.zeros_like(ids), is_token)
        x = x.float()
        means = (spans[:, :, None] * x).sum(dim=1) / spans.sum(dim=1, keepdim=True)
        joined = torch.cat([means, x[:, 0]], dim=1)
        found: Tensor = self.out(functional.gelu(self.hidden(joined)))
        return found


def _rows(texts: Ragged) -> list[list[int]]:
    ids, offsets = texts.ids.tolist(), texts.offsets.tolist()
    return [ids[a:b] for a, b in pairwise(offsets)]
