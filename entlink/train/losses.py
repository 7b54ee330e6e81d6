"""Losses as pure functions of scores; each is tested against a plain double loop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def in_batch_softmax(scores: Tensor, gold: Tensor, entity: Tensor) -> Tensor:
    """Softmax over the entities in the batch (Gillick et al. 2019, section 3).

    scores: (n mentions, m columns), scaled cosines; column i is mention i's gold entity for i < n,
    the rest are negatives. gold: (n,) entity of each mention. entity: (m,) entity of each column.
    Other columns that hold the same entity as the gold one are no negatives: they are masked.
    """
    n = len(scores)
    same = gold[:, None] == entity[None, :]
    own = torch.zeros_like(same)
    own.fill_diagonal_(True)
    return functional.cross_entropy(
        scores.masked_fill(same & ~own, float("-inf")), torch.arange(n, device=scores.device)
    )


def triplet(cosines: Tensor, gold: Tensor, entity: Tensor, *, margin: float) -> Tensor:
    """Every wrong column should be at least ``margin`` below the gold one.

    Shapes as above. The mean of margin - gold + wrong over the pairs of a mention and a wrong
    column where that is positive ("batch all" of Hermans et al. 2017); zero if there is none.
    """
    n = len(cosines)
    wrong = gold[:, None] != entity[None, :]
    own = cosines.diagonal()[:n, None]  # (n, 1)
    losses = (margin - own + cosines).clamp_min(0.0) * wrong
    return losses.sum() / (losses > 0).sum().clamp_min(1)


def list_or_nil(scores: Tensor, is_candidate: Tensor, gold: Tensor) -> Tensor:
    """Softmax over one mention's candidates and NIL, whose score is fixed at zero.

    scores: (n, k) logits. is_candidate: (n, k), False for padding. gold: (n,) the place of the true
    candidate, or k for "none of these". Makes a logit's sign say whether the pair beats NIL.
    """
    nil = torch.zeros_like(scores[:, :1])
    joined = torch.cat([scores.masked_fill(~is_candidate, float("-inf")), nil], dim=1)
    return functional.cross_entropy(joined, gold)


def binary(scores: Tensor, is_candidate: Tensor, gold: Tensor) -> Tensor:
    """Is this pair the true link? Cross-entropy of each pair (Agarwal and Bikel 2020).

    Shapes as above; the mean over the candidates of all lists.
    """
    target = torch.zeros(len(scores), scores.shape[1] + 1, device=scores.device)
    target[torch.arange(len(scores)), gold] = 1.0
    loss = functional.binary_cross_entropy_with_logits(scores, target[:, :-1], reduction="none")
    return loss[is_candidate].mean()
