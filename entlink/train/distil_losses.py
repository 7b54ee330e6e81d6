"""Losses by which a teacher's scores teach a student, as pure functions of scores.

All take the scores of n mentions with up to k candidates each:

    student, teacher: (n, k) scores s and t. is_candidate: (n, k), False for padding.
    is_positive: (n, k), True for the true entities; a mention may have none, one or several.

and return one number, zero where there is nothing to compare. Padding has no influence. P are a
mention's positives, N its other candidates (negatives), j* is the teacher's top negative.
Each is tested against a plain double loop (tests/train/test_distil_losses.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_TOP = 3  # of the teacher's candidates, for RankDistil-B


def logit_mse(student: Tensor, teacher: Tensor, is_candidate: Tensor, _: Tensor) -> Tensor:
    """Mean of (t - s)^2 over all candidates of all mentions (Ba and Caruana 2014)."""
    return _mean((teacher - student).square(), is_candidate)


def margin_mse(
    student: Tensor, teacher: Tensor, is_candidate: Tensor, is_positive: Tensor
) -> Tensor:
    """Mean of ((t_p - t_n) - (s_p - s_n))^2 over all pairs of a positive p and a negative n.

    Hofstätter et al. 2020, "Improving efficient neural ranking models with cross-architecture
    knowledge distillation". Pairs are of one mention.
    """
    positive, negative = is_candidate & is_positive, is_candidate & ~is_positive
    error = teacher - student  # ((t_p - t_n) - (s_p - s_n)) = (t_p - s_p) - (t_n - s_n)
    differences = error[:, :, None] - error[:, None, :]  # (n, k, k): positive, negative
    return _mean(differences.square(), positive[:, :, None] & negative[:, None, :])


def softmax_cross_entropy(
    student: Tensor, teacher: Tensor, is_candidate: Tensor, _: Tensor
) -> Tensor:
    """- sum_i softmax(t)_i log softmax(s)_i, mean over the mentions that have candidates.

    Probability matching (Hinton et al. 2015), over the candidates of one mention.
    """
    has_any = is_candidate.any(dim=1)
    if not has_any.any():
        return _nothing(student)
    is_candidate = is_candidate[has_any]
    absent = ~is_candidate
    target = teacher[has_any].masked_fill(absent, float("-inf")).softmax(dim=1)
    logs = student[has_any].masked_fill(absent, float("-inf")).log_softmax(dim=1)
    return -(target * logs.masked_fill(absent, 0.0)).sum(dim=1).mean()


def rankdistil_b(student: Tensor, teacher: Tensor, is_candidate: Tensor, _: Tensor) -> Tensor:
    """sum_{i in T} BCE(sigmoid(t_i), sigmoid(s_i)) + sum_{j not in T} -log(1 - sigmoid(s_j)).

    T are the teacher's three best candidates, ties to the first. Mean over all candidates. After
    the binary form of RankDistil (Reddi et al. 2021): the teacher's top keeps the teacher's
    scores, and large scores of whatever it ranks low are penalised, however low it ranks them.
    """
    k = student.shape[1]
    hidden = teacher.masked_fill(~is_candidate, float("-inf"))
    order = hidden.argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        1, order, torch.arange(k, device=order.device).expand_as(order)
    )
    target = torch.where(ranks < _TOP, teacher.sigmoid(), torch.zeros_like(teacher))
    loss = functional.binary_cross_entropy_with_logits(student, target, reduction="none")
    return _mean(loss, is_candidate)


def m3se(student: Tensor, teacher: Tensor, is_candidate: Tensor, is_positive: Tensor) -> Tensor:
    """sum_{i in P} ((t_i - t_j*) - (s_i - s_j*))^2 + sum_{j in N} [s_j - s_j*]+^2.

    Mean over the mentions that have a negative; [x]+ = max(x, 0), and of equal top negatives j* is
    the first. Menon et al. 2022, "In defense of dual-encoders for neural ranking": the margins of
    the positives over the teacher's hardest negative are matched, and the student may score no
    negative above that one.
    """
    negative = is_candidate & ~is_positive
    has_negative = negative.any(dim=1)
    if not has_negative.any():
        return _nothing(student)
    student, teacher = student[has_negative], teacher[has_negative]
    positive, negative = (is_candidate & is_positive)[has_negative], negative[has_negative]
    top = teacher.masked_fill(~negative, float("-inf")).argmax(dim=1, keepdim=True)  # (n, 1)
    student_margin = student - student.gather(1, top)  # (n, k) - (n, 1): never (n,)
    teacher_margin = teacher - teacher.gather(1, top)
    matched = (teacher_margin - student_margin).square().masked_fill(~positive, 0.0)
    above = student_margin.clamp_min(0.0).square().masked_fill(~negative, 0.0)
    return (matched + above).sum(dim=1).mean()


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values, zero if there are none."""
    return values.masked_fill(~chosen, 0.0).sum() / chosen.sum().clamp_min(1)


def _nothing(student: Tensor) -> Tensor:
    """Zero that a backward pass can go through."""
    return student.sum() * 0.0


LOSSES: dict[str, Loss] = {
    "mse": logit_mse,
    "margin_mse": margin_mse,
    "softmax": softmax_cross_entropy,
    "rankdistil_b": rankdistil_b,
    "m3se": m3se,
}
