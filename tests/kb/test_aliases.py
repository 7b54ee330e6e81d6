"""Names fold together where writers vary without meaning to, and stay apart where they mean it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.kb.aliases import normalise


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("São Paulo", "sao paulo"),
        ("Łódź", "Lodz"),
        ("Ørsted", "orsted"),
        ("AT&T", "at & t"),
        ("U.S.", "US"),
        ("U. S. A.", "USA"),
        ("J. K. Rowling", "J.K. Rowling"),
        ("Jean-Luc Godard", "Jean Luc Godard"),
        ("Sotheby’s", "Sotheby's"),
        ("Ｔｏｋｙｏ", "Tokyo"),
        ("STRASSE", "straße"),
        ("  New \t York\n", "new york"),
        ("#Paris", "Paris"),
        ("Cafe\u0301", "Café"),
        ("Москва\u0301", "москва"),
    ],
)
def test_same_name(left: str, right: str) -> None:
    assert normalise(left) == normalise(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("C++", "C#"),
        ("!!!", "!!"),
        ("Disney", "Disney+"),
        ("パリ", "ハリ"),
        ("कि", "का"),
        ("New York", "Newyork"),
    ],
)
def test_other_name(left: str, right: str) -> None:
    assert normalise(left) != normalise(right)


def test_only_signs_keep_them() -> None:
    assert normalise("!!!") == "!!!"
    assert normalise(" \t") == ""
    assert normalise("") == ""


@settings(deadline=None)
@given(st.text())
def test_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_shortcut_agrees_with_the_long_way(text: str) -> None:
    # A leading non-ASCII blank forces the general path without changing the words.
    assert normalise("\u3000" + text) == normalise(text)


@settings(deadline=None)
@given(st.text(min_size=1))
def test_keeps_something_of_anything_visible(text: str) -> None:
    assert bool(normalise(text)) == bool(text.strip())
