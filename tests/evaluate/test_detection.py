"""Links of found spans: by hand, and against spaCy's own scorer."""

from __future__ import annotations

import random

import pytest
import spacy
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span
from spacy.training import Example

from entlink.evaluate.detection import count_spans
from entlink.evaluate.formats import GoldDocument, GoldMention
from entlink.evaluate.metrics import SpanCounts, span_ratios, tally
from entlink.records import NIL

NLP = spacy.blank("en")
KB = {f"Q{i}" for i in range(4)}


def in_kb(id: str) -> bool:
    return id in KB


def figures(counts: list[SpanCounts]) -> dict[str, float]:
    return tally(["all"], (("all", span_ratios(c)) for c in counts)).figures()


def test_counts_by_hand() -> None:
    gold = GoldDocument(
        "d1",
        "a b c d e f g h",
        (
            GoldMention(0, 1, "Q1"),  # found and right
            GoldMention(2, 3, "Q2"),  # found and wrong
            GoldMention(4, 5, "Q3"),  # found, answered NIL
            GoldMention(6, 7, "Q0"),  # not found: the span is longer
            GoldMention(8, 9, "Q77"),  # outside the KB, linked: left out
            GoldMention(10, 11, NIL),  # linked: left out
            GoldMention(12, 13, None),  # no answer is known, linked: left out
        ),
    )
    found = {
        (0, 1): "Q1",
        (2, 3): "Q1",
        (4, 5): NIL,
        (6, 9): "Q0",
        (8, 9): "Q1",
        (10, 11): "Q1",
        (12, 13): "Q1",
        (14, 15): "Q3",  # no gold span
    }
    counts = count_spans(gold, found, in_kb=in_kb)
    assert counts == SpanCounts(
        doc="d1",
        n_gold=7,
        n_found=8,
        n_right=6,
        n_gold_links=4,
        n_links=4,
        n_right_links=1,
        n_linked=2,
        n_left_out=3,
    )
    assert figures([counts]) == pytest.approx(
        {
            "detect_precision": 6 / 8,
            "detect_recall": 6 / 7,
            "detect_f1": 12 / 15,
            "link_precision": 1 / 4,
            "link_recall": 1 / 4,
            "link_f1": 2 / 8,
            "link_accuracy_where_linked": 1 / 2,
        }
    )


def test_the_answer_nil_is_no_link_even_if_the_kb_has_such_an_id() -> None:
    gold = GoldDocument("d1", "a", (GoldMention(0, 1, NIL),))
    counts = count_spans(gold, {(0, 1): NIL}, in_kb=lambda _: True)
    assert (counts.n_gold_links, counts.n_links, counts.n_left_out) == (0, 0, 0)


def composed(dice: random.Random, *, with_nil: bool, misfound: bool) -> tuple[Doc, Doc]:
    """The same words with gold and with predicted entities, one word each."""
    words = [f"w{i}" for i in range(12)]
    gold, found = Doc(NLP.vocab, words=words), Doc(NLP.vocab, words=words)
    ids = sorted(KB)
    places = dice.sample(range(12), 7)
    answers = [*ids, NIL] if with_nil else ids
    gold.ents = [Span(gold, i, i + 1, label="X", kb_id=dice.choice(answers)) for i in places]
    if misfound:
        places = dice.sample(range(12), 7)
    found.ents = [Span(found, i, i + 1, label="X", kb_id=dice.choice([*ids, NIL])) for i in places]
    return gold, found


def ours(gold: Doc, found: Doc) -> SpanCounts:
    mentions = tuple(GoldMention(e.start_char, e.end_char, e.kb_id_) for e in gold.ents)
    document = GoldDocument("d", gold.text, mentions)
    spans = {(e.start_char, e.end_char): e.kb_id_ for e in found.ents}
    return count_spans(document, spans, in_kb=in_kb)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("with_nil", [False, True])
def test_given_spans_give_the_figures_of_spacys_scorer(seed: int, with_nil: bool) -> None:
    """spaCy counts links on gold spans that are NIL as wrong; we tell how many we left out."""
    dice = random.Random(seed)
    pairs = [composed(dice, with_nil=with_nil, misfound=False) for _ in range(20)]
    theirs = Scorer.score_links([Example(p, g) for g, p in pairs], negative_labels=[NIL])
    counts = [ours(g, p) for g, p in pairs]
    found = figures(counts)
    right = sum(c.n_right_links for c in counts)
    n_links = sum(c.n_links + c.n_left_out for c in counts)
    assert right / n_links == pytest.approx(theirs["nel_micro_p"])
    assert found["link_recall"] == pytest.approx(theirs["nel_micro_r"])
    if not with_nil:
        assert found["link_precision"] == pytest.approx(theirs["nel_micro_p"])
        assert found["link_f1"] == pytest.approx(theirs["nel_micro_f"])
    else:
        assert sum(c.n_left_out for c in counts) > 0


@pytest.mark.parametrize("seed", range(5))
def test_where_spans_differ_spacy_counts_those_that_agree(seed: int) -> None:
    dice = random.Random(seed)
    pairs = [composed(dice, with_nil=False, misfound=True) for _ in range(20)]
    theirs = Scorer.score_links([Example(p, g) for g, p in pairs], negative_labels=[NIL])
    found = figures([ours(g, p) for g, p in pairs])
    assert found["link_accuracy_where_linked"] == pytest.approx(theirs["nel_micro_p"])
    spans = Scorer.score_spans(
        [Example(p, g) for g, p in pairs], "ents", getter=lambda doc, _: doc.ents
    )
    assert found["detect_precision"] == pytest.approx(spans["ents_p"])
    assert found["detect_recall"] == pytest.approx(spans["ents_r"])
    assert found["detect_f1"] == pytest.approx(spans["ents_f"])
