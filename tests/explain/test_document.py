"""Where a bundle has a document pass, explanations know what the text's other mentions say."""

from __future__ import annotations

import copy
from collections.abc import Iterator

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
