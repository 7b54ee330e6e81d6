"""Each loss against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.train.losses import binary, in_batch_softmax, list_or_nil, triplet

Scores = list[list[float]]
numbers = st.floats(-8, 8, width=32)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Scores, list[int], list[int]]:
    """Scores of n mentions over m columns, their entities, and those of the columns."""
    n = draw(st.integers(1, 5))
    gold = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    others = draw(st.lists(st.integers(0, 5), max_size=4))
    m = n + len(others)
    scores = [draw(st.lists(numbers, min_size=m, max_size=m)) for _ in range(n)]
    return scores, gold, [*gold, *others]


@settings(max_examples=200, deadline=None)
@given(batches())
def test_in_batch_softmax(batch: tuple[Scores, list[int], list[int]]) -> None:
    scores, gold, columns = batch
    total = 0.0
    for i in range(len(gold)):
        rivals = 0.0
        for j in range(len(columns)):
            if j == i or columns[j] != gold[i]:  # the same entity is no negative of itself
                rivals += math.exp(scores[i][j])
        total -= scores[i][i] - math.log(rivals)
    found = in_batch_softmax(torch.tensor(scores), torch.tensor(gold), torch.tensor(columns))
    assert found.item() == pytest.approx(total / len(gold), abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(batches(), st.integers(0, 16))
def test_triplet(batch: tuple[Scores, list[int], list[int]], eighths: int) -> None:
    scores, gold, columns = batch
    scores = [[round(8 * score) / 8 for score in row] for row in scores]
    margin = eighths / 8 + 1 / 16  # all exact in binary, and no loss is zero by a hair
    losses = []
    for i in range(len(gold)):
        for j in range(len(columns)):
            loss = margin - scores[i][i] + scores[i][j]
            if columns[j] != gold[i] and loss > 0:
                losses.append(loss)
    found = triplet(
        torch.tensor(scores), torch.tensor(gold), torch.tensor(columns), margin=margin
    ).item()
    assert found == pytest.approx(np.mean(losses) if losses else 0.0, abs=1e-4)


@st.composite
def candidate_lists(draw: st.DrawFn) -> tuple[list[list[float]], list[int]]:
    """Logits of each list's candidates (at least one in all), and the gold place or -1."""
    lists = draw(
        st.lists(st.lists(numbers, max_size=5), min_size=1, max_size=5).filter(
            lambda many: any(many)
        )
    )
    gold = [draw(st.integers(-1, len(logits) - 1)) for logits in lists]
    return lists, gold


def padded(lists: list[list[float]], gold: list[int]) -> tuple[torch.Tensor, ...]:
    width = max(len(logits) for logits in lists)
    scores = torch.full((len(lists), width), 7.0)  # what stands in the padding must not matter
    is_candidate = torch.zeros(len(lists), width, dtype=torch.bool)
    for i, logits in enumerate(lists):
        scores[i, : len(logits)] = torch.tensor(logits)
        is_candidate[i, : len(logits)] = True
    return scores, is_candidate, torch.tensor([width if place < 0 else place for place in gold])


@settings(max_examples=200, deadline=None)
@given(candidate_lists())
def test_list_or_nil(case: tuple[list[list[float]], list[int]]) -> None:
    lists, gold = case
    total = 0.0
    for logits, place in zip(lists, gold, strict=True):
        powers = [math.exp(logit) for logit in logits]
        right = 1.0 if place < 0 else powers[place]  # NIL's logit is zero
        total -= math.log(right / (sum(powers) + 1.0))
    assert list_or_nil(*padded(lists, gold)).item() == pytest.approx(total / len(lists), abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(candidate_lists())
def test_binary(case: tuple[list[list[float]], list[int]]) -> None:
    lists, gold = case
    losses = []
    for logits, place in zip(lists, gold, strict=True):
        for i, logit in enumerate(logits):
            probability = 1 / (1 + math.exp(-logit))
            losses.append(-math.log(probability if i == place else 1 - probability))
    assert binary(*padded(lists, gold)).item() == pytest.approx(np.mean(losses), abs=1e-4)


@pytest.mark.parametrize("loss", [list_or_nil, binary])
def test_no_gradient_reaches_the_padding(loss: object) -> None:
    scores, is_candidate, gold = padded([[1.0, 2.0, 3.0], [0.5], []], [0, -1, -1])
    scores.requires_grad_()
    (list_or_nil if loss is list_or_nil else binary)(scores, is_candidate, gold).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert (scores.grad[~is_candidate] == 0).all()
    assert (scores.grad[is_candidate] != 0).all()
