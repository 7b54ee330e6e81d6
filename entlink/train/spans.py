"""Texts with labelled spans for the recogniser: four label schemes mapped to one.

The one scheme is PER, LOC, ORG, MISC (everything else that has a name: works, events, products,
peoples, awards). Spans of kinds that are mostly common nouns count only when they are written with
a capital or a digit, as a name is.
"""

from __future__ import annotations

import gzip
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from entlink.errors import InputError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

log = logging.getLogger(__name__)

LABELS: Final = ("LOC", "MISC", "ORG", "PER")

_FINE: Final[Mapping[str, str]] = {
    "PER": "PER person researcher scientist politician writer musicalartist",
    "LOC": "LOC location country",
    "ORG": "ORG organisation group corporation university politicalparty band",
    "MISC": "MISC misc product creative-work event election award book poem song album magazine "
    "academicjournal conference astronomicalobject programlang",
}
_COMMON: Final = (
    "algorithm chemicalcompound chemicalelement discipline enzyme field literarygenre metrics "
    "musicalinstrument musicgenre protein task theory"
)
SCHEME: Final[Mapping[str, str]] = {
    **{fine: label for label, fines in _FINE.items() for fine in fines.split()},
    **dict.fromkeys(_COMMON.split(), "MISC"),
}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tokenised text with labelled token spans."""

    words: tuple[str, ...]
    spaces: tuple[bool, ...]  # whether a blank follows the word
    spans: tuple[tuple[int, int, str], ...]  # first token, end token (exclusive), label
    source: str  # the file it came from, without suffixes
    unknown: frozenset[int] = frozenset()  # tokens about which the annotation says nothing


def looks_like_a_name(text: str) -> bool:
    """Whether a text holds a capital or a digit."""
    return any(char.isupper() or char.istitle() or char.isdigit() for char in text)


def read_tagged(
    path: Path, nlp: Language, *, counts: Counter[str], partial: bool = False
) -> list[Tagged]:
    """Read `{"text", "spans": [{"start", "end", "label"}]}` lines (gzipped or not).

    Spans that do not meet token borders are widened to them; what overlaps a longer span, or is
    of a common-noun kind without a capital, is left out and counted. ``partial`` says that the
    source has no MISC: capitalised words outside its spans are then unknown, not outside.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    source = path.name.split(".")[0]
    found = []
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = orjson.loads(line)
                doc = nlp.make_doc(row["text"])
                spans = _token_spans(doc, row["spans"], f"{path}:{number}", counts)
                tagged = Tagged(
                    words=tuple(token.text for token in doc),
                    spaces=tuple(bool(token.whitespace_) for token in doc),
                    spans=spans,
                    source=source,
                )
                found.append(replace(tagged, unknown=_unknown(tagged)) if partial else tagged)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as texts with spans ({error})") from error
    return found


def _token_spans(
    doc: Doc, spans: Iterable[Mapping[str, object]], where: str, counts: Counter[str]
) -> tuple[tuple[int, int, str], ...]:
    chosen: list[tuple[int, int, str]] = []
    for span in sorted(
        spans, key=lambda s: (int(str(s["start"])) - int(str(s["end"])), s["start"])
    ):
        start, end, fine = int(str(span["start"])), int(str(span["end"])), str(span["label"])
        label = SCHEME.get(fine)
        if label is None:
            raise InputError(f"{where}: label {fine!r} has no place in the scheme of spans.py")
        if fine in _COMMON.split() and not looks_like_a_name(doc.text[start:end]):
            counts["common nouns left out"] += 1
            continue
        exact = doc.char_span(start, end)
        wide = exact or doc.char_span(start, end, alignment_mode="expand")
        if wide is None or any(wide.start < e and s < wide.end for s, e, _ in chosen):
            counts["overlapping or empty spans left out"] += 1
            continue
        counts["spans widened to tokens"] += exact is None
        counts["spans kept"] += 1
        chosen.append((wide.start, wide.end, label))
    return tuple(sorted(chosen))


def _unknown(tagged: Tagged) -> frozenset[int]:
    """Capitalised words in mid-sentence outside all spans: may be MISC, which is not annotated."""
    inside = {i for start, end, _ in tagged.spans for i in range(start, end)}
    return frozenset(
        i
        for i, word in enumerate(tagged.words)
        if i not in inside
        and word.istitle()
        and len(word) > 3
        and i > 0
        and (tagged.words[i - 1].islower() or tagged.words[i - 1] == ",")
    )


def ordinary_words(texts: Iterable[Tagged], *, at_least: int = 2) -> list[str]:
    """The words that are written small, sorted: so often, and twice as often as with a capital.

    The gazetteer takes none of these for a name on its capital alone ("Results", "Total").
    """
    small: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for text in texts:
        inside = {i for start, end, _ in text.spans for i in range(start, end)}
        for i, word in enumerate(text.words):
            if len(word) > 1 and word.isalpha():
                if word.islower():
                    small[word] += i not in inside
                elif i in inside:
                    capital[word.lower()] += 1
    return sorted(w for w, n in small.items() if n >= at_least and n > 2 * capital[w])
