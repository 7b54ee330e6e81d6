"""Explanations against the linker itself: the same answer, sums that add up, parts taken out."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

import entlink
from entlink import decide
from entlink.errors import BundleError, ConfigError, InputError
from entlink.explain import (
    GROUPS,
    Effect,
    Explanation,
    Vocabulary,
    explain,
    find_mention,
    find_words,
)
from entlink.kb.live import LiveKnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Mention
from entlink.rerank.cross_encoder import CrossEncoder, PairReader
from tests.tiny import ENTITIES, make_bundle

TEXT = "We went on. On that day Jordan met Paris Hilton in Chicago. It was late; they ate an apple."
TEXTS = [
    (TEXT, "Jordan"),
    (TEXT, "Chicago"),
    ("They know Twin and the Chicago Bulls of Georgia.", "Twin"),
    ("They know Twin and the Chicago Bulls of Georgia.", "Georgia"),
    ("Paris", "Paris"),
    ("Nothing is known of Zzyzx here.", "Zzyzx"),
]


@pytest.mark.parametrize(("text", "name"), TEXTS)
def test_the_answer_and_all_scores_are_those_of_the_link(
    linker: Linker, text: str, name: str
) -> None:
    mention = find_mention(linker, text, name)
    found = linker.explain(text, name, n_candidates=5)
    doc = linker.prepare([entlink.Document("d", text, (mention,))])[0]
    ((link,),) = linker.link_docs(doc, [[mention]], n_candidates=5)
    assert (found.entity_id, found.name) == (link.entity_id, link.name)
    assert found.probability == pytest.approx(link.probability, rel=1e-6)
    shown = [c for c in found.candidates if c.entity_id != NIL][:5]
    for mine, theirs in zip(shown, link.candidates, strict=True):
        assert (mine.entity_id, mine.name) == (theirs.entity_id, theirs.name)
        assert mine.cosine == pytest.approx(theirs.retriever_score)
        assert mine.prior == pytest.approx(theirs.prior)
        assert mine.reranker_score == theirs.reranker_score
        assert mine.probability == pytest.approx(theirs.probability)
        assert mine.rank == shown.index(mine) + 1


@pytest.mark.parametrize("name", ["linker", "bare"])
@pytest.mark.parametrize(("text", "mention"), TEXTS)
def test_contributions_add_up_to_the_log_odds(
    request: pytest.FixtureRequest, name: str, text: str, mention: str
) -> None:
    linker: Linker = request.getfixturevalue(name)
    found = linker.explain(text, mention, n_candidates=50, words=False, vectors=False)
    assert len(found.candidates) == len(ENTITIES) + 1
    assert sum(c.probability for c in found.candidates) == pytest.approx(1.0)
    probability = {c.entity_id: c.probability for c in found.candidates}
    stages = set()
    for c in found.candidates:
        against = found.rival if c.entity_id == found.entity_id else found.entity_id
        expected = np.log(c.probability) - np.log(probability[against])
        assert c.log_odds == pytest.approx(expected, abs=1e-9)
        assert sum(c.groups.values()) == pytest.approx(c.log_odds, abs=1e-9)
        assert set(c.contributions) <= {
            *decide.CANDIDATE_FEATURES,
            *decide.NIL_FEATURES,
            "was_read",
        }
        stages.add(c.stage)
    assert stages == (
        {"answer", "reading", "before reading"} if found.n_read else {"answer", "before reading"}
    )
    assert found.candidate(found.entity_id).stage == "answer"


def test_what_decided_has_the_largest_share(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", vectors=False, words=False)
    for c in found.candidates:
        sign = 1 if c.stage == "answer" else -1
        if c.decided_by:
            assert sign * c.groups[c.decided_by] == max(sign * v for v in c.groups.values()) > 0
        else:
            assert max(sign * v for v in c.groups.values()) <= 0


@pytest.mark.parametrize("kind", ["sentence", "word"])
def test_a_part_taken_out_is_a_text_without_it(linker: Linker, kind: str) -> None:
    """Here the window holds the whole text, so taking a part out is to link a shorter text."""
    mention = find_mention(linker, TEXT, "Jordan")
    found = linker.explain(TEXT, mention, vectors=False)
    effects = [e for e in found.effects if (e.kind, e.side) == (kind, "mention")]
    assert len(effects) == {"sentence": 4, "word": 18}[kind]
    for effect in effects:
        assert effect.start is not None and effect.end is not None
        assert TEXT[effect.start : effect.end] == effect.part
        if effect.part.endswith("Chicago."):
            continue  # without its end, the mention's sentence would go on with the next
        odds, cosine, logit = shorter(linker, found, mention, effect)
        assert effect.log_odds == pytest.approx(odds, abs=1e-3)
        assert effect.cosine == pytest.approx(cosine, abs=1e-5)
        assert effect.logit == pytest.approx(logit, abs=1e-3)
    decisive = found.decisive(kind)
    assert decisive in effects and decisive is not None
    assert abs(decisive.log_odds) == max(abs(e.log_odds) for e in effects) > 0


def shorter(
    linker: Linker, found: Explanation, mention: Mention, effect: Effect
) -> tuple[float, float, float]:
    """Changes of log-odds, cosine and logit, by the linker's own parts on the shorter text."""
    assert effect.start is not None and effect.end is not None
    text = TEXT[: effect.start] + TEXT[effect.end :]
    shift = effect.end - effect.start if effect.start < mention.start else 0
    moved = replace(mention, start=mention.start - shift, end=mention.end - shift)
    (before,) = linker.score([(TEXT, mention)])
    (after,) = linker.score([(text, moved)])
    rows = before.retrieved.rows
    where = [int(np.flatnonzero(after.retrieved.rows == row)[0]) for row in rows]
    place = [linker.kb.rows_of([i])[i] for i in (found.entity_id, found.rival)]
    one, other = (int(np.flatnonzero(rows == row)[0]) for row in place)
    contexts = [(t[: m.start], m.text, t[m.end :]) for t, m in ((TEXT, mention), (text, moved))]
    from entlink.inputs import pair_entity

    assert linker.reranker is not None
    texts = [pair_entity(entity) for entity in linker.kb.by_rows(place)]
    a, _, c, d = linker.reranker.score(contexts, texts, [(0, 0), (0, 1), (1, 0), (1, 1)])
    logits = before.logits.copy()
    logits[[one, other]] = c, d
    read = np.flatnonzero(np.isfinite(logits))
    cosines = after.retrieved.cosines[where]
    evidence = replace(linker.retriever.evidence(before.retrieved), cosines=cosines)
    first = decide.first_probabilities(linker.decision, evidence)
    p = decide.final_probabilities(linker.decision, evidence, first, read, logits[read])
    was = before.probabilities
    odds = np.log(p[one] / p[other]) - np.log(was[one] / was[other])
    return float(odds), float(cosines[one] - before.retrieved.cosines[one]), float(c - a)


def test_inputs_left_out(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", vectors=False)
    named = {(e.side, e.part) for e in found.effects if e.kind == "input"}
    assert {("mention", part) for part in ("span", "left", "right", "sentence")} <= named
    for side in (found.entity_id, found.rival):
        entity = linker.kb.by_id(side)
        assert entity is not None
        parts = {part for of, part in named if of == side}
        assert {"name", "description"} <= parts
        assert ("aliases" in parts) == bool(entity.aliases)
        assert ("types" in parts) == bool(entity.types)
    changed = [e for e in found.effects if e.kind == "input" and e.log_odds]
    assert len(changed) > 4
    of_rival = [e for e in found.effects if e.side == found.rival]
    assert all(e.cosine == 0 for e in of_rival) and any(e.rival_cosine for e in of_rival)


def test_the_description_left_out_is_an_entity_without_one(linker: Linker) -> None:
    from entlink.explain.parts import Window
    from entlink.inputs import entity_inputs

    found = linker.explain(TEXT, "Jordan", vectors=False)
    (effect,) = (e for e in found.effects if (e.side, e.part) == (found.entity_id, "description"))
    entity = linker.kb.by_id(found.entity_id)
    assert entity is not None
    encoder = linker.retriever.encoder
    query = encoder.encode_mentions([Window.around(TEXT, found.mention).item])[0]
    without = encoder.encode_entities(entity_inputs(replace(entity, description=None)))
    best = float((without @ query).max())
    assert effect.cosine == pytest.approx(best - (found.candidates[0].cosine or 0.0), abs=1e-5)


def test_the_longer_name_is_a_part_too(linker: Linker) -> None:
    text = "Michael Jordan won. Jordan smiled."
    long, short = Mention(0, 14, "Michael Jordan", "PER"), Mention(20, 26, "Jordan", "PER")
    (document,) = linker.link([entlink.Document("d", text, (long, short))])
    found = linker.explain(text, document.links[1].mention, vectors=False)
    assert found.mention.full_name == "Michael Jordan"
    assert found.entity_id == document.links[1].entity_id
    (effect,) = (e for e in found.effects if e.part == "full name")
    assert effect.cosine != 0
    assert all(t.start is None for t in found.tokens if t.side == "span")


def test_a_mention_by_place_by_words_and_of_a_link_are_one(linker: Linker) -> None:
    start = TEXT.index("Jordan")
    (document,) = linker.link(TEXT)
    (link,) = (link for link in document.links if link.mention.text == "Jordan")
    by_words = linker.explain(TEXT, "Jordan", vectors=False)
    assert by_words == linker.explain(TEXT, (start, start + 6), vectors=False)
    assert by_words == linker.explain(TEXT, link.mention, vectors=False)
    assert by_words.mention == link.mention


def test_words_stand_whole_before_they_stand_in_others(linker: Linker) -> None:
    text = "A Parisian saw the BUS to Paris in the US. Georgians: C++."
    for words, start in [("Paris", 26), ("US", 39), ("Georgia", 43), ("C++", 54), ("C++.", 54)]:
        assert find_mention(linker, text, words).start == start
    assert find_words(text, "Georgia") == find_words(text, "") == -1


def test_against_another(linker: Linker) -> None:
    usual = linker.explain(TEXT, "Jordan", words=False, vectors=False)
    other = next(c.entity_id for c in usual.candidates if c.stage == "before reading")
    found = linker.explain(TEXT, "Jordan", words=False, vectors=False, against=other)
    assert (found.entity_id, found.rival) == (usual.entity_id, other)
    assert found.candidate(found.entity_id).log_odds == -found.candidate(other).log_odds
    none = linker.explain(TEXT, "Jordan", words=False, vectors=False, against=NIL)
    assert none.rival == NIL
    same = linker.explain(TEXT, "Jordan", words=False, vectors=False, against=usual.entity_id)
    assert same.rival == usual.rival


def test_an_entity_that_was_not_retrieved(linker: Linker) -> None:
    part = linker.within(ids=["Q1", "Q2", "Q3"])
    found = part.explain(TEXT, "Jordan", words=False, vectors=False, against="Q4")
    assert found.rival == "Q4" and not found.candidate("Q4").retrieved
    assert all(c.retrieved for c in found.candidates if c.entity_id != "Q4")
    with pytest.raises(InputError, match="has no entity Q999"):
        part.explain(TEXT, "Jordan", against="Q999")


def test_one_entity_alone_and_nil(linker: Linker) -> None:
    alone = linker.within(ids=["Q7"])
    found = alone.explain("Nothing is known of Zzyzx here.", "Zzyzx", vectors=False)
    assert {c.entity_id for c in found.candidates} == {"Q7", NIL}
    assert {found.entity_id, found.rival} == {"Q7", NIL}
    assert found.effects


def test_nothing_is_read_without_a_reranker(bare: Linker) -> None:
    found = bare.explain(TEXT, "Jordan", vectors=False)
    assert found.n_read == 0 and found.tokens == ()
    assert "no pair was read" in found.notes[0]
    assert all(e.logit is None for e in found.effects)
    assert any(e.cosine for e in found.effects)


def test_the_same_question_the_same_answer(linker: Linker) -> None:
    assert linker.explain(TEXT, "Chicago") == linker.explain(TEXT, "Chicago")


def test_vectors_read_as_words(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", words=False)
    assert [r.of for r in found.readings] == ["mention", found.entity_id, found.rival]
    for reading in found.readings:
        assert len(reading.words) == 20 <= reading.n_words
        shares = [share for _, share in reading.words]
        assert shares == sorted(shares, reverse=True)
        own = set(reading.ranks)
        assert set(reading.expansion).isdisjoint(own)
        assert {w for w, _ in reading.words} - set(reading.expansion) <= own
        assert set(reading.amnesia) <= own
        assert all(reading.ranks[word] > 0.05 * reading.n_words for word in reading.amnesia)
    ranks = [c.enriched_rank for c in found.candidates if c.entity_id != NIL]
    assert all(rank is not None and 1 <= rank <= len(ENTITIES) for rank in ranks)
    assert len(set(ranks)) == len(ranks)
    without = linker.explain(TEXT, "Jordan", words=False, vectors=False)
    assert without.readings == () and without.candidates[0].enriched_rank is None


def test_enrichment_of_nothing_changes_no_rank(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", words=False, enrichment=0.0)
    for c in found.candidates:
        assert c.enriched_rank == (c.retriever_rank or None)


def test_frames_and_json_hold_the_same(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan")
    frame = found.to_frame()
    assert list(frame["entity_id"]) == [c.entity_id for c in found.candidates]
    assert list(frame["name"]) == [c.name for c in found.candidates]
    groups = frame[[f"by_{name}" for name in GROUPS if f"by_{name}" in frame]].fillna(0.0)
    assert groups.shape[1] == 6  # all kinds but for "document"
    np.testing.assert_allclose(groups.sum(axis=1), frame["log_odds"], atol=1e-9)
    effects = found.effects_frame()
    assert len(effects) == len(found.effects)
    assert list(effects["log_odds"].abs()) == sorted(effects["log_odds"].abs(), reverse=True)
    assert len(found.tokens_frame()) == len(found.tokens) > 10
    words = found.words_frame()
    assert len(words) == 60 and set(words["of"]) == {"mention", found.entity_id, found.rival}
    read = orjson.loads(orjson.dumps(found.to_dict()))
    assert read["entity"] == found.entity_id
    assert [c["entity"] for c in read["candidates"]] == list(frame["entity_id"])
    assert {"probability", "retriever_score", "prior", "reranker_score"} <= set(
        read["candidates"][0]
    )
    assert read["decisive"]["sentence"] == asdict(found.decisive() or pytest.fail("none"))
    lone = linker.explain("Paris", "Paris")
    assert lone.decisive() is None and lone.to_dict()["decisive"]["word"] is None
    assert lone.effects_frame().shape[1] == effects.shape[1]


def test_a_page_for_people(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan")
    page = str(found)
    for c in found.candidates:
        assert c.entity_id in page and f"{c.probability:.3f}" in page
    decisive = found.decisive()
    assert decisive is not None and decisive.part[:30] in page
    assert "forgotten" in page and "gradient x input" in page
    answer = found.candidate(found.entity_id)
    assert f"from {answer.retriever_rank} to {answer.enriched_rank}" in page
    assert "Lexical enrichment" not in str(linker.explain(TEXT, "Jordan", vectors=False))
    nil = str(linker.within(ids=["Q7"]).explain("Of Zzyzx.", "Zzyzx", against=None))
    assert "NIL" in nil


def test_a_knowledge_base_that_was_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    made = entlink.load(make_bundle(tmp_path / "tiny").path, device="cpu")
    assert isinstance(made.kb, LiveKnowledgeBase)
    vocabulary = Vocabulary.of(made.kb, made.retriever.encoder)
    made.kb.remove(*(entity.id for entity in ENTITIES))
    found = explain(made, TEXT, "Jordan", vocabulary=vocabulary)
    assert (found.entity_id, found.rival, found.effects) == (NIL, "", ())
    assert [c.entity_id for c in found.candidates] == [NIL]
    assert found.probability == found.candidates[0].probability == pytest.approx(1.0)
    assert [reading.of for reading in found.readings] == ["mention"]
    assert "0 candidates, 0 of them read" in str(found)
    assert found.to_frame().shape[0] == 1


class Other(PairReader):
    """Any other backend: it reads pairs, but nobody can look inside."""

    def __init__(self, reader: CrossEncoder) -> None:
        super().__init__(reader.pairs)
        self._reader = reader

    @property
    def backend(self) -> str:
        return "other"

    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        return self._reader.logits(ids, segments, is_token)


def test_tokens_whatever_computes_the_reranker(linker: Linker) -> None:
    other = copy.copy(linker)
    assert isinstance(linker.reranker, CrossEncoder)
    other.reranker = Other(linker.reranker)
    expected = linker.explain(TEXT, "Jordan", words=False, vectors=False)
    found = other.explain(TEXT, "Jordan", words=False, vectors=False)
    assert [t.token for t in found.tokens] == [t.token for t in expected.tokens]
    for mine, theirs in zip(found.tokens, expected.tokens, strict=True):
        # saved weights are in half precision
        assert mine.weight == pytest.approx(theirs.weight, rel=0.02, abs=1e-3)
    assert found.effects == expected.effects


def test_nil_against_what_was_not_read(linker: Linker) -> None:
    strict = copy.copy(linker)
    strict.decision = replace(linker.decision, nil_threshold=1.1)
    usual = strict.explain(TEXT, "Jordan", words=False, vectors=False)
    assert usual.entity_id == NIL and usual.n_read and usual.tokens
    assert all(e.side != NIL for e in usual.effects)
    unread = [c for c in usual.candidates if c.reranker_score is None and c.entity_id != NIL]
    found = strict.explain(TEXT, "Jordan", words=False, vectors=False, against=unread[0].entity_id)
    assert found.rival == unread[0].entity_id
    assert found.tokens == () and all(e.logit is None for e in found.effects)
    assert "why" in str(found).lower() and "and not" in str(found)


def test_a_head_reads_nothing_where_nothing_reads(bare: Linker, tmp_path: Path) -> None:
    found = bare.explain(TEXT, "Jordan", words=False, vectors=False, head=tmp_path)
    assert found.readings == ()


def test_what_cannot_be_asked(linker: Linker) -> None:
    with pytest.raises(InputError, match="the text does not have 'Rome'"):
        linker.explain(TEXT, "Rome")
    with pytest.raises(InputError, match="does not lie in a text"):
        linker.explain(TEXT, (5, 5000))
    with pytest.raises(InputError, match="the mention at 0 says 'Jordan'"):
        linker.explain(TEXT, Mention(0, 6, "Jordan"))
    for name, value in [("n_candidates", 0), ("n_words", -3), ("enrichment", float("nan"))]:
        with pytest.raises(ConfigError, match=f"{name} is {value}; it must be"):
            linker.explain(TEXT, "Jordan", **{name: value})
    with pytest.raises(BundleError, match="no masked-language head"):
        linker.explain(TEXT, "Jordan", vectors=False, words=False, head="nowhere")
    with pytest.raises(ConfigError, match="is not among the candidates"):
        linker.explain(TEXT, "Jordan", vectors=False, words=False).candidate("Q999")
    with pytest.raises(ConfigError, match="kind is 'verb'"):
        Vocabulary.of_texts(["a"], linker.retriever.encoder, kind="verb")
