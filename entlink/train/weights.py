"""Fitting the weights of the decision's models: log-linear ones, and the small one of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from entlink.coherence import N_HIDDEN, Coherence
from entlink.errors import InputError

Row = tuple[NDArray[np.float64], NDArray[np.float64], int]

_RATE, _DECAY, _EPOCHS, _BATCH = 1e-2, 0.3, 60, 256
_NOTHING = "no held-out mention has its entity among the candidates; give more texts"


@dataclass(frozen=True, slots=True)
class _Lists:
    """Mentions with their candidates' features, padded to the longest list."""

    x: Tensor  # (n, width, f)
    is_candidate: Tensor  # (n, width)
    nil: Tensor  # (n, f of NIL)
    gold: Tensor  # (n,) place of the true one, width for NIL
    weights: Tensor  # (n,) of the mentions, their mean is one

    @classmethod
    def of(cls, rows: Sequence[Row], weights: Sequence[float] | None) -> _Lists:
        if not rows:
            raise InputError(_NOTHING)
        width = max(len(x) for x, _, _ in rows)
        x = torch.zeros(len(rows), width, rows[0][0].shape[1], dtype=torch.float64)
        is_candidate = torch.zeros(len(rows), width, dtype=torch.bool)
        for i, (features, _, _) in enumerate(rows):
            x[i, : len(features)] = torch.from_numpy(features)
            is_candidate[i, : len(features)] = True
        nil = torch.from_numpy(np.stack([n for _, n, _ in rows]))
        gold = torch.tensor([width if place == len(f) else place for f, _, place in rows])
        share = torch.ones(len(rows), dtype=torch.float64)
        if weights is not None:
            share = torch.tensor(weights, dtype=torch.float64)
        return cls(x, is_candidate, nil, gold, share / share.mean())

    def loss(self, scores: Tensor, nil: Tensor, some: Tensor) -> Tensor:
        """Mean negative log-likelihood of the gold places of some mentions."""
        scores = scores.masked_fill(~self.is_candidate[some], float("-inf"))
        joined = torch.cat([scores, nil[:, None]], dim=1)
        losses = functional.cross_entropy(joined, self.gold[some], reduction="none")
        return (losses * self.weights[some]).mean()


def fit_weights(
    rows: Sequence[Row], weights: Sequence[float] | None = None, *, penalty: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Maximum likelihood of the gold place under a softmax of linear scores, by L-BFGS."""
    lists = _Lists.of(rows, weights)
    w = torch.zeros(lists.x.shape[2], dtype=torch.float64, requires_grad=True)
    v = torch.zeros(lists.nil.shape[1], dtype=torch.float64, requires_grad=True)
    every = torch.arange(len(rows))

    def loss() -> Tensor:
        fit = lists.loss(lists.x @ w, lists.nil @ v, every)
        return fit + penalty * ((w**2).sum() + (v**2).sum())

    _minimise(loss, [w, v])
    return tuple(w.tolist()), tuple(v.tolist())


def _minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def fit_coherence(
    rows: Sequence[Row], weights: Sequence[float] | None = None, *, seed: int = 0
) -> Coherence:
    """The model of the document pass, by AdamW over features brought to one scale."""
    torch.manual_seed(seed)
    lists = _Lists.of(rows, weights)
    real = lists.x[lists.is_candidate]
    if not len(real):
        raise InputError(_NOTHING)
    mean, scale = real.mean(0), real.std(0, correction=0) + 1e-3
    x = (lists.x - mean) / scale
    f = x.shape[2]
    linear, out = (torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in (f, N_HIDDEN))
    nil = torch.zeros(lists.nil.shape[1], dtype=torch.float64, requires_grad=True)
    inner = torch.nn.Linear(f, N_HIDDEN, dtype=torch.float64)
    optimizer = torch.optim.AdamW(
        [linear, out, nil, *inner.parameters()], lr=_RATE, weight_decay=_DECAY
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-3, total_iters=_EPOCHS)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(rows))
        for begin in range(0, len(rows), _BATCH):
            some = order[begin : begin + _BATCH]
            scores = x[some] @ linear + torch.tanh(inner(x[some])) @ out
            optimizer.zero_grad()
            lists.loss(scores, lists.nil[some] @ nil, some).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()
    with torch.no_grad():  # undo the scaling; NIL's bias takes the shift of all candidates
        nil[0] += (linear * mean / scale).sum()
        bias = inner.bias - (inner.weight * (mean / scale)).sum(1)
        parts = (linear / scale, (inner.weight / scale).T.flatten(), bias, out, nil)
        return Coherence(*(tuple(part.tolist()) for part in parts))
