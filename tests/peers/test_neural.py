"""Peers with models: in miniature, trained for a second, against brute force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.records import Mention
from entlink.train.data import Example
from tests import tiny
from tests.evaluate.texts import NEWS, WEB
from tests.peers import base, blink, blink_train, spacy_linker
from tests.peers.small_base import save_base
from tests.peers.zero_shot import SentenceEncoder, ZeroShot, entity_text

pytest.importorskip("transformers")

IDS = [entity.id for entity in tiny.ENTITIES]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(tiny.ENTITIES, folder)
    with KnowledgeBase.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def peer_folder(tmp_path_factory: pytest.TempPathFactory, small_base: str) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("peers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_PEERS", str(folder))
        patch.setenv("ENTLINK_PEERS_BASE", small_base)
        yield folder


def examples() -> list[Example]:
    found = []
    for doc in (*NEWS, *WEB):
        mentions: Any = doc["mentions"]
        for m in mentions:
            if m["entity"] in IDS:
                text = str(doc["text"])
                found.append(Example(str(doc["id"]), text, m["start"], m["end"], m["entity"]))
    return found


def pairs() -> list[tuple[str, Mention]]:
    return [(e.text, Mention(e.start, e.end, e.text[e.start : e.end])) for e in examples()]


def test_zero_shot_is_the_nearest_text(
    kb: KnowledgeBase, small_base: str, peer_folder: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    peer = ZeroShot(device="cpu")
    peer.prepare(kb)
    encoder = SentenceEncoder(small_base, device="cpu")
    mentions = pairs()
    entities = [e for some in kb.iterate() for e in some]
    vectors = np.concatenate([encoder.encode([entity_text(e)]) for e in entities])
    for (_, mention), answer in zip(mentions, peer.link(mentions), strict=True):
        cosines = vectors @ encoder.encode([mention.text])[0]
        # in bfloat16 and in batches: the same order but for near ties
        assert np.all(np.diff(cosines[answer.rows]) < 0.02)
        assert answer.top == IDS[int(answer.rows[0])]
        assert len(answer.rows) == len(IDS)


def test_mentions_and_entities_as_blink_writes_them(small_base: str) -> None:
    words = blink.Words(small_base)
    text = "x " * 200 + "Paris" + " y" * 200
    ids = words.mention(text, 400, 405)
    marks = [words.begin, words.end]
    assert len(ids) == blink.MENTION_TOKENS
    assert (ids[0], ids[-1]) == (words.cls, words.sep)
    begin, end = (ids.index(mark) for mark in marks)
    assert words.tokenizer.decode(ids[begin + 1 : end]) == "paris"
    assert abs((begin - 1) - (len(ids) - 2 - end)) <= 1  # as much on the left as on the right
    lonely = words.mention("Paris" + " y" * 200, 0, 5)
    assert len(lonely) == blink.MENTION_TOKENS and lonely[1] == words.begin
    entity = tiny.ENTITIES[3]
    described = words.entity(entity)
    title = described.index(words.title)
    assert words.tokenizer.decode(described[1:title]) == "paris"
    assert words.tokenizer.decode(described[title + 1 : -1]) == "capital of france"
    both = blink.pair(lonely, described)
    batch = words.batch([both, lonely], torch.device("cpu"))
    assert batch["token_type_ids"][0].tolist() == [0] * len(lonely) + [1] * (len(described) - 1)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(both), len(lonely)]


def _one(tower: Any, words: blink.Words, ids: blink.Tokens) -> torch.Tensor:
    return blink.pooled(tower, words.batch([ids], torch.device("cpu")))[0]


def test_the_loss_of_the_bi_encoder_against_a_loop(small_base: str) -> None:
    transformers = pytest.importorskip("transformers")
    words = blink.Words(small_base)
    towers = [transformers.AutoModel.from_pretrained(small_base).eval() for _ in range(2)]
    entities = {entity.id: entity for entity in tiny.ENTITIES}
    batch = examples()[:5]  # two of them mean Q4, which is one entity and no negative of itself
    golds = list(dict.fromkeys(e.gold for e in batch))
    assert len(golds) == 4
    with torch.no_grad():
        found = float(blink_train._bi_loss(towers, words, entities)(batch))
        total = 0.0
        for e in batch:
            own = _one(towers[0], words, words.mention(e.text, e.start, e.end))
            scores = {
                gold: float(own @ _one(towers[1], words, words.entity(entities[gold])))
                for gold in golds
            }
            total += np.log(sum(np.exp(s - scores[e.gold]) for s in scores.values()))
    assert found == pytest.approx(total / len(batch), rel=1e-3)


def test_blink_trained_for_a_second(kb: KnowledgeBase, small_base: str, peer_folder: Path) -> None:
    told = blink_train.train(examples(), kb, base=small_base, minutes=0.02, device="cpu")
    assert told["n_mentions"] == len(examples())
    first, whole = blink.BlinkBiEncoder(device="cpu"), blink.Blink(device="cpu")
    assert "trained for 0.02 minutes on" in first.about
    first.prepare(kb)
    whole.prepare(kb)
    mentions = pairs()
    entities = [e for some in kb.iterate() for e in some]
    words = first._words
    digest = base.digest_of(peer_folder / "blink" / "entity")
    vectors = blink.entity_vectors(kb, None, words, digest)  # kept by prepare, not made here
    for (text, m), a, b in zip(mentions, first.link(mentions), whole.link(mentions), strict=True):
        assert np.array_equal(a.rows, b.rows) and len(a.rows) == len(IDS)
        assert (a.n_pairs, b.n_pairs) == (0, len(IDS))  # all are read
        own = words.mention(text, m.start, m.end)
        query = blink.encode(first._mention_tower, words, [own])[0]
        scores = vectors @ query
        assert np.all(np.diff(scores[a.rows]) <= 0.02 * np.abs(scores).max())
        logits = [
            float(blink.read(whole._cross, words, [blink.pair(own, words.entity(e))])[0])
            for e in entities
        ]
        assert logits[IDS.index(str(b.top))] >= max(logits) - 0.05


def test_spacy_linker_is_bound_to_exact_names(
    kb: KnowledgeBase, small_base: str, peer_folder: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    told = spacy_linker.train(examples(), kb, base=small_base, minutes=0.02, device="cpu")
    assert json.loads((peer_folder / "spacy" / "training.json").read_text())["n_seen"] > 0
    assert told["kb"] == kb.digest
    peer = spacy_linker.SpacyLinker(device="cpu")
    peer.prepare(kb)
    text = "The Bulls met Paris, jordan and Jordan in Twin C++."
    surfaces = ("Bulls", "Paris", "jordan", "Jordan", "Twin", "C++")
    mentions = [(text, Mention(text.index(s), text.index(s) + len(s), s)) for s in surfaces]
    answers = peer.link(mentions)
    found = [sorted(IDS[row] for row in answer.rows) for answer in answers]
    assert found == [
        ["Q14"],
        ["Q4", "Q5", "Q6"],
        [],  # the KB writes it with a capital
        ["Q1", "Q2", "Q3"],
        ["Q20", "Q21"],
        ["Q19"],
    ]
    for answer, ids in zip(answers, found, strict=True):
        assert answer.top in ids if ids else answer.top is None
    assert [a.top for a in peer.link(mentions)] == [a.top for a in answers]  # no dice


def test_priors_for_spacy_are_counted_uses_then_popularity(kb: KnowledgeBase) -> None:
    aliases = spacy_linker.Aliases.of(kb)
    assert [IDS[row] for row in aliases.rows["Paris"]] == ["Q4", "Q5", "Q6"]
    shares = 10.0 ** np.array([4.5, 3.9, 2.2])
    assert aliases.probabilities["Paris"] == pytest.approx(0.1 * 0.999 * shares / shares.sum())
    assert all(p.sum() <= 1 for p in aliases.probabilities.values())


def test_a_sentence_with_its_mention_for_spacy() -> None:
    import spacy

    nlp = spacy.blank("en")
    text = "First one. In mid-Paris-like places, they met. Last one."
    start = text.index("Paris")
    doc = spacy_linker.make_doc(nlp, text, start, start + 5, "Q4")
    assert doc.text == "In mid-Paris-like places, they met."
    assert [(e.text, e.kb_id_) for e in doc.ents] == [("Paris", "Q4")]
    assert len(list(doc.sents)) == 1


def test_principal_axes_against_svd() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) * [5, 4, 3, 1, 1, 1]
    mean, axes = spacy_linker.principal(vectors.astype(np.float32), 3)
    _, _, expected = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(axes @ expected[:3].T), np.eye(3), atol=1e-3)
    assert np.allclose(mean[0], vectors.mean(axis=0), atol=1e-5)
