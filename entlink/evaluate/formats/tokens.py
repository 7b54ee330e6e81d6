"""Words and fields of the formats that have one token a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from entlink.errors import InputError
from entlink.evaluate.formats.gold import GoldMention

_WORD = re.compile(r"\S+")
_BREAKS = re.compile(r"[\t\n\r]")
_NOT_JOINED = re.compile(r"^ | $|  |[\t\n\r]")


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of a text."""

    start: int  # character offset, inclusive
    end: int  # character offset, exclusive


def words(text: str) -> list[Token]:
    """What stands between whitespace, as ``text.split()`` gives it."""
    return [Token(found.start(), found.end()) for found in _WORD.finditer(text)]


def join(tokens: Sequence[str], spaces: Sequence[str]) -> tuple[str, list[Token]]:
    """The text of tokens, each followed by its space but the last, and where the tokens stand."""
    places: list[Token] = []
    at = 0
    for token, space in zip(tokens, spaces, strict=True):
        places.append(Token(at, at + len(token)))
        at += len(token) + len(space)
    text = "".join(token + space for token, space in zip(tokens, spaces, strict=True))
    return text[: places[-1].end] if places else "", places


def cut_at_blanks(text: str, *, where: str, borders: Iterable[int] = ()) -> list[Token]:
    """The tokens of a text in which single blanks part them, cut once more at the borders given.

    Raises InputError for a text with any other whitespace, which a token a line would not keep.
    """
    if odd := _NOT_JOINED.search(text):
        raise InputError(
            f"{where}: has {odd[0]!r} at character {odd.start()}, but a file with a token a line "
            "keeps only single blanks between words; write the text so, or choose the format jsonl"
        )
    cuts = {0, len(text), *borders}
    for at, character in enumerate(text):
        if character == " ":
            cuts |= {at, at + 1}
    ordered = sorted(cuts)
    return [Token(start, end) for start, end in pairwise(ordered) if text[start:end] != " "]


def covered(tokens: Sequence[Token], mention: GoldMention, *, where: str) -> tuple[int, int]:
    """The first and the last of the tokens of a mention.

    Raises InputError if it does not begin and end with a token.
    """
    first = next((i for i, t in enumerate(tokens) if t.start == mention.start), None)
    last = next((i for i, t in enumerate(tokens) if t.end == mention.end), None)
    if first is None or last is None:
        raise InputError(
            f"{where}: the mention at {mention.start} to {mention.end} begins or ends within a "
            "word, which a file of words cannot carry; choose the format jsonl or hipe"
        )
    return first, last


def field(value: str, *, where: str) -> str:
    """The value, if it fits into one field of one line; InputError if not."""
    if not value or value != value.strip() or _BREAKS.search(value):
        raise InputError(
            f"{where}: {value!r} does not fit into one field of a line; ids, labels and words "
            "must not be empty, nor have tabs, line breaks or outer blanks"
        )
    return value
