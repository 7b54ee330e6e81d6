"""The verdict of a long run: which samples are compared, and what the plot shows."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from tests.corpus.endurance import Sample, plot, rate, rss_mb, tenths


def samples(n: int, *, slower: float = 1.0) -> list[Sample]:
    """A shard of 256 documents a second; from the middle on slower."""
    seconds, found = 0.0, []
    for i in range(n):
        seconds += 1.0 if i < n // 2 else slower
        found.append(Sample(seconds, 256 * (i + 1), 500.0))
    return found


@pytest.mark.parametrize("n", [10, 19, 390])
def test_the_second_tenth_and_the_last(n: int) -> None:
    second, last = tenths(samples(n, slower=2.0))
    assert second[0].n_documents == 256 * (n // 10 + 1)
    assert second[-1].n_documents == 256 * (2 * (n // 10) + 1)
    assert last[-1].n_documents == 256 * n
    assert rate(second) == pytest.approx(256)
    assert rate(last) == pytest.approx(128)


def test_the_plot_is_a_picture() -> None:
    root = ElementTree.fromstring(plot(samples(50), "50 shards"))
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(line.get("points", "").split()) for line in lines] == [49, 49]


@pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")
def test_memory_is_that_of_this_process_at_least() -> None:
    assert rss_mb() > 10
