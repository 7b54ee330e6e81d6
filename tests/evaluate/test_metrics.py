"""Every measure on examples that were worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from entlink.evaluate.metrics import (
    NO_TYPE,
    OTHER_TYPES,
    Bin,
    Outcome,
    breakdowns,
    calibration_error,
    calibration_sums,
    expected_calibration_error,
    outcome_ratios,
    reliability,
    summary,
    tally,
)
from entlink.records import NIL

RIGHT = Outcome("d1", 0, 5, "Q1", True, 0, "Q1", 0.9, "Q1", 3, "Q1")
WRONG = Outcome("d1", 6, 9, "Q2", True, 12, "Q1", 0.6, "Q1", 4, "Q2")
UNSURE = Outcome("d2", 0, 5, "Q3", True, 0, "Q3", 0.2, NIL, 0, None)  # right, but answered NIL
MISSED = Outcome("d2", 6, 9, "Q4", True, None, None, 0.0, NIL, 0, None)  # no candidate at all
OUTSIDE = Outcome("d2", 10, 12, "Q99", False, None, "Q1", 0.3, NIL, 2, "Q1")
TOO_BOLD = Outcome("d2", 13, 15, NIL, False, None, "Q1", 0.8, "Q1", 1, "Q1")
ALL = [RIGHT, WRONG, UNSURE, MISSED, OUTSIDE, TOO_BOLD]


def test_summary_by_hand() -> None:
    assert summary(ALL) == pytest.approx(
        {
            "recall@1": 2 / 4,
            "recall@10": 2 / 4,
            "recall@64": 3 / 4,
            "recall@100": 3 / 4,
            "accuracy": 2 / 4,  # UNSURE's top is right
            "accuracy_nil": 1 / 4,
            "accuracy_all": 2 / 6,  # RIGHT and OUTSIDE
            "accuracy_most_popular": 2 / 4,
            "nil_precision": 1 / 3,  # of UNSURE, MISSED and OUTSIDE, the last
            "nil_recall": 1 / 2,  # of OUTSIDE and TOO_BOLD, the first
            "nil_f1": 2 / 5,
            # bins of a fifteenth: .0, .2, .3, .6, .8, .9, one answer each
            "ece": (0.0 + 0.8 + 0.3 + 0.6 + 0.8 + 0.1) / 6,
            "pairs_per_mention": 10 / 6,
        }
    )


def test_the_calibration_error_of_documents_that_are_drawn() -> None:
    sums = calibration_sums(["d1", "d2", "d3"], ALL)
    assert sums.shape == (3, 15, 2) and sums[..., 1].sum(axis=1).tolist() == [2.0, 4.0, 0.0]
    for times in ([1, 1, 1], [2, 0, 5], [0, 3, 1], [4, 1, 0]):
        drawn = [o for o in ALL for _ in range(times[o.doc == "d2"])]
        expected = expected_calibration_error(
            [o.top_probability for o in drawn], [o.top_is_gold for o in drawn]
        )
        found = calibration_error(np.tensordot(times, sums, axes=1))
        assert found == pytest.approx(expected)
    assert np.isnan(calibration_error(sums[2]))


def test_gold_outside_the_kb_is_never_reachable() -> None:
    """Even if the answer is by chance an entity of the same id."""
    odd = replace(OUTSIDE, rank=0, top="Q99", answer="Q99", popular="Q99")
    assert outcome_ratios(odd) == {
        **{f"recall@{k}": (0, 0) for k in (1, 10, 64, 100)},
        "accuracy": (0, 0),
        "accuracy_nil": (0, 0),
        "accuracy_most_popular": (0, 0),
        "accuracy_all": (0, 1),
        "nil_precision": (0, 0),
        "nil_recall": (0, 1),
        "nil_f1": (0, 1),
    }
    assert not odd.top_is_gold and not odd.is_right and not odd.popular_is_gold


def test_without_mentions_in_the_kb_there_is_no_accuracy() -> None:
    figures = summary([OUTSIDE])
    assert math.isnan(figures["accuracy"]) and math.isnan(figures["recall@1"])
    assert figures["accuracy_all"] == 1.0


def test_tally_adds_up_by_document() -> None:
    found = tally(["d1", "d2", "d3"], ((o.doc, outcome_ratios(o)) for o in ALL))
    place = found.names.index("accuracy")
    assert found.counts[:, place].tolist() == [[1, 2], [1, 2], [0, 0]]
    assert found.figures()["accuracy"] == 2 / 4
    assert tally(["d1"], []).counts.shape == (1, 0, 2)


def test_reliability_by_hand() -> None:
    bins = reliability([0.05, 0.15, 0.5, 1.0], [False, True, True, True], n_bins=2)
    assert bins == [Bin(0.0, 0.5, 2, 0.1, 0.5), Bin(0.5, 1.0, 2, 0.75, 1.0)]
    assert expected_calibration_error(
        [0.05, 0.15, 0.5, 1.0], [False, True, True, True], n_bins=2
    ) == pytest.approx(0.5 * 0.4 + 0.5 * 0.25)
    assert reliability([], []) == []
    assert math.isnan(expected_calibration_error([], []))


def test_coins_that_say_what_they_are_have_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    p = random.random(200_000)
    right = random.random(200_000) < p
    assert expected_calibration_error(p.tolist(), right.tolist()) < 0.01
    assert expected_calibration_error((p**0.5).tolist(), right.tolist()) > 0.1


def test_breakdowns_by_hand() -> None:
    found = breakdowns(
        [
            replace(RIGHT, groups=(("alias", "known"), ("type", "city"), ("type", "town"))),
            replace(WRONG, groups=(("alias", "known"), ("type", "city"))),
            replace(UNSURE, groups=(("alias", "unknown"), ("type", "river"))),
            replace(MISSED, groups=(("alias", "unknown"), ("type", NO_TYPE))),
            replace(OUTSIDE, groups=(("alias", "unknown"), ("type", "city"))),
        ],
        n_types=1,
    )
    counted = {
        name: {group: (f["n_mentions"], f["accuracy"]) for group, f in groups.items()}
        for name, groups in found.items()
    }
    assert counted == {
        "alias": {"known": (2, 0.5), "unknown": (2, 0.5)},  # OUTSIDE is in no group
        "type": {"city": (2, 0.5), OTHER_TYPES: (2, 1.0), NO_TYPE: (1, 0.0)},
    }
