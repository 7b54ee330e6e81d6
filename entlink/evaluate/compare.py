"""Two results on the same mentions: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from entlink.errors import InputError, reason
from entlink.evaluate.intervals import interval, macro, micro, resampled, sign_test, two_sided
from entlink.evaluate.metrics import Outcome, SpanCounts
from entlink.evaluate.result import SEED, joined, outcomes_in
from entlink.evaluate.sets import Span

_TESTED: Mapping[str, Callable[[Outcome], bool]] = {
    "accuracy": lambda o: o.top_is_gold,
    "accuracy_nil": lambda o: o.is_right,
    "accuracy_all": lambda o: o.is_right,
}
_OVER_ALL = "accuracy_all"


@dataclass(frozen=True, slots=True)
class SetResult:
    """What one result file says of one set."""

    docs: tuple[str, ...]
    outcomes: Mapping[Span, Outcome]
    spans: Sequence[SpanCounts]


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A result file that was written with --outcomes."""

    path: Path
    sets: Mapping[str, SetResult]
    kb: Mapping[str, Any]


def read_result(path: Path) -> ResultFile:
    """Read what ``entlink evaluate --outcomes`` wrote; InputError if it is no such file."""
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: not a JSON file ({error}); give a result file") from None
    if not isinstance(value, dict) or "outcomes" not in value:
        raise InputError(
            f"{path}: says nothing of single mentions; write it with "
            "'entlink evaluate FILE --outcomes --out RESULT.json'"
        )
    try:
        sets = {name: _set_result(value, name) for name in value["documents"]}
        return ResultFile(path, sets, value["kb"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a result of this version ({reason(error)}); evaluate again"
        ) from error


def _set_result(value: Mapping[str, Any], name: str) -> SetResult:
    outcomes, spans = outcomes_in(value, name)
    by_span = {(o.doc, o.start, o.end): o for o in outcomes}
    return SetResult(tuple(value["documents"][name]), by_span, spans)


def compare(a: ResultFile, b: ResultFile) -> dict[str, Any]:
    """Each measure of A and of B, their difference (B - A), its 95% interval and p.

    Documents are drawn again, the same for both. Under "sign_test" McNemar's exact test over
    mentions, which takes them for independent. Raises InputError unless both tell of the same
    mentions and the same of them are in the KB.
    """
    _check_alike(a, b)
    tallies = [_pair(a.sets[name], b.sets[name]) for name in a.sets]
    names, m = tallies[0][0], len(tallies[0][0])
    counts = [c for _, c in tallies]
    sums = [resampled(c, seed=SEED + i) for i, c in enumerate(counts)]
    totals = [c.sum(axis=0) for c in counts]

    def measures(average: Callable[[Sequence[Any]], Any]) -> dict[str, Any]:
        values, drawn = average(totals), average(sums)
        differences = drawn[:, m:] - drawn[:, :m]
        return {
            name: _row(float(values[i]), float(values[m + i]), differences[:, i])
            for i, name in enumerate(names)
        }

    result: dict[str, Any] = {
        "a": str(a.path),
        "b": str(b.path),
        "kb": dict(a.kb),
        "sets": list(a.sets),
        "n_documents": sum(len(s.docs) for s in a.sets.values()),
        "n_mentions": sum(len(s.outcomes) for s in a.sets.values()),
        "n_in_kb": sum(o.in_kb for s in a.sets.values() for o in s.outcomes.values()),
        "measures": measures(micro),
    }
    if len(counts) > 1:
        result["macro"] = measures(macro)
    result["sign_test"] = {name: _signs(a, b, name) for name in _TESTED}
    return result


def _row(a: float, b: float, differences: Any) -> dict[str, Any]:
    middle = interval(differences)
    return {
        "a": a,
        "b": b,
        "difference": b - a,
        "interval": [middle.low, middle.high],
        "p": two_sided(differences),
    }


def _pair(a: SetResult, b: SetResult) -> tuple[tuple[str, ...], Any]:
    """Measures, and the counts of A and B side by side: (n_docs, 2 m, 2)."""
    spans = (a.spans, b.spans) if a.spans and b.spans else ((), ())
    first = joined(a.docs, list(a.outcomes.values()), spans[0])
    second = joined(a.docs, list(b.outcomes.values()), spans[1])
    return first.names, np.concatenate([first.counts, second.counts], axis=1)


def _signs(a: ResultFile, b: ResultFile, name: str) -> dict[str, Any]:
    is_right = _TESTED[name]
    pairs = [
        (is_right(o), is_right(b.sets[s].outcomes[span]))
        for s, result in a.sets.items()
        for span, o in result.outcomes.items()
        if o.in_kb or name == _OVER_ALL
    ]
    only_a, only_b = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    return {"only_a_right": only_a, "only_b_right": only_b, "p": sign_test(only_a, only_b)}


def _check_alike(a: ResultFile, b: ResultFile) -> None:
    both = f"{a.path} and {b.path}"
    if a.sets.keys() != b.sets.keys():
        raise InputError(
            f"{both}: measured on {', '.join(a.sets)} and on {', '.join(b.sets)}; "
            "evaluate both on the same files"
        )
    for name in a.sets:
        one, other = a.sets[name], b.sets[name]
        if one.docs != other.docs or one.outcomes.keys() != other.outcomes.keys():
            raise InputError(
                f"{both}: {name} has other documents or mentions; evaluate both on the same file"
            )
        for span, o in one.outcomes.items():
            twin = other.outcomes[span]
            if (o.gold, o.in_kb) != (twin.gold, twin.in_kb):
                raise InputError(
                    f"{both}: {name}, {span[0]} {span[1]} to {span[2]}: its gold entity {o.gold} "
                    "is in the KB of one of them only; evaluate both over the same KB"
                )
