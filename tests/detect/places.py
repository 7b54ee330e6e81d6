"""Spans of drawn places, for the property tests of what is done with spans."""

from __future__ import annotations

from collections.abc import Iterable

from entlink.detect.recogniser import TokenSpan


def spans_apart(places: Iterable[tuple[int, int, str]], n_tokens: int) -> list[TokenSpan]:
    """(start, length, label) as spans of a text, without those that overlap or reach out of it."""
    spans: list[TokenSpan] = []
    for start, length, label in sorted(places):
        if (not spans or start >= spans[-1][1]) and start + length <= n_tokens:
            spans.append((start, start + length, label))
    return spans
