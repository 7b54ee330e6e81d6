from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Span

from entlink.detect import given_mentions, mentions_of_ents
from entlink.errors import InputError
from entlink.records import Mention


def test_given_spans_are_sorted_and_may_overlap() -> None:
    text = "New York City"
    assert given_mentions(text, [(4, 8), (0, 13), (0, 8), (4, 8)]) == [
        Mention(0, 8, "New York"),
        Mention(0, 13, "New York City"),
        Mention(4, 8, "York"),
    ]


@pytest.mark.parametrize("span", [(0, 0), (3, 2), (-1, 2), (0, 99)])
def test_a_span_outside_the_text_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"d7: mention .* does not lie in a text of 8 characters"):
        given_mentions("New York", [span], where="d7")


def test_ents_become_mentions_but_dates_do_not() -> None:
    doc = spacy.blank("en")("Merkel saw Kenya in 2009")
    doc.set_ents(
        [
            Span(doc, 0, 1, label="PERSON"),
            Span(doc, 2, 3, label="GPE"),
            Span(doc, 4, 5, label="DATE"),
        ]
    )
    assert mentions_of_ents(doc) == [
        Mention(0, 6, "Merkel", "PER"),
        Mention(11, 16, "Kenya", "LOC"),
    ]
