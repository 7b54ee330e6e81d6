"""Explanations against the linker itself: the same answer, sums that add up, parts taken out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from spacy.tokens import Doc

import entlink
from entlink import decide
from entlink.detect import Detector
from entlink.errors import BundleError, ConfigError, InputError
from entlink.explain import (
    GROUPS,
    Vocabulary,
    explain,
    find_mention,
    find_words,
)
from entlink.inputs import MentionInput
from entlink.kb.live import LiveKnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Candidate, Mention
from entlink.rerank.cross_encoder import CrossEncoder, PairReader
from entlink.retrieve.dense import Retrieved, Retriever
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


LONG = f"{'We went on and on, day after day. ' * 9}{TEXT} {'Nobody knew why. ' * 20}"
PARTS = [(TEXT, "sentence", 4), (TEXT, "word", 18), (LONG, "sentence", 20), (LONG, "word", 106)]


@pytest.mark.parametrize(("text", "kind", "n"), PARTS)
def test_a_part_taken_out_is_a_text_without_it(
    linker: Linker, text: str, kind: str, n: int
) -> None:
    """Each shorter text is linked by itself, and whatever its window then holds counts."""
    mention = find_mention(linker, text, "Jordan")
    found = linker.explain(text, mention, vectors=False)
    effects = [e for e in found.effects if (e.kind, e.side) == (kind, "mention")]
    assert len(effects) == n
    before = by_id(linker, text, mention)
    for effect in effects[:: 1 if text == TEXT else 9]:
        assert effect.start is not None and effect.end is not None
        assert text[effect.start : effect.end] == effect.part
        shift = effect.end - effect.start if effect.start < mention.start else 0
        moved = replace(mention, start=mention.start - shift, end=mention.end - shift)
        after = by_id(linker, text[: effect.start] + text[effect.end :], moved)
        sides = [(found.entity_id, effect.cosine, effect.logit)]
        sides.append((found.rival, effect.rival_cosine, effect.rival_logit))
        odds = 0.0
        for sign, (entity_id, cosine, logit) in zip((1, -1), sides, strict=True):
            then, now = before[entity_id], after[entity_id]
            odds += sign * float(np.log(now.probability / then.probability))
            assert cosine == pytest.approx(now.retriever_score - then.retriever_score, abs=1e-5)
            if then.reranker_score is None or now.reranker_score is None:
                assert logit is None
            else:
                assert logit == pytest.approx(now.reranker_score - then.reranker_score, abs=1e-3)
        assert effect.log_odds == pytest.approx(odds, abs=1e-3)
    decisive = found.decisive(kind)
    assert decisive in effects and decisive is not None
    assert abs(decisive.log_odds) == max(abs(e.log_odds) for e in effects) > 0


def by_id(linker: Linker, text: str, mention: Mention) -> dict[str, Candidate]:
    (linked,) = linker.link(entlink.Document("d", text, (mention,)), n_candidates=21)
    return {c.entity_id: c for c in linked.links[0].candidates}


def test_what_is_no_candidate_any_more_has_next_to_no_probability(linker: Linker) -> None:
    """The second of two is retrieved only where the text has a certain word."""
    text = "Nothing is known of Zzyzx here, but for an apple that grew in Paris."
    few = copy.copy(linker)
    few.retriever = Forgetful(linker.retriever)  # type: ignore[assignment]
    (before,) = few.score([(text, find_mention(few, text, "Zzyzx"))])
    second = linker.kb.by_rows(before.retrieved.rows.tolist())[1].id
    found = few.explain(text, "Zzyzx", vectors=False, against=second)
    rows = linker.kb.rows_of([found.entity_id, found.rival])
    gone = False
    for effect in (e for e in found.effects if (e.kind, e.side) == ("word", "mention")):
        assert effect.start is not None and effect.end is not None
        shift = effect.end - effect.start if effect.start < found.mention.start else 0
        moved = replace(
            found.mention, start=found.mention.start - shift, end=found.mention.end - shift
        )
        (now,) = few.score([(text[: effect.start] + text[effect.end :], moved)])
        left = dict(zip(now.retrieved.rows.tolist(), now.probabilities.tolist(), strict=False))
        values = [
            np.log(max(left.get(rows[i], 0.0) if i != NIL else now.probabilities[-1], 1e-6))
            for i in (found.entity_id, found.rival)
        ]
        was = [found.candidate(i).probability for i in (found.entity_id, found.rival)]
        expected = float(values[0] - values[1] - np.log(was[0] / was[1]))
        assert effect.log_odds == pytest.approx(expected, abs=1e-3)
        gone |= any(i != NIL and rows[i] not in left for i in (found.entity_id, found.rival))
    assert gone  # else this shows nothing


class Forgetful:
    """A retriever that finds two entities, but one where nothing is said of an apple."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def retrieve(self, inputs: Sequence[MentionInput], *, k: int) -> list[Retrieved]:
        return [
            self._retriever.retrieve([item], k=2 if "apple" in item.right else 1)[0]
            for item in inputs
        ]

    def __getattr__(self, name: str) -> object:
        return getattr(self._retriever, name)


def test_a_mention_without_a_label_may_get_one(linker: Linker) -> None:
    """As `link` gives it one; the recogniser here sees a person where nobody is late."""
    seeing = copy.copy(linker)
    seeing.detector = Detector(
        gazetteer=linker.detector.gazetteer,
        recogniser=Punctual(),  # type: ignore[arg-type]
    )
    long = f"{'It was dull. ' * 300}{TEXT} {'It was dull. ' * 300}"
    for text in (TEXT, long):
        found = seeing.explain(text, "Jordan", vectors=False)
        assert found.mention.label == ""
        n = 0
        for effect in (e for e in found.effects if "late" in e.part and e.side == "mention"):
            assert effect.start is not None and effect.end is not None
            shorter = text[: effect.start] + text[effect.end :]
            before = by_id(seeing, text, found.mention)
            after = by_id(seeing, shorter, found.mention)
            labelled = seeing.link(entlink.Document("d", shorter, (found.mention,)))[0].links[0]
            assert labelled.mention.label == "PER"
            expected = sum(
                sign * np.log(after[i].probability / before[i].probability)
                for sign, i in ((1, found.entity_id), (-1, found.rival))
            )
            assert effect.log_odds == pytest.approx(expected, abs=1e-3)
            n += 1
        assert n == 2  # the sentence, and the word


class Punctual:
    """A recogniser that sees a person in Jordan, unless something is late."""

    def token_spans(self, docs: Sequence[Doc]) -> list[list[tuple[int, int, str]]]:
        return [
            [(t.i, t.i + 1, "PER") for t in doc if t.text == "Jordan" and "late" not in doc.text]
            for doc in docs
        ]


def test_the_longer_name_may_be_gone_with_its_sentence(linker: Linker) -> None:
    text = "Michael Jordan won. Jordan smiled."
    names = [Mention(0, 14, "Michael Jordan", "PER"), Mention(20, 26, "Jordan", "PER")]
    found = linker.explain(entlink.Document("d", text, tuple(names)), (20, 26), vectors=False)
    assert found.mention.full_name == "Michael Jordan"
    (effect,) = (e for e in found.effects if e.part == "Michael Jordan won.")
    before = by_id(linker, text, found.mention)
    after = by_id(linker, text[19:], Mention(1, 7, "Jordan", "PER"))
    expected = sum(
        sign * np.log(after[i].probability / before[i].probability)
        for sign, i in ((1, found.entity_id), (-1, found.rival))
    )
    assert effect.log_odds == pytest.approx(expected, abs=1e-3) != 0


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


def test_several_mentions_as_one_by_one(linker: Linker) -> None:
    each = list(linker.explain_all(TEXT, words=False))
    assert [e.mention for e in each] == [link.mention for link in linker.link(TEXT)[0].links]
    assert each == [linker.explain(TEXT, e.mention, words=False) for e in each]
    few = list(linker.explain_all(TEXT, ["Chicago", (25, 31)], words=False))
    assert few == [linker.explain(TEXT, m, words=False) for m in ("Chicago", (25, 31))]
    assert list(linker.explain_all("nothing here")) == []


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
