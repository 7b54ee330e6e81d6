from __future__ import annotations

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from entlink.detect.gazetteer import MAX_TOKENS, Gazetteer, bears_as_name, eligible_windows
from entlink.kb.aliases import normalise
from entlink.records import Entity
from tests.detect.fakes import FakeNames

ENTITIES = (
    Entity("E1", "New York City", aliases=("New York", "NYC")),
    Entity("E2", "York"),
    Entity("E3", "The New York Times", aliases=("New York Times",)),
    Entity("E4", "life"),
    Entity("E5", "president"),
    Entity("E6", "President", aliases=("The President",)),  # a film
    Entity("E7", "Germany", aliases=("german", "Deutschland")),
    Entity("E8", "iPhone"),
    Entity("E9", "United States of America", aliases=("US", "U.S.")),
    Entity("E10", "Vincent van Gogh", aliases=("van Gogh",)),
    Entity("E11", "Café Central"),
    Entity("E12", "May"),
    Entity("E13", "Results"),
    Entity("E14", "1984"),
    Entity("E15", "Paris"),
    Entity("E16", "Texas", aliases=("Paris, Texas",)),
    Entity("E17", "C++"),
    Entity("E18", "C#"),
    Entity("E19", "C"),
    Entity("E20", "Iraq"),
    Entity("E21", "The Hague", aliases=("Hague",)),
    Entity("E22", "Kingdom", aliases=("The Kingdom",)),
    Entity("E23", "NATO"),
)


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def found(nlp: Language, text: str, *ordinary: str) -> set[str]:
    doc = nlp.make_doc(text)
    gazetteer = Gazetteer(FakeNames(ENTITIES), ordinary=frozenset(ordinary))
    return {doc[s:e].text for s, e in gazetteer.find([doc])[0].windows}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left New York City for York.", {"New York City", "New York", "York"}),
        ("They saw York Minster.", set()),  # York has company
        ("She reads the New York Times.", {"New York Times", "New York"}),
        ("That is life, said the president.", set()),
        ("And so the President spoke of Life.", set()),  # the KB has it as a word as well
        ("he likes his iPhone", {"iPhone"}),
        ("we in the US live; it is with us", {"US"}),
        ("a painting by van Gogh hung there", {"van Gogh"}),
        ("she met him in cafe central", set()),
        ("she met him in Cafe Central", {"Cafe Central"}),
        ("it was in May that it rained", set()),
        ("in the year 1984 it rained", set()),
        ("they flew to Paris, Texas", {"Paris", "Texas"}),
        ("the train to New\nYork", {"New\nYork", "York"}),  # a wrapped line
        ("the train to New\n\nYork", set()),
        ("C++ is old. He wrote it in C++ and in C#, not in C.", {"C++", "C#"}),
        ("in C #1 and in C#Corner", set()),
        # peoples, wherever they stand, of places that are there
        ("the Iraqi President met Cuban soldiers", {"Iraqi"}),
        ("It rained. Iraqis went home.", {"Iraqis"}),
        # articles that are part of the name, and those that are not
        ("and so The Hague it was", {"The Hague", "Hague"}),
        ("and so The Kingdom it was", {"Kingdom"}),
        # words in capitals have company only of such
        ("she asked NATO Secretary Anna Bell", {"NATO"}),
        ("so Anna Bell NATO it was", {"NATO"}),
        ("he saw NATO BASE there", set()),
    ],
)
def test_what_counts(nlp: Language, text: str, expected: set[str]) -> None:
    assert found(nlp, text) == expected


def test_a_word_that_starts_a_sentence_needs_to_be_seen_elsewhere(nlp: Language) -> None:
    assert found(nlp, "Results came late.") == set()
    assert found(nlp, "Results came late to the town of Results.") == {"Results"}
    assert found(nlp, "It rained. Germany won.") == set()
    assert found(nlp, "It rained. Germany won, and all over Germany people sang.") == {"Germany"}


def test_with_a_list_of_ordinary_words_it_needs_not_to_be_one(nlp: Language) -> None:
    assert found(nlp, "Results came late. Germany won.", "results") == {"Germany"}
    assert found(nlp, "He told us of Results and of Germany.", "results") == {"Germany"}
    assert found(nlp, "GERMANY WIN AT LAST", "results") == {"GERMANY"}


def test_headlines_in_capitals(nlp: Language) -> None:
    assert found(nlp, "GERMANY GET LATE WIN IN PARIS") == set()
    text = "GERMANY GET LATE WIN IN PARIS. The team of Germany won."
    assert found(nlp, text) == {"GERMANY", "Germany"}
    assert "NEW YORK CITY" in found(nlp, "RAIN FALLS IN NEW YORK CITY TODAY")


def test_one_lookup_for_all_docs_and_none_for_what_is_known(nlp: Language) -> None:
    names = FakeNames(ENTITIES)
    gazetteer = Gazetteer(names)
    docs = [nlp.make_doc(t) for t in ("I saw Paris.", "I saw York.", "")]
    gazetteer.find(docs)
    assert names.n_lookups == 1
    gazetteer.find(docs)
    assert names.n_lookups == 1


_NLP = spacy.blank("en")

_WORDS = (
    "New York City Times The the of Germany GERMANY US us van Gogh life President Paris , . \n "
    "\n\n ( ) ( : Results RESULTS iPhone 1984 May \U0001f600 باريس Café St A B"
)
WORDS = st.sampled_from(_WORDS.split(" "))
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)


def named(surface: str) -> bool:
    """Whether any entity's name or alias, compared one by one, is this surface with a capital."""
    return any(bears_as_name(entity, surface) for entity in ENTITIES)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, start=st.integers(0, 10), length=st.integers(1, 10))
def test_names_inside_a_span_equal_brute_force(text: str, start: int, length: int) -> None:
    doc = _NLP.make_doc(text)
    span = (min(start, len(doc)), min(start + length, len(doc)))
    inside = Gazetteer(FakeNames(ENTITIES)).find([doc], [[span]])[0].inside
    words = [any(c.isalnum() for c in token.text) for token in doc]
    assert inside == {
        (a, b)
        for a in range(*span)
        for b in range(a + 1, min(span[1], a + MAX_TOKENS) + 1)
        if words[a] and words[b - 1] and named(doc[a:b].text)
    }


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_equals_brute_force_over_all_windows(text: str) -> None:
    """Oracle: every window of the doc, compared with every name of every entity one by one."""
    doc = _NLP.make_doc(text)
    windows = Gazetteer(FakeNames(ENTITIES)).find([doc])[0].windows
    eligible = set(eligible_windows(doc))
    expected = []
    for start in range(len(doc)):
        for end in range(start + 1, min(len(doc), start + MAX_TOKENS) + 1):
            surface = doc[start:end].text
            bearers = [
                e
                for e in ENTITIES
                if any(normalise(name) == normalise(surface) for name in (e.name, *e.aliases))
            ]
            one_word = len(surface.split()) == 1 and not surface.isupper()
            small = any(
                e.name == e.name.lower() and normalise(e.name) == normalise(surface)
                for e in bearers
                if not any(c.isdigit() for c in e.name)
            )
            if (start, end) in eligible and named(surface) and not (one_word and small):
                expected.append((start, end))
    assert list(windows) == expected


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_eligible_windows_are_written_as_names(text: str) -> None:
    doc = _NLP.make_doc(text)
    for start, end in eligible_windows(doc):
        assert 0 < end - start <= MAX_TOKENS
        span = doc[start:end].text
        assert span == span.strip() and "," not in span
        assert any(c.isupper() for c in span)
        assert any(c.isalnum() for c in doc[end - 1].text)


def test_a_number_after_a_particle_is_no_name() -> None:
    doc = _NLP.make_doc("the house of van 1984 and of van Gogh")
    windows = {doc[start:end].text for start, end in eligible_windows(doc)}
    assert "van 1984" not in windows and "van Gogh" in windows
