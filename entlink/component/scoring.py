"""Scores for spaCy's training log and `spacy evaluate`, and a reader of gold spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spacy.language import Language
from spacy.scorer import PRFScore, Scorer
from spacy.tokens import Span
from spacy.training import Corpus, Example
from spacy.util import registry

from entlink.records import NIL


def score_links(examples: Iterable[Example], *, nil: str = NIL, **kwargs: Any) -> dict[str, Any]:
    """spaCy's `Scorer.score_links` over the entities that have a gold link.

    Of entities found where there is no gold one, and of gold ones whose link is not annotated, it
    says nothing. Without any gold link all figures are None, which spaCy leaves out of the mean.
    """
    linked = [
        SimpleNamespace(
            reference=SimpleNamespace(ents=[e for e in eg.reference.ents if e.kb_id_]),
            predicted=eg.predicted,
        )
        for eg in examples
    ]
    scores = Scorer.score_links(linked, negative_labels={nil, NIL, ""}, **kwargs)  # type: ignore[arg-type]
    if not any(eg.reference.ents for eg in linked):
        return dict.fromkeys(scores)
    return dict(scores)


def score_mentions(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Precision, recall and F1 of the spans of entities, whatever their labels.

    Examples whose reference says nothing of entities do not count; if none does, all are None.
    """
    score, n_examples = PRFScore(), 0
    for eg in examples:
        if not eg.reference.has_annotation("ENT_IOB"):
            continue
        n_examples += 1
        gold = {(ent.start_char, ent.end_char) for ent in eg.reference.ents}
        score.score_set({(ent.start_char, ent.end_char) for ent in eg.predicted.ents}, gold)
    if not n_examples:
        return {"mentions_p": None, "mentions_r": None, "mentions_f": None}
    return {
        "mentions_p": score.precision,
        "mentions_r": score.recall,
        "mentions_f": score.fscore,
    }


def make_link_scorer() -> Callable[..., dict[str, Any]]:
    """Scores links, as `nel_micro_p`, `nel_micro_r`, `nel_micro_f` and so on."""
    return score_links


def make_mention_scorer() -> Callable[..., dict[str, Any]]:
    """Scores spans, as `mentions_p`, `mentions_r`, `mentions_f`."""
    return score_mentions


def make_gold_mentions(path: Path) -> Callable[[Language], Iterator[Example]]:
    """A `.spacy` file or a folder of them, read so that the gold entities are given, not found.

    For measuring, and choosing between models by, linking alone.
    """

    def read(nlp: Language) -> Iterator[Example]:
        for example in Corpus(path)(nlp):
            spans, _ = example.get_aligned_ents_and_ner()
            doc = example.predicted
            doc.set_ents([Span(doc, s.start, s.end, label=s.label) for s in spans])
            yield example

    return read


registry.scorers("entlink.link_scorer.v1", func=make_link_scorer)
registry.scorers("entlink.mention_scorer.v1", func=make_mention_scorer)
registry.readers("entlink.GoldMentions.v1", func=make_gold_mentions)
