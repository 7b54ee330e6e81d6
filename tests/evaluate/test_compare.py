"""Two results on the same mentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from entlink.errors import InputError
from entlink.evaluate.compare import ResultFile, compare, read_result
from entlink.evaluate.metrics import Outcome, SpanCounts
from entlink.records import NIL

N_DOCS = 30


def outcomes(right: Sequence[bool]) -> list[Outcome]:
    """Two mentions a document: one in the KB that is right or not, one NIL that is always right."""
    found = []
    for i, is_right in enumerate(right):
        answer = "Q1" if is_right else "Q2"
        found.append(Outcome(f"d{i}", 0, 1, "Q1", True, 0, answer, 0.9, answer, 1))
        found.append(Outcome(f"d{i}", 2, 3, NIL, False, None, None, 0.0, NIL, 0))
    return found


def write(
    path: Path, sets: dict[str, list[Outcome]], spans: dict[str, list[SpanCounts]] | None = None
) -> ResultFile:
    """A result file as `entlink evaluate --outcomes` writes it, without the figures."""
    value: dict[str, Any] = {
        "kb": {"n_entities": 2, "digest": "x"},
        "documents": {
            name: list(dict.fromkeys(o.doc for o in some)) for name, some in sets.items()
        },
        "outcomes": {
            name: [{k: v for k, v in asdict(o).items() if k != "groups"} for o in some]
            for name, some in sets.items()
        },
        "spans": {name: [asdict(c) for c in some] for name, some in (spans or {}).items()},
    }
    path.write_bytes(orjson.dumps(value))
    return read_result(path)


def test_a_difference_that_is_more_than_chance(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {"s": outcomes([i % 2 == 0 for i in range(N_DOCS)])})
    b = write(tmp_path / "b.json", {"s": outcomes([True] * N_DOCS)})
    result = compare(a, b)
    found = result["measures"]["accuracy"]
    assert (found["a"], found["b"], found["difference"]) == (0.5, 1.0, 0.5)
    low, high = found["interval"]
    assert 0 < low < 0.5 < high < 1 and found["p"] < 0.01
    # 15 of 15 disagreements are B's: twice 2^-15
    assert result["sign_test"]["accuracy"] == {
        "only_a_right": 0,
        "only_b_right": 15,
        "p": 2 / 2**15,
    }
    assert (result["n_mentions"], result["n_in_kb"], result["n_documents"]) == (60, 30, 30)
    turned = compare(b, a)["measures"]["accuracy"]
    assert turned["difference"] == -0.5
    assert turned["interval"] == pytest.approx([-high, -low])


def test_a_result_is_no_better_than_itself(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {"s": outcomes([i % 3 == 0 for i in range(N_DOCS)])})
    result = compare(a, a)
    for found in result["measures"].values():
        assert (found["difference"], found["interval"], found["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert result["sign_test"]["accuracy_all"]["p"] == 1.0


def test_pairing_finds_what_two_intervals_would_hide(tmp_path: Path) -> None:
    """B is right wherever A is and in four more of 30 documents."""
    a = write(tmp_path / "a.json", {"s": outcomes([i < 12 for i in range(N_DOCS)])})
    b = write(tmp_path / "b.json", {"s": outcomes([i < 18 for i in range(N_DOCS)])})
    found = compare(a, b)["measures"]["accuracy"]
    assert found["interval"][0] > 0  # each alone: .40 +- .18 and .60 +- .18


def test_micro_and_macro_over_sets(tmp_path: Path) -> None:
    big, small = [True] * 20, [False] * 4
    a = write(tmp_path / "a.json", {"x": outcomes([False] * 20), "y": outcomes(small)})
    b = write(tmp_path / "b.json", {"x": outcomes(big), "y": outcomes(small)})
    result = compare(a, b)
    assert result["measures"]["accuracy"]["difference"] == pytest.approx(20 / 24)
    assert result["macro"]["accuracy"]["difference"] == pytest.approx((1 + 0) / 2)
    assert "macro" not in compare(
        write(tmp_path / "c.json", {"x": outcomes(big)}),
        b=write(tmp_path / "d.json", {"x": outcomes(big)}),
    )


def test_spans_are_compared_where_both_have_them(tmp_path: Path) -> None:
    some = outcomes([True, False])
    spans = [SpanCounts(f"d{i}", 2, 2, 2, 1, 1, 1, 1, 0) for i in range(2)]
    fewer = [SpanCounts(f"d{i}", 2, 2, 1, 1, 1, 0, 0, 0) for i in range(2)]
    a = write(tmp_path / "a.json", {"s": some}, {"s": fewer})
    b = write(tmp_path / "b.json", {"s": some}, {"s": spans})
    assert compare(a, b)["measures"]["link_f1"]["difference"] == 1.0
    assert compare(a, b)["measures"]["detect_f1"]["difference"] == 0.5
    assert "link_f1" not in compare(a, write(tmp_path / "c.json", {"s": some}))["measures"]


def test_results_that_cannot_be_compared(tmp_path: Path) -> None:
    base = outcomes([True, False])
    a = write(tmp_path / "a.json", {"s": base})
    other_kb = [
        Outcome(o.doc, o.start, o.end, o.gold, False, None, None, 0.0, NIL, 0) for o in base
    ]
    for sets, part in [
        ({"t": base}, "the same files"),
        ({"s": base[:2]}, "other documents or mentions"),
        ({"s": other_kb}, "over the same KB"),
    ]:
        b = write(tmp_path / "b.json", sets)
        with pytest.raises(InputError, match=part) as error:
            compare(a, b)
        assert "a.json and" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "cannot be read"),
        ("", "not a JSON file"),
        ("[]", "--outcomes"),
        ('{"accuracy": 0.5}', "--outcomes"),
        ('{"outcomes": {}, "documents": {"s": []}}', "evaluate again"),
        (
            '{"outcomes": {"s": [{"doc": 1}]}, "spans": {}, "documents": {"s": []}}',
            "evaluate again",
        ),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, text: str | None, part: str) -> None:
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=part) as error:
        read_result(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
