"""What is mended of a recogniser's spans, each span given by its text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from entlink.detect.borders import mend
from entlink.detect.gazetteer import Gazetteer
from entlink.records import Entity
from tests.detect.fakes import FakeNames
from tests.detect.places import spans_apart

NLP = spacy.blank("en")
NAMES = (
    "Buckingham Palace",
    "Prince",
    "Germany",
    "Spain",
    "Leyton Orient",
    "Hartlepool",
    "Sri Lanka",
    "West Bank",
    "Commerce Department",
    "Yahoo",
    "St. Louis",
)
GAZETTEER = Gazetteer(
    FakeNames([Entity(f"E{n}", name) for n, name in enumerate(NAMES)]),
    ordinary=frozenset(["daughter", "prince"]),
)


def mended(text: str, span: str, label: str) -> list[str]:
    """The texts of what becomes of one recognised span."""
    doc = NLP.make_doc(text)
    at = text.index(span)
    place = doc.char_span(at, at + len(span))
    assert place is not None
    spans = [(place.start, place.end)]
    (found,) = GAZETTEER.find([doc], [spans])
    recognised = [(place.start, place.end, label)]
    after = mend(doc, recognised, found, ordinary=GAZETTEER.ordinary)
    assert all(label == its for _, _, its in after)
    return [doc[start:end].text for start, end, _ in after]


@pytest.mark.parametrize(
    ("text", "span", "label", "expected"),
    [
        # a sentence ends, or seems to
        (
            "He saw Buckingham Palace. Prince sang.",
            "Buckingham Palace. Prince",
            "ORG",
            ["Buckingham Palace", "Prince"],
        ),
        ("the 1993 Classic . Estes won", "1993 Classic . Estes", "PER", ["1993 Classic", "Estes"]),
        ("by J . Smith there", "J . Smith", "PER", ["J . Smith"]),
        ("by Dr . Smith there", "Dr . Smith", "ORG", ["Dr . Smith"]),
        ("of Acme Inc . Germany", "Acme Inc . Germany", "ORG", ["Acme Inc . Germany"]),
        ("at Yahoo! Inc. today", "Yahoo! Inc.", "ORG", ["Yahoo! Inc."]),
        ("he cried Jeopardy! Smith won", "Jeopardy! Smith", "MISC", ["Jeopardy", "Smith"]),
        ("so it was . and more", "was . and", "ORG", []),
        # of a place
        ("Jesper Parnevik of Spain won", "Jesper Parnevik of Spain", "PER", None),
        ("Alfonso XIII of Spain left", "Alfonso XIII of Spain", "PER", ["Alfonso XIII of Spain"]),
        ("Catherine of Spain left", "Catherine of Spain", "PER", ["Catherine of Spain"]),
        ("Ann Bell of Nowhere left", "Ann Bell of Nowhere", "PER", ["Ann Bell of Nowhere"]),
        ("Kia Motor Corp of Korea won", "Kia Motor Corp of Korea", "MISC", None),
        ("the Bank of Korea won", "Bank of Korea", "ORG", ["Bank of Korea"]),
        ("a man of Germany won", "of Germany", "PER", ["Germany"]),
        # a people before a person
        ("so American Ann Bell won", "American Ann Bell", "PER", ["American", "Ann Bell"]),
        ("the South Korean Ann Bell", "South Korean Ann Bell", "PER", ["South Korean", "Ann Bell"]),
        ("the American Ann Works", "American Ann Works", "ORG", ["American Ann Works"]),
        # tables
        ("0 Leyton Orient 2 Hartlepool 0", "Leyton Orient 2 Hartlepool", "ORG", None),
        ("Apollo 11 Hartlepool", "Apollo 11 Hartlepool", "ORG", ["Apollo 11 Hartlepool"]),
        ("overs , Sri Lanka 232-6 in 45", "Sri Lanka 232-6", "MISC", ["Sri Lanka"]),
        ("the Boeing 747 flew", "Boeing 747", "MISC", ["Boeing 747"]),
        # articles
        ('he said "The Commerce Department', "The Commerce Department", "ORG", None),
        ("he read The Other Paper", "The Other Paper", "ORG", ["The Other Paper"]),
        # no names
        ("while spending rose", "rose", "PER", []),
        ("he saw germany", "germany", "LOC", ["germany"]),
        ("It rained. Daughter of a king", "Daughter", "PER", []),
        ("It rained. Prince sang", "Prince", "PER", ["Prince"]),
        ("It was said of Daughter", "Daughter", "PER", ["Daughter"]),
        ("in July", "July", "MISC", []),
    ],
)
def test_what_becomes_of_a_span(
    text: str, span: str, label: str, expected: list[str] | None
) -> None:
    if expected is None:  # its two ends, without what is between them or before
        parts = {
            "Jesper Parnevik of Spain": ["Jesper Parnevik", "Spain"],
            "Kia Motor Corp of Korea": ["Kia Motor Corp", "Korea"],
            "Leyton Orient 2 Hartlepool": ["Leyton Orient", "Hartlepool"],
            "The Commerce Department": ["Commerce Department"],
        }
        expected = parts[span]
    assert mended(text, span, label) == expected


WORDS = st.sampled_from(
    [
        *" ".join(NAMES).split(),
        ".",
        "!",
        "of",
        "2",
        "The",
        "the",
        "-",
        "'s",
        "President",
        "XIII",
        ",",
    ]
)
PLACES = st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from(["PER", "ORG", "MISC"]))


@given(words=st.lists(WORDS, min_size=1, max_size=20), places=st.lists(PLACES, max_size=5))
def test_parts_of_the_spans_and_nothing_else(
    words: list[str], places: list[tuple[int, int, str]]
) -> None:
    doc = NLP.make_doc(" ".join(words))
    recognised = spans_apart(places, len(doc))
    (found,) = GAZETTEER.find([doc], [[(a, b) for a, b, _ in recognised]])
    after = mend(doc, recognised, found, ordinary=GAZETTEER.ordinary)
    assert after == sorted(after)
    assert all(a[1] <= b[0] for a, b in pairwise(after))
    for start, end, label in after:
        assert any(a <= start < end <= b and label == its for a, b, its in recognised)
        assert any(char.isalpha() for char in doc[start:end].text)
    for start, end, label in recognised:
        assert (start, end) not in found.inside or (start, end, label) in after
