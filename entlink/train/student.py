"""A smaller reranker that learns from a larger one.

It begins as some of the larger one's layers (Sanh et al. 2019, DistilBERT), and its probabilities
over a mention's candidates and NIL aim at the teacher's (probability matching, Menon et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from entlink.errors import ConfigError
from entlink.rerank.bert import BertClassifier


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """The table ``[student]`` of the reranker's config file."""

    teacher: Path  # a reranker's folder; often the ``base`` too
    scores: Path  # a folder where candidates and the teacher's scores are kept
    layers: int = 3  # kept of the base
    weight: float = 0.7  # of the teacher's probabilities in the loss; the rest is the labels'
    backend: str = "auto"  # what computes the teacher: torch, bf16, openvino

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
