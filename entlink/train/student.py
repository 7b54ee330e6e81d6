"""A smaller reranker that learns from a larger one.

It begins as some of the larger one's layers (Sanh et al. 2019, DistilBERT), and its probabilities
over a mention's candidates and NIL aim at the teacher's (probability matching, Menon et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from entlink.errors import ConfigError
from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, pad_pairs


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """The table ``[student]`` of the reranker's config file."""

    teacher: Path  # a reranker's folder; often the ``base`` too
    layers: int = 3  # kept of the base
    weight: float = 0.7  # of the teacher's probabilities in the loss; the rest is the labels'

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ConfigError(f"layers is {self.layers}; it must be at least 1")
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"weight is {self.weight}; it must be from 0 to 1")


def keep_layers(model: BertClassifier, *, n: int) -> BertClassifier:
    """The same model with ``n`` of its layers, from the first to the last at even distances.

    With n = 1 the last stays. ``model`` is changed in place; ConfigError if it has fewer.
    """
    layers = cast(nn.ModuleList, model.bert.encoder["layer"])
    if n > len(layers):
        raise ConfigError(f"layers is {n}, but the base has {len(layers)}; keep at most those")
    last = len(layers) - 1
    kept = [round(i * last / (n - 1)) for i in range(n)] if n > 1 else [last]
    model.bert.encoder["layer"] = nn.ModuleList(layers[i] for i in kept)
    model.config = replace(model.config, num_hidden_layers=n)
    return model


class Teacher:
    """A trained reranker, asked about the same pairs that the student reads."""

    def __init__(
        self,
        encoder: CrossEncoder,
        first: Sequence[Sequence[int]],
        second: Sequence[Mapping[int, Sequence[int]]],
    ) -> None:
        """Its token ids: the mention's half of each list; by KB row, the entity's in each view."""
        encoder.model.eval()
        self.encoder = encoder
        self._first = first
        self._second = second

    @torch.no_grad()
    def logits(self, lists: Sequence[tuple[int, Sequence[int]]], *, view: int) -> Tensor:
        """(index of the list, KB rows) -> the logits of all pairs, one list after the other."""
        pairs = [
            (self._first[index], self._second[view][row]) for index, rows in lists for row in rows
        ]
        return self.encoder.logits(*pad_pairs([a for a, _ in pairs], [b for _, b in pairs]))


def match_probabilities(scores: Tensor, is_candidate: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of the student's softmax under the teacher's, over the candidates and NIL.

    scores, teacher: (n, k) logits, NIL's being zero. is_candidate: (n, k), False for padding. The
    mean over the n lists.
    """
    nil = torch.zeros_like(scores[:, :1])
    absent = torch.cat([~is_candidate, torch.zeros_like(is_candidate[:, :1])], dim=1)
    student = torch.cat([scores, nil], dim=1).masked_fill(absent, float("-inf"))
    target = torch.cat([teacher, nil], dim=1).masked_fill(absent, float("-inf")).softmax(dim=1)
    logs = student.log_softmax(dim=1).masked_fill(absent, 0.0)
    return -(target * logs).sum(dim=1).mean()
