"""Matching of words against plain Python over the names themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.kb.aliases import normalise
from entlink.retrieve.words import NameMatch, NameWords

_WORDS = st.sampled_from(["bill", "Clinton", "New", "york", "Málaga", "!", "of"])
_NAMES = st.lists(_WORDS, max_size=4).map(" ".join)


def plain(surface: str, name: str) -> tuple[float, float, bool]:
    """Share of the surface's words found, its share of the name, and whether it begins it."""
    wanted, words = normalise(surface).split(), normalise(name).split()
    if not wanted:
        return 0.0, 0.0, False
    found = [word in words for word in wanted]
    share = min(1.0, len(wanted) / max(len(words), 1)) if all(found) else 0.0
    return sum(found) / len(wanted), share, words[: len(wanted)] == wanted


@settings(max_examples=200, deadline=None)
@given(st.lists(_NAMES, max_size=6), _NAMES)
def test_words_match_as_in_plain_python(names: list[str], surface: str) -> None:
    places = np.arange(len(names))[::-1].astype(np.int64)
    match = NameWords.of(names).match(surface, places)
    expected = [plain(surface, names[i]) for i in places]
    np.testing.assert_allclose(match.found, [e[0] for e in expected], atol=1e-6)
    np.testing.assert_allclose(match.share, [e[1] for e in expected], atol=1e-6)
    assert match.begins.tolist() == [e[2] for e in expected]


def test_the_best_of_an_entitys_names_counts() -> None:
    words = NameWords.of(["William Jefferson Clinton", "Bill Clinton", "Clinton", "Hillary"])
    match = words.match("Clinton", np.arange(4)).best_of(np.asarray([3, 3, 7, 9]))
    np.testing.assert_allclose(match.share, [0.5, 1.0, 0.0])
    np.testing.assert_allclose(match.found, [1.0, 1.0, 0.0])
    assert match.begins.tolist() == [False, True, False]
    assert match.only(np.asarray([2, 0])).found.tolist() == [0.0, 1.0]


def test_no_names_at_all() -> None:
    match = NameWords.of([]).match("Paris", np.zeros(0, dtype=np.int64))
    assert isinstance(match.best_of(np.zeros(0, dtype=np.int64)), NameMatch)


def test_they_are_the_same_after_a_round_trip(tmp_path: Path) -> None:
    words = NameWords.of(["Leeds United F.C.", "", "Leeds"])
    words.save(tmp_path)
    again = NameWords.open(tmp_path)
    places = np.arange(3)
    assert len(again) == 3
    np.testing.assert_array_equal(
        again.match("leeds", places).share, words.match("leeds", places).share
    )


@pytest.mark.parametrize("name", ["words.npy", "word_ends.npy"])
def test_a_damaged_file_is_noticed(tmp_path: Path, name: str) -> None:
    NameWords.of(["Leeds United", "Leeds"]).save(tmp_path)
    np.save(tmp_path / name, np.zeros(1, dtype=np.float32))
    with pytest.raises(ValueError, match=r"words\.npy"):
        NameWords.open(tmp_path)
    NameWords.of(["Leeds United", "Leeds"]).save(tmp_path)
    kept = np.load(tmp_path / name)
    np.save(tmp_path / name, kept[:-1])
    with pytest.raises(ValueError, match="do not fit"):
        NameWords.open(tmp_path)
