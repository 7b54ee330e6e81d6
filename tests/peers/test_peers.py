"""The peers over a small KB, each against an oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from entlink.errors import ConfigError, InputError
from entlink.evaluate.benchmark.peer import Answer, Kind
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.records import Document, Mention
from tests import tiny
from tests.peers import base
from tests.peers.names import name_peers
from tests.peers.recorded import LINKERS, SETS, recorded_peers
from tests.peers.small import documents
from tests.peers.sparse import Bm25, CharacterTfidf
from tests.peers.systems import peers

IDS = [entity.id for entity in tiny.ENTITIES]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(tiny.ENTITIES, folder)
    with KnowledgeBase.open(folder) as opened:
        yield opened


def document(*surfaces: str) -> Document:
    """The surfaces, with blanks between, as a text of mentions."""
    mentions, at = [], 0
    for surface in surfaces:
        mentions.append(Mention(at, at + len(surface), surface))
        at += len(surface) + 1
    return Document("d", " ".join(surfaces), tuple(mentions))


def ranked(answers: Sequence[Answer]) -> list[list[str]]:
    return [[IDS[row] for row in answer.rows] for answer in answers]


def test_names_by_hand(kb: KnowledgeBase) -> None:
    tops: dict[str, list[str | None]] = {}
    for peer in name_peers():
        peer.prepare(kb)
        (answers,) = peer.answer([document("Jordan", "Paris", "apple", "Nobody")])
        tops[peer.name] = [answer.top for answer in answers]
        assert {tuple(sorted(r)) for r in ranked(answers)} == {
            ("Q1", "Q2", "Q3"),
            ("Q4", "Q5", "Q6"),
            ("Q10", "Q11"),
            (),
        }
    # Q1, Q3 and Q11 have no popularity; all have a description; Q3's, Q5's and Q10's are longest
    assert tops == {
        "most popular of that name": ["Q2", "Q4", "Q10", None],
        "highest prior of that name": ["Q2", "Q4", "Q10", None],  # no uses are counted
        "has a description": ["Q1", "Q4", "Q10", None],
        "has a popularity": ["Q2", "Q4", "Q10", None],
        "longest description": ["Q3", "Q5", "Q10", None],
    }
    keys = [dict(peer.settings()) for peer in name_peers()]
    assert len({str(key) for key in keys}) == len(keys)


def test_grams_against_cosines_one_by_one(kb: KnowledgeBase) -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    peer = CharacterTfidf()
    peer.prepare(kb)
    surfaces = ("Jordann", "Chicago Bull", "georgia", "Paris", "zzz")
    (answers,) = peer.answer([document(*surfaces)])
    names = [(e.id, name) for e in tiny.ENTITIES for name in (e.name, *e.aliases)]
    vectorizer = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    vectors = vectorizer.fit_transform([name for _, name in names]).toarray()
    popularity = {e.id: -1e9 if e.popularity is None else e.popularity for e in tiny.ENTITIES}
    for surface, answer in zip(surfaces, answers, strict=True):
        query = vectorizer.transform([surface]).toarray()[0]
        best: dict[str, float] = {}
        for (id, _), vector in zip(names, vectors, strict=True):
            cosine = round(math.fsum(query * vector), 4)
            if cosine > 0:
                best[id] = max(best.get(id, 0.0), cosine)
        expected = sorted(best, key=lambda id: (-best[id], -popularity[id], IDS.index(id)))
        assert ranked([answer]) == [expected]
        assert answer.top == (expected[0] if expected else None)


def test_words_against_the_formula(kb: KnowledgeBase) -> None:
    pytest.importorskip("bm25s")
    peer = Bm25(threads=1)
    peer.prepare(kb)
    (answers,) = peer.answer([document("Paris Hilton", "River", "Qqq")])
    texts = [
        " ".join((e.name, *e.aliases, e.description or "")).lower().split() for e in tiny.ENTITIES
    ]
    texts = [[word.strip(".") for word in words] for words in texts]
    mean = sum(map(len, texts)) / len(texts)

    def score(query: str, words: list[str]) -> float:  # Lucene's variant, k1 = 1.5, b = 0.75
        total = 0.0
        for word in query.lower().split():
            n = sum(word in text for text in texts)
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            tf = words.count(word)
            total += idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * len(words) / mean))
        return total

    for query, answer in zip(("Paris Hilton", "River"), answers, strict=False):
        scores = {id: score(query, words) for id, words in zip(IDS, texts, strict=True)}
        found = [scores[id] for id in ranked([answer])[0]]
        assert found == pytest.approx(sorted((s for s in scores.values() if s > 0), reverse=True))
    assert (answers[0].top, answers[2].top, len(answers[2].rows)) == ("Q5", None, 0)


def test_recorded_answers_are_of_the_very_spans(tmp_path: Path) -> None:
    from entlink.evaluate.formats.files import replacing

    (tmp_path / "data" / "peers").mkdir(parents=True)
    linker = LINKERS["REL (recorded)"]
    for name, entity in zip(SETS, ("Q7", None), strict=True):
        with replacing(tmp_path / "data" / "peers" / f"{name}.jsonl.gz") as file:
            null = "null" if entity is None else f'"{entity}"'
            file.write(
                f'{{"linker": "{linker}", "doc": "{name} 1", "start": 0, "end": 6, '
                f'"entity": {null}}}\n'.encode()
            )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_SHARED", str(tmp_path))
        peer = next(p for p in recorded_peers() if p.name == "REL (recorded)")
        peer.prepare(None)  # type: ignore[arg-type]  # it has its own KB
        found = [
            peer.answer([Document(f"{name} 1", "France", (Mention(0, 6, "France"),))])[0][0].top
            for name in SETS
        ]
        elsewhere = Document(f"{SETS[0]} 1", "France", (Mention(0, 5, "Franc"),))
        found.append(peer.answer([elsewhere])[0][0].top)
        assert found == ["Q7", None, None]
        assert (peer.kind, peer.is_timed) == (Kind.FINDS, False)
        patch.setenv("ENTLINK_SHARED", str(tmp_path / "none"))
        with pytest.raises(InputError, match="set ENTLINK_SHARED"):
            recorded_peers()[0].prepare(None)  # type: ignore[arg-type]


def test_all_peers_are_made_cheaply_and_say_what_they_lack(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTLINK_PEERS", str(tmp_path))
    made = peers(device="cpu", threads=1)
    assert len({peer.name for peer in made}) == len(made) >= 14
    assert all(peer.about and isinstance(dict(peer.settings()), dict) for peer in made)
    untrained = [p for p in made if p.name in ("BLINK", "BLINK bi-encoder", "spaCy entity_linker")]
    for peer in untrained:
        with pytest.raises(InputError, match="train it with 'make benchmark-train'"):
            peer.prepare(kb)
    with pytest.raises(
        ConfigError, match=r"nothing_like_it is not installed; pip install 'entlink"
    ):
        base.need("nothing_like_it")


def test_vectors_are_made_once_for_a_kb_and_a_model(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTLINK_PEERS", str(tmp_path))
    vectors = np.arange(len(kb) * 2, dtype=np.float32).reshape(-1, 2)
    calls: list[int] = []

    def make(entities: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        calls.append(len(list(entities)))  # type: ignore[call-overload]
        return vectors

    for model, n_calls in (("a", 1), ("a", 1), ("b", 2)):
        assert np.array_equal(base.kept_vectors(kb, model, make), vectors)
        assert calls == [len(kb)] * n_calls


def test_nearest_against_numpy() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 4)).astype(np.float32)
    queries = random.normal(size=(7, 4)).astype(np.float32)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert np.array_equal(base.Flat(vectors).search(queries, k=10), expected)
    assert base.Flat(vectors[:3]).search(queries, k=10).shape == (7, 3)


def test_digests_follow_content_and_name(tmp_path: Path) -> None:
    assert base.digest_of(tmp_path) == ""
    (tmp_path / "a").write_text("1", encoding="utf-8")
    first = base.digest_of(tmp_path)
    assert base.model_digest(str(tmp_path)) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert base.digest_of(tmp_path) not in ("", first)
    assert base.model_digest("a name") == "a name"


def test_the_small_set_is_made_of_our_own_texts() -> None:
    made = documents()
    assert len(made) > 100
    assert len({doc.id for doc in made}) == len(made)
    for doc in made:
        (mention,) = doc.mentions
        assert doc.id.startswith(doc.text[mention.start : mention.end])
