"""Each loss of distillation against plain loops over mentions and candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from entlink.train.distil_losses import LOSSES, m3se, margin_mse


@dataclass(frozen=True)
class Scored:
    """One mention's candidates: the student's scores, the teacher's, and which are true."""

    s: list[float]
    t: list[float]
    positive: list[bool]

    @property
    def p(self) -> list[int]:
        return [i for i in range(len(self.s)) if self.positive[i]]

    @property
    def n(self) -> list[int]:
        return [i for i in range(len(self.s)) if not self.positive[i]]


def mse(mentions: list[Scored]) -> float:
    values = []
    for m in mentions:
        for i in range(len(m.s)):
            values.append((m.t[i] - m.s[i]) ** 2)
    return sum(values) / len(values) if values else 0.0


def margins(mentions: list[Scored]) -> float:
    values = []
    for m in mentions:
        for p in m.p:
            for n in m.n:
                values.append(((m.t[p] - m.t[n]) - (m.s[p] - m.s[n])) ** 2)
    return sum(values) / len(values) if values else 0.0


def cross_entropy(mentions: list[Scored]) -> float:
    values = []
    for m in mentions:
        if not m.s:
            continue
        total = 0.0
        for i in range(len(m.s)):
            probability = math.exp(m.t[i]) / sum(math.exp(t) for t in m.t)
            total -= probability * (m.s[i] - math.log(sum(math.exp(s) for s in m.s)))
        values.append(total)
    return sum(values) / len(values) if values else 0.0


def rankdistil(mentions: list[Scored]) -> float:
    values = []
    for m in mentions:
        for i in range(len(m.s)):
            better = 0
            for j in range(len(m.s)):
                better += m.t[j] > m.t[i] or (m.t[j] == m.t[i] and j < i)
            s = 1 / (1 + math.exp(-m.s[i]))
            t = 1 / (1 + math.exp(-m.t[i])) if better < 3 else 0.0
            values.append(-t * math.log(s) - (1 - t) * math.log(1 - s))
    return sum(values) / len(values) if values else 0.0


def m3(mentions: list[Scored]) -> float:
    values = []
    for m in mentions:
        if not m.n:
            continue
        top = m.n[0]
        for j in m.n:
            if m.t[j] > m.t[top]:
                top = j
        total = 0.0
        for i in m.p:
            total += ((m.t[i] - m.t[top]) - (m.s[i] - m.s[top])) ** 2
        for j in m.n:
            total += max(m.s[j] - m.s[top], 0.0) ** 2
        values.append(total)
    return sum(values) / len(values) if values else 0.0


PLAIN: dict[str, Callable[[list[Scored]], float]] = {
    "mse": mse,
    "margin_mse": margins,
    "softmax": cross_entropy,
    "rankdistil_b": rankdistil,
    "m3se": m3,
}


def padded(mentions: list[Scored]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As the losses take them; what stands in the padding must not matter."""
    width = max((len(m.s) for m in mentions), default=0) + 1
    student = torch.full((len(mentions), width), 9.0)
    teacher = torch.full((len(mentions), width), 11.0)
    is_candidate = torch.zeros(len(mentions), width, dtype=torch.bool)
    is_positive = torch.ones(len(mentions), width, dtype=torch.bool)
    for i, m in enumerate(mentions):
        n = len(m.s)
        student[i, :n], teacher[i, :n] = torch.tensor(m.s), torch.tensor(m.t)
        is_candidate[i, :n] = True
        is_positive[i, :n] = torch.tensor(m.positive, dtype=torch.bool)
    return student.requires_grad_(), teacher, is_candidate, is_positive


# few different values, so that ties are common
scores = st.one_of(st.sampled_from([-3.0, 0.0, 0.5, 2.0]), st.floats(-8, 8, width=32))


@st.composite
def mentions(draw: st.DrawFn) -> list[Scored]:
    """One to five mentions, also without candidates, without positives, without negatives."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        size = draw(st.integers(0, 6))
        lists = [draw(st.lists(scores, min_size=size, max_size=size)) for _ in range(2)]
        true = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        found.append(Scored(lists[0], lists[1], true))
    return found


def check(name: str, many: list[Scored]) -> None:
    batch = padded(many)
    found = LOSSES[name](*batch)
    assert found.shape == ()
    assert found.item() == pytest.approx(PLAIN[name](many), rel=1e-4, abs=1e-4)
    found.backward()  # type: ignore[no-untyped-call]
    gradient = batch[0].grad
    assert gradient is not None and torch.isfinite(gradient).all()
    assert (gradient[~batch[2]] == 0).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
@settings(max_examples=60)
@given(many=mentions())
def test_against_loops(name: str, many: list[Scored]) -> None:
    check(name, many)


CASES = {
    "several positives": [Scored([1, 2, 3, 4], [4, 3, 2, 1], [True, True, False, False])],
    "ties of the teacher": [Scored([1, 5, 2, 0], [3, 1, 1, 1], [True, False, False, False])],
    "all tied": [Scored([0, 0, 0], [0, 0, 0], [True, False, False])],
    "a teacher that is wrong": [Scored([2, 1, 0], [-4, 5, 1], [True, False, False])],
    "no negatives": [Scored([2, 1], [1, 3], [True, True])],
    "no positives": [Scored([2, 1], [1, 3], [False, False])],
    "no candidates": [Scored([], [], [])],
    "some of each": [
        Scored([2, 1], [1, 3], [True, True]),
        Scored([], [], []),
        Scored([2, 1, 7], [1, 3, 2], [False, True, False]),
        Scored([3, 0], [2, 2], [False, False]),
    ],
}


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("case", CASES)
def test_cases(name: str, case: str) -> None:
    check(name, CASES[case])


def test_m3se_worked_by_hand() -> None:
    """j* is the second candidate: margins 4 and 1 differ by 3; the third lies 2 above it."""
    student = torch.tensor([[1.0, 0.0, 2.0]])
    teacher = torch.tensor([[5.0, 1.0, -2.0]])
    true = torch.tensor([[True, False, False]])
    everything = torch.ones(1, 3, dtype=torch.bool)
    assert m3se(student, teacher, everything, true).item() == pytest.approx(3.0**2 + 2.0**2)


def test_m3se_of_a_batch_is_the_mean_of_its_mentions() -> None:
    """With (n,) taken for (n, 1) each mention would be compared with the others' top negative."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 5, generator=generator) for _ in range(2))
    everything = torch.ones(5, 5, dtype=torch.bool)
    true = torch.zeros(5, 5, dtype=torch.bool)
    true[:, 0] = True
    alone = [
        m3se(student[i : i + 1], teacher[i : i + 1], everything[i : i + 1], true[i : i + 1])
        for i in range(5)
    ]
    together = m3se(student, teacher, everything, true)
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(4, 6, generator=generator)
    everything = torch.ones(4, 6, dtype=torch.bool)
    true = torch.rand(4, 6, generator=generator) < 0.3
    for name in ("mse", "margin_mse", "m3se"):
        assert LOSSES[name](teacher.clone(), teacher, everything, true).item() == 0.0
    shifted = teacher + 5.0  # margins and probabilities do not see it
    for name in ("margin_mse", "m3se"):
        assert LOSSES[name](shifted, teacher, everything, true).item() == pytest.approx(0, abs=1e-5)
    assert margin_mse(2 * teacher, teacher, everything, true).item() > 0.1
