"""Hybrid retrieval against a loop over all entities; several kinds of vectors; their settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, ConfigError
from entlink.inputs import VIEWS, MentionInput, entity_inputs, view_names
from entlink.kb.build import build_kb
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve import hybrid
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.retrieve.live import LiveSurfaces
from entlink.retrieve.sparse import Bm25, entity_text, scores_at
from entlink.vectors import encode_each, load_retriever
from tests.tiny import ENTITIES, encoder, make_bundle

SPANS = ["Jordan", "the river Jordan", "media personality", "Paris", "no such word", ""]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("kb")
    priors = folder / "priors.jsonl"
    priors.write_text('{"surface": "Jordan", "counts": {"Q1": 6, "Q3": 2}}\n', encoding="utf-8")
    build_kb(ENTITIES, folder, priors=priors)
    with KnowledgeBase.open(folder) as opened:
        yield opened


def mention(span: str) -> MentionInput:
    return MentionInput(span, "in the year of ", " was seen", f"{span} was seen", "LOC")


def all_scores(
    kb: KnowledgeBase, model: DualEncoder, span: str, config: RetrievalConfig
) -> list[float]:
    query = model.encode_mentions([mention(span)])[0].astype(np.float64)
    entities = [e for many in kb.iterate() for e in many]
    words = Bm25.of([entity_text(e) for e in entities]).scores(span)
    sparse = scores_at(words, np.arange(len(entities)))
    priors = {hit.row: hit.prior for hit in kb.by_aliases([span])[span]}
    scores = []
    for row, entity in enumerate(entities):
        cosine = max(float(v @ query) for v in model.encode_entities(model.inputs_of(entity)))
        scores.append(cosine + config.bm25 * sparse[row] + config.prior * priors.get(row, 0.0))
    return scores


@pytest.mark.parametrize("aliases", [True, False])
@pytest.mark.parametrize(("bm25", "prior"), [(0.0, 0.0), (0.4, 0.0), (0.0, 2.0), (0.05, 0.3)])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_the_best_by_the_sum_of_scores(
    kb: KnowledgeBase, bm25: float, prior: float, aliases: bool, k: int
) -> None:
    model = encoder(seed=2)
    config = RetrievalConfig(bm25=bm25, prior=prior, aliases=aliases)
    surfaces = SurfaceVectors.build(kb, model)
    retriever = Retriever(kb, model, surfaces, hybrid=Hybrid.of(config, kb))
    items = [mention(span) for span in SPANS]
    for span, found in zip(SPANS, retriever.retrieve(items, k=k), strict=True):
        scores = all_scores(kb, model, span, config)
        rows = found.rows.tolist()
        assert len(rows) == min(k, len(kb))
        np.testing.assert_allclose(found.scores, [scores[row] for row in rows], atol=1e-5)
        assert [(-s, r) for s, r in zip(found.scores.tolist(), rows, strict=True)] == sorted(
            (-s, r) for s, r in zip(found.scores.tolist(), rows, strict=True)
        )
        bearers = {hit.row for hit in kb.by_aliases([span])[span]} if aliases else set()
        assert len(bearers & set(rows)) == min(k, len(bearers))
        if not aliases and not prior and not bm25:
            assert min(scores[r] for r in rows) >= sorted(scores)[-len(rows)] - 1e-5
        if config.is_plain:
            np.testing.assert_array_equal(found.scores, found.cosines)


def test_an_entity_that_only_shares_words_is_found(kb: KnowledgeBase) -> None:
    """All entities but the one are nearer by vector, and k is small."""
    model = encoder(seed=2)
    surfaces = SurfaceVectors.build(kb, model)
    item = mention("media personality")
    dense = Retriever(kb, model, surfaces).retrieve([item], k=3)[0]
    config = RetrievalConfig(bm25=5.0)
    both = Retriever(kb, model, surfaces, hybrid=Hybrid.of(config, kb)).retrieve([item], k=3)[0]
    assert kb.by_rows(both.rows.tolist())[0].id == "Q5"
    assert "Q5" not in {e.id for e in kb.by_rows(dense.rows.tolist())}
    chosen = np.ones(len(kb), dtype=np.bool_)
    chosen[4] = False  # Q5
    part = Retriever(kb, model, surfaces, hybrid=Hybrid.of(config, kb)).within(chosen)
    assert 4 not in part.retrieve([item], k=20)[0].rows


def test_what_was_removed_or_changed_is_not_found_by_its_words(tmp_path: Path) -> None:
    build_kb(ENTITIES, tmp_path / "kb")
    kb = LiveKnowledgeBase.open_with(tmp_path / "kb", tmp_path / "edits")
    model = encoder(seed=2)
    kb.encode = partial(encode_each, model)
    surfaces = LiveSurfaces(SurfaceVectors.build(kb, model), kb, views=model.config.views)
    weighed = Hybrid.of(RetrievalConfig(bm25=5.0), kb)
    retriever = Retriever(kb, model, surfaces, hybrid=weighed)
    assert 4 in retriever.retrieve([mention("media personality")], k=3)[0].rows
    kb.remove("Q5")
    kb.update(replace(ENTITIES[2], description="a stream"))
    assert 4 not in retriever.retrieve([mention("media personality")], k=30)[0].rows
    assert 2 not in retriever.retrieve([mention("Dead Sea river")], k=30)[0].rows
    kb.close()


VIEW_SETS = [views for n in (1, 2, 3) for views in combinations(VIEWS, n)]


@pytest.mark.parametrize("views", VIEW_SETS, ids="+".join)
def test_each_view_has_its_vectors_and_the_best_one_counts(
    kb: KnowledgeBase, views: tuple[str, ...]
) -> None:
    plain = encoder(seed=2)
    model = DualEncoder(replace(plain.config, views=views))
    model.load_state_dict(plain.state_dict())
    surfaces = SurfaceVectors.build(kb, model)
    for row, entity in enumerate(e for many in kb.iterate() for e in many):
        names = [entity.name] if "name" in views else []
        names += [a for a in entity.aliases if a != entity.name] if "aliases" in views else []
        names += [""] if "description" in views and entity.description else []
        expected = names or [entity.name]
        assert view_names(entity, views) == expected
        assert (surfaces.rows == row).sum() == len(expected)
        assert [i.name for i in model.inputs_of(entity)] == expected
    found = Retriever(kb, model, surfaces).retrieve([mention("Paris")], k=100)[0]
    scores = all_scores(kb, model, "Paris", RetrievalConfig())
    np.testing.assert_allclose(found.cosines, [scores[row] for row in found.rows], atol=1e-5)


def test_edits_have_the_same_views(tmp_path: Path) -> None:
    views = ("name", "description")
    model = DualEncoder(replace(encoder().config, views=views)).eval()
    build_kb(ENTITIES[:5], tmp_path / "kb")
    kb = LiveKnowledgeBase.open_with(tmp_path / "kb", tmp_path / "edits")
    kb.encode = partial(encode_each, model)
    surfaces = LiveSurfaces(SurfaceVectors.build(kb, model), kb, views=views)
    retriever = Retriever(kb, model, surfaces)
    added = Entity("N1", "Zeta", ("Zed", "Zeds"), "a letter of Greek")
    kb.add(added)
    found = retriever.retrieve([mention("Zeta")], k=10)[0]
    query = model.encode_mentions([mention("Zeta")])[0]
    place = found.rows.tolist().index(5)
    expected = float((model.encode_entities(entity_inputs(added, views)) @ query).max())
    assert found.cosines[place] == pytest.approx(expected, abs=1e-5)
    assert found.match.found[place] == 1.0
    kb.close()


def test_a_bundle_says_how_candidates_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "bundle", reranker=False)
    kb = KnowledgeBase.open(bundle.path)
    items = [mention(span) for span in SPANS]
    plain = load_retriever(bundle, kb).retrieve(items, k=5)
    assert not list((tmp_path / "cache").glob("bm25-*"))
    RetrievalConfig(bm25=0.4).save(bundle.path)
    expected = Retriever(
        kb,
        model := DualEncoder.load(bundle.path / "retriever"),
        SurfaceVectors.build(kb, model),
        hybrid=Hybrid.of(RetrievalConfig(bm25=0.4), kb),
    ).retrieve(items, k=5)
    for damage in (False, False, True):  # made, then read, then made again
        if damage:
            folder = next((tmp_path / "cache").glob("bm25-*"))
            (folder / "bm25_rows.npy").unlink()
        found = load_retriever(bundle, kb).retrieve(items, k=5)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.rows, b.rows)
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
    assert any((a.rows != b.rows).any() for a, b in zip(found, plain, strict=True))
    (bundle.path / "retrieval.json").write_text('{"bm26": 1}', encoding="utf-8")
    with pytest.raises(BundleError, match="not the settings of a retriever"):
        load_retriever(bundle, kb)
    with pytest.raises(ConfigError, match="bm25 is -1"):
        RetrievalConfig(bm25=-1.0)
    kb.close()


def test_of_two_processes_that_make_the_index_one_wins(kb: KnowledgeBase, tmp_path: Path) -> None:
    config = RetrievalConfig(bm25=1.0)
    first = Hybrid.open(config, kb, tmp_path)
    folder = next(tmp_path.glob("bm25-*"))
    hybrid._make(folder, kb)  # the other one comes too late
    assert [file.name for file in tmp_path.iterdir()] == [folder.name]
    assert first.bm25 is not None
    for a, b in zip(first.bm25.scores("Jordan"), Bm25.open(folder).scores("Jordan"), strict=True):
        np.testing.assert_array_equal(a, b)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        hybrid._make(tmp_path / "file", kb)
