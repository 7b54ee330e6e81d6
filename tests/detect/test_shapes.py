from __future__ import annotations

from entlink.detect.shapes import headline_words, sentence_starts, shape_of


def starts(text: str) -> list[str]:
    words = text.split(" ")
    flags = sentence_starts([shape_of(word) for word in words])
    return [word for word, flag in zip(words, flags, strict=True) if flag]


def test_sentence_starts() -> None:
    assert starts("It rained . Then Paris woke") == ["It", "Then"]
    assert starts('" Yes , he said') == ['"', "Yes"]
    assert starts("Rome : Milan won ; Turin lost") == ["Rome"]
    assert starts("one \n Two") == ["one"]
    assert starts("one \n\n Two") == ["one", "Two"]


def test_headlines_need_three_words_in_capitals() -> None:
    def loud(text: str) -> list[str]:
        words = text.split(" ")
        flags = headline_words([shape_of(word) for word in words])
        return [word for word, flag in zip(words, flags, strict=True) if flag]

    assert loud("SOCCER - JAPAN WIN 2-1 . The NATO and UN said") == ["SOCCER", "JAPAN", "WIN"]
    assert loud("LONDON 1996-08-30 West") == []
    assert loud("A MAN BITES A DOG") == ["A", "MAN", "BITES", "A", "DOG"]
