"""The trained recogniser: a small spaCy pipeline that marks names and says what kind they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entlink.errors import BundleError
from entlink.records import Mention

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

MAX_PIECE: Final = (
    2000  # tokens; a longer paragraph is read in pieces, so that memory stays bounded
)
ORDINARY: Final = "ordinary.txt"  # in the pipeline's folder: words usually written small
_BATCH_TOKENS: Final = 20_000
_ENDS: Final = frozenset([".", "!", "?", "…"])

TokenSpan = tuple[int, int, str]  # first token, end token (exclusive), label


def plain_doc(vocab: Vocab, words: Sequence[str], spaces: Sequence[bool]) -> Doc:
    """A Doc of nothing but words: what the recogniser reads, in training and in use."""
    from spacy.tokens import Doc

    return Doc(vocab, words=list(words), spaces=list(spaces))


class Recogniser:
    """Finds names in tokenised docs of any vocabulary. Safe to share between threads."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        self._lock = threading.Lock()  # a vocabulary takes in new words one thread at a time

    @classmethod
    def load(cls, path: Path) -> Recogniser:
        """Read a spaCy pipeline with an `ner` component; BundleError if it cannot be read."""
        from spacy.util import load_model_from_path

        try:
            nlp = load_model_from_path(Path(path))
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"{path}: not a readable spaCy pipeline ({reason})") from error
        if not nlp.has_pipe("ner"):
            raise BundleError(f"{path}: this spaCy pipeline has no 'ner' component")
        return cls(nlp)

    @property
    def nlp(self) -> Language:
        """The pipeline itself, to be trained or saved."""
        return self._nlp

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it gives, sorted."""
        return tuple(sorted(self._nlp.pipe_labels["ner"]))

    def token_spans(self, docs: Sequence[Doc]) -> list[list[TokenSpan]]:
        """The names in each doc, in order, without overlaps."""
        found: list[list[TokenSpan]] = [[] for _ in docs]
        with self._lock, self._nlp.memory_zone():
            for batch in _batches(docs):
                read = self._nlp.pipe(
                    plain_doc(self._nlp.vocab, piece.words, piece.spaces) for piece in batch
                )
                for piece, doc in zip(batch, read, strict=True):
                    at = piece.tokens
                    found[piece.doc].extend(
                        (at[ent.start], at[ent.end - 1] + 1, ent.label_) for ent in doc.ents
                    )
        return found

    def detect(self, docs: Sequence[Doc]) -> list[list[Mention]]:
        """The names in each doc as mentions."""
        return [
            [mention_at(doc, start, end, label) for start, end, label in spans]
            for doc, spans in zip(docs, self.token_spans(docs), strict=True)
        ]


def read_ordinary(path: Path) -> frozenset[str]:
    """The words that a recogniser's folder lists as usually written small; empty if it has none."""
    try:
        return frozenset((Path(path) / ORDINARY).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()


def mention_at(doc: Doc, start: int, end: int, label: str = "") -> Mention:
    """The mention over tokens start..end (exclusive)."""
    span = doc[start:end]
    return Mention(span.start_char, span.end_char, span.text, label)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a doc that the recogniser reads at once: a paragraph, or what of it is not long."""

    doc: int  # which doc
    tokens: tuple[int, ...]  # of the doc, without whitespace tokens
    words: tuple[str, ...]
    spaces: tuple[bool, ...]


def pieces(doc: Doc, *, number: int = 0, max_tokens: int = MAX_PIECE) -> Iterator[Piece]:
    """The doc's paragraphs (parted by blank lines); long ones cut, behind a sentence if it can."""
    paragraph: list[tuple[int, str, bool]] = []
    for token in doc:
        text = token.text
        if not token.is_space:
            paragraph.append((token.i, text, bool(token.whitespace_)))
        if len(paragraph) > max_tokens:
            cut = _cut(paragraph)
            yield _piece(number, paragraph[:cut])
            paragraph = paragraph[cut:]
        elif paragraph and token.is_space and text.count("\n") > 1:
            yield _piece(number, paragraph)
            paragraph = []
    if paragraph:
        yield _piece(number, paragraph)


def _piece(number: int, tokens: Sequence[tuple[int, str, bool]]) -> Piece:
    at, words, spaces = zip(*tokens, strict=True)
    return Piece(number, at, words, spaces)


def _cut(paragraph: Sequence[tuple[int, str, bool]]) -> int:
    """Where to part a paragraph one token too long: behind the last sentence end of its half."""
    longest = len(paragraph) - 1
    ends = (i for i in range(longest, longest // 2, -1) if paragraph[i - 1][1] in _ENDS)
    return next(ends, longest)


def _batches(docs: Sequence[Doc]) -> Iterator[list[Piece]]:
    """The pieces of all docs, some 20,000 tokens at a time."""
    batch: list[Piece] = []
    size = 0
    for number, doc in enumerate(docs):
        for piece in pieces(doc, number=number):
            batch.append(piece)
            size += len(piece.tokens)
            if size >= _BATCH_TOKENS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
