"""Names that a recogniser found in one place of a document and overlooked in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from entlink.detect.recogniser import TokenSpan
from entlink.detect.shapes import Shape, has_company, headline_words, sentence_starts, shape_of

if TYPE_CHECKING:
    from spacy.tokens import Doc

_MIN_LETTERS: Final = 3  # of a word that repeats a name
_MIN_SHOUTED: Final = 4  # of one in capitals that repeats a name that is not

_Form = tuple[str, ...]


def with_repeats(
    doc: Doc, recognised: Sequence[TokenSpan], *, ordinary: frozenset[str] = frozenset()
) -> list[TokenSpan]:
    """The recognised spans and, with their labels, further places that have the same words; sorted.

    Of a person the last word counts as well ("Farrakhan" after "Louis Farrakhan"). A single word
    counts if no other name stands beside it, and, where any word has a capital, if it is none of
    the ``ordinary`` ones, those usually written small, casefolded.
    """
    forms = _forms(doc, recognised)
    if not forms:
        return list(recognised)
    texts = [token.text for token in doc]
    shapes = [shape_of(text) for text in texts]
    taken = {i for start, end, _ in recognised for i in range(start, end)}
    loud, starts = headline_words(shapes), sentence_starts(shapes)
    lengths: dict[str, set[int]] = {}  # of the forms, by their first word
    for form in forms:
        lengths.setdefault(form[0], set()).add(len(form))
    found = list(recognised)
    at = 0
    while at < len(texts):
        end = at + 1
        for length in sorted(lengths.get(texts[at], ()), reverse=True):
            label = forms.get(tuple(texts[at : at + length]))
            if label is None or not taken.isdisjoint(range(at, at + length)):
                continue
            common = (loud[at] or starts[at]) and texts[at].casefold() in ordinary
            if length > 1 or not (common or (not loud[at] and has_company(shapes, at))):
                end = at + length
                found.append((at, end, label))
                break
        at = end
    return sorted(found)


def _forms(doc: Doc, recognised: Sequence[TokenSpan]) -> dict[_Form, str]:
    """The words that are looked for, and the label of the first span that has them."""
    forms: dict[_Form, str] = {}
    for start, end, label in recognised:
        words = tuple(doc[i].text for i in range(start, end))
        shapes = [shape_of(word) for word in words]
        for form in _of_span(words, shapes, label):
            forms.setdefault(form, label)
            if min(map(len, form)) >= _MIN_SHOUTED:
                forms.setdefault(tuple(word.upper() for word in form), label)
    return forms


def _of_span(words: _Form, shapes: Sequence[Shape], label: str) -> Iterator[_Form]:
    if _is_name(words[0], shapes[0]) and shapes[-1].word:
        yield words
    if label == "PER" and len(words) > 1 and _is_name(words[-1], shapes[-1]):
        yield words[-1:]


def _is_name(word: str, shape: Shape) -> bool:
    return (
        len(word) >= _MIN_LETTERS
        and shape.capital
        and shape.spelt
        and not (shape.stop or shape.calendar or shape.office)
    )
