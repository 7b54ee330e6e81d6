"""Where a bundle has a document pass, explanations know what the text's other mentions say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import entlink
from entlink.linker import Linker
from entlink.records import NIL, Document, Mention
from tests.tiny import make_bundle, seeing_documents

TEXT = (
    "On that day Jordan met Paris Hilton in Chicago. Later Michael Jordan left for Paris. "
    "Chicago is near Chicago, and Jordan is not."
)


@pytest.fixture(scope="module", params=[(False, True), (True, False), (True, True)])
def linker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Linker]:
    bundle = make_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = copy.copy(entlink.load(bundle.path, device="cpu"))
        early, late = request.param
        made.decision = seeing_documents(made.decision, early=early, late=late, scale=0.7, seed=0)
        yield made


@pytest.mark.parametrize("name", ["Jordan", "Chicago", "Paris Hilton"])
def test_the_answer_is_that_of_the_whole_text(linker: Linker, name: str) -> None:
    (document,) = linker.link(TEXT, n_candidates=21)
    (link,) = [x for x in document.links if x.mention.text == name and x.mention.start < 50]
    for mention in (link.mention, name, (link.mention.start, link.mention.end)):
        found = linker.explain(TEXT, mention, words=False, vectors=False, n_candidates=21)
        assert found.mention == link.mention
        assert (found.entity_id, found.name) == (link.entity_id, link.name)
        assert found.probability == pytest.approx(link.probability, rel=1e-5)
        for mine, theirs in zip(found.candidates, link.candidates, strict=False):
            assert mine.entity_id == theirs.entity_id
            assert mine.probability == pytest.approx(theirs.probability, rel=1e-5)


def test_the_answer_is_that_of_the_mentions_that_were_given(linker: Linker) -> None:
    """Others than would be found: they alone speak for each other."""
    names = ["Jordan", "Paris Hilton", "day"]
    given = tuple(Mention(TEXT.index(n), TEXT.index(n) + len(n), n) for n in reversed(names))
    document = Document("d", TEXT, given)
    (linked,) = linker.link(document, n_candidates=21)
    (afresh,) = linker.link(TEXT, n_candidates=21)
    assert linked.links[1].probability != afresh.links[0].probability
    for link in linked.links:
        place = (link.mention.start, link.mention.end)
        for mention in (link.mention, place, link.mention.text):
            found = linker.explain(document, mention, words=False, vectors=False, n_candidates=21)
            assert (found.text, found.mention) == (TEXT, link.mention)
            assert found.entity_id == link.entity_id
            assert found.probability == pytest.approx(link.probability, rel=1e-5)


def test_what_the_document_did_is_a_term(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", words=False, vectors=False, n_candidates=21)
    probability = {c.entity_id: c.probability for c in found.candidates}
    for c in found.candidates:
        against = found.rival if c.entity_id == found.entity_id else found.entity_id
        expected = np.log(c.probability / probability[against])
        assert c.log_odds == pytest.approx(expected, abs=1e-9)
    assert any("document" in c.contributions for c in found.candidates)
    if linker.decision.coherence is not None:  # else those that were read are as they were
        assert "document" in found.candidate(found.entity_id).groups
        assert "document" in found.candidate(NIL).contributions
    alone = linker.explain(TEXT, "Jordan", words=False, vectors=False, n_candidates=21, alone=True)
    ((scored),) = linker.score([(TEXT, found.mention)])
    assert alone.probability == pytest.approx(
        max(float(scored.probabilities.max()), 0.0)
        if alone.entity_id != NIL
        else float(scored.probabilities[-1]),
        rel=1e-5,
    )


PLACES = [(12, 18), (23, 35), (39, 46), (54, 68), (78, 83)]  # in the first two sentences


def given(gone: tuple[int, int] = (0, 0)) -> Document:
    """The text without a stretch, and what is left of five mentions, all said to be people."""
    start, end = gone
    places = [(s, e) for s, e in PLACES if e <= start or s >= end]
    moved = [(s, e) if s < end else (s - end + start, e - end + start) for s, e in places]
    text = TEXT[:start] + TEXT[end:]
    return Document("d", text, tuple(Mention(s, e, text[s:e], "PER") for s, e in moved))


def odds(linker: Linker, document: Document, start: int, answer: str, rival: str) -> float:
    (linked,) = linker.link(document, n_candidates=21)
    (link,) = (x for x in linked.links if x.mention.start == start)
    p = {c.entity_id: c.probability for c in link.candidates}
    p[NIL] = 1 - sum(p.values())
    return float(np.log(p[answer] / p[rival]))


def test_a_sentence_taken_out_is_a_document_without_it(linker: Linker) -> None:
    """Its other mentions are linked anew, and those of the sentence are gone."""
    document, start = given(), TEXT.index("Jordan")
    found = linker.explain(document, (start, start + 6), vectors=False, words=False)
    before = odds(linker, document, start, found.entity_id, found.rival)
    effects = [e for e in found.effects if e.kind == "sentence"]
    assert len(effects) == 4
    for effect in effects:
        assert effect.start is not None and effect.end is not None
        shorter = given((effect.start, effect.end))
        shift = effect.end - effect.start if effect.start < start else 0
        after = odds(linker, shorter, start - shift, found.entity_id, found.rival)
        assert effect.log_odds == pytest.approx(after - before, abs=1e-3)


def test_a_word_taken_out_leaves_the_others_what_they_said(linker: Linker) -> None:
    document, start = given(), TEXT.index("Jordan")
    found = linker.explain(document, (start, start + 6), vectors=False)
    assert document.mentions is not None
    place = [linker.kb.rows_of([i]).get(i) for i in (found.entity_id, found.rival)]

    def by_hand(text: str, own: Mention, rest: list[Mention]) -> float:
        pairs = [(text, own), *((TEXT, m) for m in rest)]
        scores = linker.score(pairs, documents=[0] * len(pairs))[0]
        rows = scores.retrieved.rows.tolist()
        at = [-1 if row is None else rows.index(row) for row in place]  # NIL is the last
        p = scores.probabilities[at]
        return float(np.log(p[0] / p[1]))

    _, *rest = document.mentions
    before = by_hand(TEXT, found.mention, rest)
    effects = [e for e in found.effects if (e.kind, e.side) == ("word", "mention")]
    for effect in effects:
        assert effect.start is not None and effect.end is not None
        left = [m for m in rest if m.end <= effect.start or m.start >= effect.end]
        longer = any(m.text == "Michael Jordan" for m in left)
        shift = effect.end - effect.start if effect.start < start else 0
        moved = Mention(
            start - shift, start - shift + 6, "Jordan", "PER", "Michael Jordan" if longer else ""
        )
        after = by_hand(TEXT[: effect.start] + TEXT[effect.end :], moved, left)
        assert effect.log_odds == pytest.approx(after - before, abs=1e-3)
    assert found.mention.full_name == "Michael Jordan"


def test_all_of_a_document_as_one_by_one(linker: Linker) -> None:
    document = given()
    each = list(linker.explain_all(document, vectors=False, words=False))
    assert len(each) == len(document.mentions or ()) == 5
    for found in each:
        place = (found.mention.start, found.mention.end)
        assert found == linker.explain(document, place, vectors=False, words=False)


def test_all_of_a_document_are_scored_once(linker: Linker) -> None:
    """Counted by the retriever, which every scoring asks."""
    document, asked = given(), []
    counting = copy.copy(linker)

    class Counting:
        def retrieve(self, inputs: Sequence[object], *, k: int) -> object:
            asked.append(len(inputs))
            return linker.retriever.retrieve(inputs, k=k)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(linker.retriever, name)

    counting.retriever = Counting()  # type: ignore[assignment]
    n = len(list(counting.explain_all(document, vectors=False, words=False, tokens=False)))
    assert n == 5 and len(asked) == 1 + n  # once for all, then the shorter texts of each
