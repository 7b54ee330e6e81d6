"""What the models are shown of a mention and of an entity."""

from __future__ import annotations

import math
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.inputs import (
    CONTEXT_CHARS,
    ELSEWHERE_CHARS,
    HEAD_CHARS,
    MAX_SURFACES,
    SENTENCE_CHARS,
    EntityInput,
    cut_mention,
    elsewhere,
    entity_description,
    entity_inputs,
    entity_numbers,
    mention_input,
    pair_context,
    pair_entity,
    sentence_around,
    surfaces,
    with_full_names,
)
from entlink.records import Entity, Mention

words = st.text(st.sampled_from("abcXYZ.!?é😀 א\n"), max_size=900)


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, int, int]:
    text = draw(words) + draw(st.text(min_size=1, max_size=8)) + draw(words)
    start = draw(st.integers(0, len(text) - 1))
    return text, start, draw(st.integers(start + 1, min(len(text), start + 20)))


@settings(max_examples=300, deadline=None)
@given(spans())
def test_contexts_are_what_stands_beside_the_mention(case: tuple[str, int, int]) -> None:
    text, start, end = case
    found = mention_input(text, start, end)
    assert found.span == text[start:end]
    assert text[end:].startswith(found.right)
    assert len(found.right) <= CONTEXT_CHARS
    if len(text) <= end + CONTEXT_CHARS:
        assert found.right == text[end:]
    else:  # cut at a blank, unless there is none
        assert text[end + len(found.right)] == " " or " " not in text[end : end + CONTEXT_CHARS]
    if start <= CONTEXT_CHARS:
        assert found.left == text[:start]
    else:  # the document's first words, then those before the mention
        near = text[start - CONTEXT_CHARS : start]
        near = near.split(" ", 1)[1] if " " in near else near
        head = text[: min(HEAD_CHARS, start - CONTEXT_CHARS)]
        head = head[: head.rfind(" ") + 1]
        assert found.left == head + near
        assert len(found.left) <= CONTEXT_CHARS + HEAD_CHARS


def test_a_long_document_shows_what_it_is_about() -> None:
    text = "BASKETBALL NEWS from Chicago. " + "filler words " * 60 + "Jordan scored."
    start = text.index("Jordan")
    left = mention_input(text, start, start + 6).left
    assert left.startswith("BASKETBALL NEWS from Chicago. ")
    assert left.endswith("filler words ")
    assert "  " not in left


def test_the_longer_name_stands_for_the_span_and_the_label_goes_along() -> None:
    found = mention_input("Jordan won.", 0, 6, label="PER", full_name="Michael Jordan")
    assert (found.span, found.label, found.right) == ("Michael Jordan", "PER", " won.")
    assert mention_input("Jordan won.", 0, 6).label == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("He left. Then *Paris* fell. It rained.", "Then Paris fell."),
        ("*Paris*", "Paris"),
        ("A b *Paris* c d", "A b Paris c d"),
        ("Title\n*Paris* fell\nNext", "Paris fell\n"),
        ('"Go!" she said. *Paris* is "big." Yes.', 'Paris is "big.'),
        ("At 3.5 km *Paris* is 2.1 times", "At 3.5 km Paris is 2.1 times"),
        ("東京です。 *Paris* です。 はい", "Paris です。"),
    ],
)
def test_sentences(text: str, sentence: str) -> None:
    start = text.index("*")
    end = text.index("*", start + 1) - 1
    plain = text.replace("*", "")
    assert sentence_around(plain, start, end) == sentence


@settings(max_examples=200, deadline=None)
@given(spans())
def test_a_sentence_lies_around_its_mention(case: tuple[str, int, int]) -> None:
    text, start, end = case
    found = sentence_around(text, start, end)
    assert found in text
    assert text[start:end] in found
    assert len(found) <= 2 * SENTENCE_CHARS + end - start
    inside = found.replace(text[start:end], "x")
    assert not re.search(r"[.!?]\s+\S", inside) or re.search(r"[.!?]\s", text[start:end])


def person(text: str, name: str, label: str = "PER", *, after: int = 0) -> Mention:
    start = text.index(name, after)
    return Mention(start, start + len(name), name, label)


TEXT = "Jordan won. Michael Jordan smiled. Jordan left. Robert Jordan wrote. Jordan slept."


def mentions() -> list[Mention]:
    places = [0, 12, 35, 48, 69]
    names = ["Jordan", "Michael Jordan", "Jordan", "Robert Jordan", "Jordan"]
    return [person(TEXT, name, after=at) for name, at in zip(names, places, strict=True)]


def test_the_last_longer_name_before_a_short_one_else_the_next() -> None:
    found = with_full_names(mentions())
    assert [m.full_name for m in found] == [
        "Michael Jordan",
        "",
        "Michael Jordan",
        "",
        "Robert Jordan",
    ]
    assert [(m.start, m.end, m.text, m.label) for m in found] == [
        (m.start, m.end, m.text, m.label) for m in mentions()
    ]


@given(seed=st.integers(0, 1000))
def test_the_order_in_which_they_are_given_does_not_matter(seed: int) -> None:
    shuffled = random.Random(seed).sample(mentions(), 5)
    expected = {m.start: m.full_name for m in with_full_names(mentions())}
    found = with_full_names(shuffled)
    assert [m.start for m in found] == [m.start for m in shuffled]
    assert {m.start: m.full_name for m in found} == expected


def test_only_people_and_organisations_of_the_same_label_are_expanded() -> None:
    text = "New England, England, Chicago Bulls, Bulls, Michael Jordan, Jordan"
    found = with_full_names(
        [
            person(text, "New England", "LOC"),
            person(text, "England", "LOC", after=12),
            person(text, "Chicago Bulls", "ORG"),
            person(text, "Bulls", "ORG", after=36),
            person(text, "Michael Jordan", "PER"),
            person(text, "Jordan", "LOC", after=58),
        ]
    )
    assert [m.full_name for m in found] == ["", "", "", "Chicago Bulls", "", ""]
    assert with_full_names([]) == []


def test_words_are_compared_whole_and_blanks_do_not_count() -> None:
    found = with_full_names(
        [
            Mention(0, 10, "Anna  Bell", "PER"),
            Mention(12, 16, "Bell", "PER"),
            Mention(18, 21, "ell", "PER"),
            Mention(23, 27, "Anna", "PER"),
        ]
    )
    assert [m.full_name for m in found] == ["", "Anna  Bell", "", ""]


def test_a_hundred_thousand_mentions_take_no_time() -> None:
    many = [
        Mention(20 * i, 20 * i + 6, "Michael Jordan" if i % 2 else "Jordan", "PER")
        for i in range(100_000)
    ]
    started = time.process_time()
    found = with_full_names(many)
    assert time.process_time() - started < 20  # one by one it would be many minutes
    assert sum(m.full_name == "Michael Jordan" for m in found) == 50_000


FULL = Entity(
    "Q1",
    "Jordan",
    ("Kingdom", "Jordan", "Kingdom", "Al-Urdun"),
    "country in Asia",
    facts="capital Amman",
    types=("Q6256", "Q7"),
    type_names=("country", "kingdom"),
    popularity=4.0,
    degree=99,
)


def test_surfaces_are_distinct_and_limited() -> None:
    assert surfaces(FULL) == ["Jordan", "Kingdom", "Al-Urdun"]
    many = Entity("Q2", "name", tuple(f"alias {i}" for i in range(50)))
    assert surfaces(many) == ["name", *(f"alias {i}" for i in range(MAX_SURFACES - 1))]


def test_an_entity_has_one_input_for_each_surface() -> None:
    text = "country in Asia; capital Amman; country, kingdom"
    assert entity_description(FULL) == text
    assert entity_inputs(FULL) == [
        EntityInput(name, text, ("Q6256", "Q7"), 4.0, 99)
        for name in ("Jordan", "Kingdom", "Al-Urdun")
    ]
    assert entity_description(Entity("Q3", "bare")) == ""


def test_numbers_are_small_and_tell_unknown_from_zero() -> None:
    numbers = entity_numbers(entity_inputs(FULL)[0])
    assert numbers == pytest.approx((1.0, 1.0, math.log(100) / 4))
    unknown = entity_numbers(EntityInput("x", "", (), None, 0))
    zero = entity_numbers(EntityInput("x", "", (), 0.0, 0))
    assert unknown == (0.0, 0.0, 0.0) and zero == (0.0, 1.0, 0.0)


def test_pairs_are_shown_the_same_context() -> None:
    text = "filler " * 50 + "Jordan won. " + "filler " * 50
    start = text.index("Jordan")
    seen = mention_input(text, start, start + 6)
    assert pair_context(text, start, start + 6) == (seen.left, "Jordan", seen.right)
    longer = pair_context(text, start, start + 6, full_name="Michael Jordan")
    assert longer == (seen.left, "Michael Jordan", seen.right)


def test_pairs_are_shown_three_other_names_last() -> None:
    text = "country in Asia; capital Amman; country, kingdom"
    assert pair_entity(FULL) == ("Jordan", f"{text}; also Kingdom, Kingdom, Al-Urdun")
    many = Entity("Q2", "name", tuple("abcde"), "a thing")
    assert pair_entity(many) == ("name", "a thing; also a, b, c")
    assert pair_entity(Entity("Q3", "bare")) == ("bare", "")


def test_the_name_elsewhere_is_shown_first() -> None:
    text = f"King Hussein of Jordan spoke. {'Others did as well. ' * 20}Jordan was praised."
    start = text.rindex("Jordan")
    stretch = text[slice(*elsewhere(text, start, start + 6))]
    assert stretch.startswith("King Hussein of Jordan spoke.") and stretch.endswith(" ")
    left, span, _ = pair_context(text, start, start + 6)
    assert span == "Jordan" and left.startswith("King Hussein of Jordan spoke.") and " | " in left


def test_what_the_contexts_reach_is_not_elsewhere() -> None:
    text = "Jordan met Jordan in Jordan."
    assert elsewhere(text, 11, 17) == (0, 0)
    assert pair_context(text, 11, 17)[0] == "Jordan met "


@given(before=st.text("ab ", max_size=40), after=st.text("ab ", max_size=40))
def test_elsewhere_is_the_name_as_a_word(before: str, after: str) -> None:
    text = f"{before}ab{after}{'.' * 500}ab"
    begin, end = elsewhere(text, len(text) - 2, len(text))
    words = re.findall(r"[ab]+", text[:-2])
    assert (begin < end) == ("ab" in words)
    if begin < end:
        assert "ab" in re.findall(r"[ab]+", text[begin:end])
        assert not text[max(0, begin - 1) : begin].isalnum() or begin == 0
        assert end - begin <= 2 + 2 * ELSEWHERE_CHARS


@given(
    left=st.lists(st.integers(), max_size=30),
    right=st.lists(st.integers(), max_size=30),
    n=st.integers(4, 24),
    n_head=st.integers(0, 12),
)
def test_the_left_context_keeps_its_head(
    left: list[int], right: list[int], n: int, n_head: int
) -> None:
    before, span, after = cut_mention(left, [7, 8, 9], right, n_span=3, n=n, n_head=n_head)
    assert len(before) + len(span) + len(after) <= n and list(span) == [7, 8, 9]
    assert list(after) == right[: len(after)]
    if len(before) < len(left):
        head = min(n_head, (n - 3) // 2)
        tail = len(before) - head
        assert [*before] == [*left[:head], *left[len(left) - tail :]]
        assert len(before) + len(after) == n - 3  # nothing of the budget is left over
