"""Trains the recogniser of `entlink_mentions` on the entities of examples, with spaCy's optimizer.

Its labels are PER, LOC, ORG and MISC; those of other schemes are mapped, and what fits none of the
first three is MISC. Dates, numbers and amounts are no names. It reads docs as in use: their
paragraphs, without whitespace tokens. Tokens whose entity is not annotated teach nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import spacy
from spacy.tokens import Span
from spacy.training import Example

from entlink.component.strategies import four
from entlink.detect.detector import Detector
from entlink.detect.given import NOT_NAMES
from entlink.detect.recogniser import Recogniser, pieces, plain_doc

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.vocab import Vocab

_FOLDER: Final = "recogniser"
_LABELS: Final = ("LOC", "MISC", "ORG", "PER")
_LOOKED_AT: Final = 200  # examples from which a fresh recogniser takes its shapes


class RecogniserTraining:
    """A recogniser that learns; the one in use is the same object."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp
        self._ner: Any = nlp.get_pipe("ner")
        self.recogniser = Recogniser(nlp)

    @property
    def model(self) -> Any:
        """The thinc model."""
        return self._ner.model

    @classmethod
    def start(
        cls, detector: Detector, get_examples: Callable[[], Iterable[Example]], language: str
    ) -> RecogniserTraining | None:
        """From the detector's recogniser, else a fresh one; None if no example has entities."""
        if detector.recogniser is not None:
            return cls(detector.recogniser.nlp)
        nlp = spacy.blank(language)
        ner: Any = nlp.add_pipe("ner")
        for label in _LABELS:
            ner.add_label(label)
        read = [
            example
            for eg in islice(get_examples(), _LOOKED_AT)
            for example in plain_examples(nlp.vocab, eg)
        ]
        if not any(example.reference.ents for example in read):
            return None
        nlp.initialize(lambda: read)
        return cls(nlp)

    def accumulate(self, examples: Sequence[Example], *, drop: float) -> float:
        """Add the gradients of these examples; returns the loss."""
        losses: dict[str, float] = {}
        read = [e for eg in examples for e in plain_examples(self._nlp.vocab, eg)]
        if read:
            self._ner.update(read, drop=drop, losses=losses)
        return float(losses.get("ner", 0.0))

    def step(self, sgd: Any) -> None:
        """Use them."""
        self._ner.finish_update(sgd)


def plain_examples(vocab: Vocab, example: Example) -> Iterator[Example]:
    """The example's paragraphs as the recogniser reads them; none if nothing is annotated."""
    doc = example.reference
    if not doc.has_annotation("ENT_IOB"):
        return
    named = [ent for ent in doc.ents if ent.label_ not in NOT_NAMES]
    for piece in pieces(doc):
        place = {token: i for i, token in enumerate(piece.tokens)}
        gold = plain_doc(vocab, piece.words, piece.spaces)
        spans = [
            (inside[0], inside[-1] + 1, ent.label_)
            for ent in named
            if (inside := [place[i] for i in range(ent.start, ent.end) if i in place])
        ]
        covered = {i for start, end, _ in spans for i in range(start, end)}
        unknown = [
            place[i] for i in piece.tokens if doc[i].ent_iob == 0 and place[i] not in covered
        ]
        gold.set_ents(
            [Span(gold, start, end, label=four(label)) for start, end, label in spans],
            missing=[Span(gold, i, i + 1) for i in unknown],
        )
        yield Example(plain_doc(vocab, piece.words, piece.spaces), gold)


def write_recogniser(folder: Path, recogniser: Recogniser | None) -> None:
    """Write it into its place in the component's folder; without one, that place is emptied."""
    from entlink.train.detector import replace_vocabulary

    target = folder / _FOLDER
    shutil.rmtree(target, ignore_errors=True)
    if recogniser is not None:
        replace_vocabulary(recogniser.nlp).to_disk(target)


def read_recogniser(folder: Path) -> Recogniser | None:
    """What `write_recogniser` wrote."""
    target = folder / _FOLDER
    return Recogniser.load(target) if target.is_dir() else None
