"""Names that are found again elsewhere in a document."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from entlink.detect.recogniser import TokenSpan
from entlink.detect.repeats import with_repeats
from tests.detect.places import spans_apart

NLP = spacy.blank("en")
ORDINARY = frozenset(["woods", "star", "rose"])


def repeats(text: str, *names: str) -> list[tuple[str, str]]:
    """What is found beside the first occurrences of names, each "LABEL:words"."""
    doc = NLP.make_doc(text)
    recognised: list[TokenSpan] = []
    for name in names:
        label, words = name.split(":")
        at = text.index(words)
        span = doc.char_span(at, at + len(words))
        assert span is not None
        recognised.append((span.start, span.end, label))
    found = with_repeats(doc, sorted(recognised), ordinary=ORDINARY)
    assert set(recognised) <= set(found)
    return [(doc[a:b].text, its) for a, b, its in found if (a, b, its) not in recognised]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        # of persons the last word, of others all words
        (
            "Louis Farrakhan left. Farrakhan said so.",
            ["PER:Louis Farrakhan"],
            [("Farrakhan", "PER")],
        ),
        ("Red Star won. Then Red Star lost.", ["ORG:Red Star"], [("Red Star", "ORG")]),
        ("Red Star won. It is a Star.", ["ORG:Red Star"], []),
        ("Springboks won; the Springboks!", ["ORG:Springboks"], [("Springboks", "ORG")]),
        # a name beside another, and ordinary words where any word has a capital
        ("Kevin Brown won. Gordon Brown lost.", ["PER:Kevin Brown"], []),
        ("Tiger Woods won. Woods are green, said Woods.", ["PER:Tiger Woods"], [("Woods", "PER")]),
        ("Mr Rose left. A rose is a rose.", ["PER:Mr Rose"], []),
        # headlines
        (
            "LYNAGH BEATS DWYER AGAIN TODAY . John Dwyer lost",
            ["PER:John Dwyer"],
            [("DWYER", "PER")],
        ),
        ("A LEE WON THE CUP . John Lee lost", ["PER:John Lee"], []),  # three letters are too few
        ("THE WOODS ARE GREEN . Tiger Woods won", ["PER:Tiger Woods"], []),
        # what is no name
        ("In July he left, in July", ["MISC:July"], []),
        ("He met President Bush. Then President Bush left.", ["PER:President Bush"], []),
        ("The 49ers won and the 49ers lost", ["ORG:49ers"], [("49ers", "ORG")]),
        ("no names", [], []),
    ],
)
def test_what_is_found_again(text: str, names: list[str], expected: list[tuple[str, str]]) -> None:
    assert repeats(text, *names) == expected


def test_the_first_label_counts_and_the_longest_form() -> None:
    text = "Star met Red Star. Red Star and a Star"
    assert repeats(text, "MISC:Star", "ORG:Red Star") == [("Red Star", "ORG"), ("Star", "MISC")]


WORDS = st.sampled_from(["Ann", "Bell", "Star", "STAR", "BELL", "the", ".", "July", "of", "7", ","])
PLACES = st.tuples(st.integers(0, 15), st.integers(1, 3), st.sampled_from(["PER", "ORG"]))


@given(words=st.lists(WORDS, max_size=18), places=st.lists(PLACES, max_size=4))
def test_they_repeat_what_was_recognised_and_overlap_nothing(
    words: list[str], places: list[tuple[int, int, str]]
) -> None:
    doc = NLP.make_doc(" ".join(words))
    recognised = spans_apart(places, len(doc))
    found = with_repeats(doc, recognised, ordinary=ORDINARY)
    assert found == sorted(found)
    assert set(recognised) <= set(found)
    tokens = [i for start, end, _ in found for i in range(start, end)]
    assert len(tokens) == len(set(tokens))
    sources = [(doc[a:b].text.split(), label) for a, b, label in recognised]
    for start, end, label in set(found) - set(recognised):
        again = doc[start:end].text.casefold().split()
        assert any(
            label == its and [w.casefold() for w in words][-len(again) :] == again
            for words, its in sources
        )
    assert with_repeats(doc, recognised, ordinary=ORDINARY) == found
