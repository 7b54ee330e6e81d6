"""The window and its parts against the inputs that the models get."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from entlink.explain.parts import Window, word_spans
from entlink.inputs import elsewhere, mention_input, pair_context, pair_context_of
from entlink.records import Mention

WORDS = st.sampled_from(
    [
        "Jordan",
        "a",
        "won.",
        "U.S.",
        "don't",
        "\n",
        "2-0",
        "القدس",
        "😀",
        "end!) ",
        "日本。 ",
        "aa",
        "  ",
    ]
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """A mention somewhere in a text, which may be far longer than what the models see of it."""
    filler = " ".join(draw(st.lists(WORDS, max_size=12)))
    left, right = filler * draw(st.integers(0, 12)), filler * draw(st.integers(0, 12))
    text = f"{left} {' '.join(draw(st.lists(WORDS, max_size=12)))} Jordan {right}"
    start = draw(st.integers(0, len(text) - 1))
    end = min(len(text), start + draw(st.integers(1, 12)))
    full_name = draw(st.sampled_from(["", "Michael Jordan"]))
    return Window.around(text, Mention(start, end, text[start:end], full_name=full_name))


@given(windows())
def test_places_are_those_of_the_characters(window: Window) -> None:
    m, text = window.mention, window.text
    assert window.item == mention_input(text, m.start, m.end, full_name=m.full_name)
    assert "".join(text[place] for place in window.left) == window.item.left
    assert sorted(set(window.left)) == list(window.left)
    assert text[m.end : m.end + len(window.item.right)] == window.item.right
    begin = window.sentence
    assert text[begin : begin + len(window.item.sentence)] == window.item.sentence
    assert begin <= m.start
    assert pair_context_of(window.item) == pair_context(text, m.start, m.end, full_name=m.full_name)


@given(windows())
def test_parts_lie_in_the_window_beside_the_mention(window: Window) -> None:
    m = window.mention
    spans = window.spans()
    covered = {place for span in spans for place in range(span.start, span.end)}
    seen = {*window.left, *range(m.end, m.end + len(window.item.right))}
    seen |= set(range(window.sentence, window.sentence + len(window.item.sentence)))
    seen |= set(range(*elsewhere(window.text, m.start, m.end)))
    assert covered == seen - set(range(m.start, m.end))
    for parts in (window.sentences(), window.words()):
        for part in parts:
            assert part.start < part.end
            assert set(range(part.start, part.end)) <= covered
        for before, after in pairwise(parts):
            assert before.end <= after.start
    letters = {p for p in covered if window.text[p].isalnum()}
    in_sentences = {p for s in window.sentences() for p in range(s.start, s.end)}
    in_words = {p for s in window.words() for p in range(s.start, s.end)}
    assert letters <= in_sentences and letters <= in_words


def test_sentences_as_a_person_would_cut_them() -> None:
    text = "We left. On that day Jordan met Hilton! It was late.\nNews of the day"
    window = Window.around(text, Mention(21, 27, "Jordan"))
    assert [text[s.start : s.end] for s in window.sentences()] == [
        "We left.",
        "On that day",
        "met Hilton!",
        "It was late.",
        "News of the day",
    ]


def test_words_as_a_person_would_cut_them() -> None:
    text = "Don't pay 2.50 to AT&T, the so-called U.S. (ltd.) giant!"
    words = [text[w.start : w.end] for w in word_spans(text)]
    assert words == [
        "Don't",
        "pay",
        "2.50",
        "to",
        "AT&T",
        "the",
        "so-called",
        "U.S",
        "ltd",
        "giant",
    ]


def test_the_head_of_a_long_text_is_part_of_the_window() -> None:
    text = "Basketball news from Chicago. " + "And so it went on and on. " * 40 + "Jordan won."
    start = text.index("Jordan")
    window = Window.around(text, Mention(start, start + 6, "Jordan"))
    first = window.sentences()[0]
    assert text[first.start : first.end] == "Basketball news from Chicago."
    assert "Basketball" in window.item.left
