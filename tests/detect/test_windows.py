"""Which windows may be names by how they are written."""

from __future__ import annotations

import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.detect.windows import (
    MAX_TOKENS,
    Rule,
    Words,
    any_case_windows,
    eligible_windows,
    small_ended_windows,
    windows_of,
)

_NLP = spacy.blank("en")
_WORDS = (
    "New York City Times The the of Germany GERMANY US us van Gogh life President Paris , . \n "
    "\n\n ( ) ( : Results RESULTS iPhone 1984 May \U0001f600 باريس Café St A B ALL all 's"
)
TEXTS = st.lists(st.sampled_from(_WORDS.split(" ")), max_size=30).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_how_each_kind_is_written(text: str) -> None:
    doc = _NLP.make_doc(text)
    words = Words.of(doc)
    for windows in (eligible_windows, small_ended_windows, any_case_windows):
        for start, end in windows(words):
            assert 0 < end - start <= MAX_TOKENS
            span = doc[start:end].text
            assert span == span.strip() and "," not in span and "(" not in span
            assert any(c.isalnum() for c in doc[end - 1].text)
            assert windows is any_case_windows or any(c.isupper() for c in span)
            if windows is small_ended_windows:
                assert doc[end - 1].text.islower() and end - start > 1


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_rules_add_windows_and_take_none_away(text: str) -> None:
    words = Words.of(_NLP.make_doc(text))
    few, more = (
        set(windows_of(words, max_tokens=4, ordinary=frozenset(), any_case=any_case))
        for any_case in (False, True)
    )
    assert {rule for rule, _ in more - few} <= {Rule.ANY_CASE} and few <= more
    own = {span for rule, span in few if rule is Rule.OWN}
    assert all(words.weak[start] for start, _ in own)
    small = {(a, b) for a, b in any_case_windows(words, max_tokens=4) if b - a > 1}
    assert all(words.shapes[a].word and words.shapes[b - 1].word for a, b in small)


def test_a_number_after_a_particle_is_no_name() -> None:
    doc = _NLP.make_doc("the house of van 1984 and of van Gogh")
    windows = {doc[start:end].text for start, end in eligible_windows(Words.of(doc))}
    assert "van 1984" not in windows and "van Gogh" in windows


def test_function_words_in_capitals_may_be_names_but_not_in_a_headline() -> None:
    for text, expected in (("he has ALL now", {"ALL", "has"}), ("ALL OLD MEN HAVE IT", {"OLD"})):
        doc = _NLP.make_doc(text)
        singles = {doc[a:b].text for a, b in any_case_windows(Words.of(doc)) if b - a == 1}
        assert singles & {"ALL", "has", "OLD", "HAVE", "IT"} == expected - {"has"}
