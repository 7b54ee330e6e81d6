"""Ranks, fidelity and sizes against sorted lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import entlink.analyse.ranks as ranks_module
from entlink.analyse import (
    SparseTexts,
    best,
    fidelity_frame,
    fidelity_of,
    how_big,
    how_big_for,
    least_margin,
    margins_of,
    overlaps,
    project,
    projected_ranks,
    ranks_of,
    recall_size,
    smallest,
)
from entlink.analyse.size import composed, entity_text
from entlink.errors import ConfigError, InputError
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from tests.tiny import ENTITIES


def sample(seed: int, n: int = 25, d: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    documents = generator.standard_normal((n, d)) * (generator.random((n, d)) < 0.3)
    documents[3] = documents[2]
    gold = np.asarray([2, 3, 4, 5, 6, 7, 8, 9])
    return documents[gold] + 0.5 * generator.standard_normal((8, d)), documents, gold


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), is_sparse=st.booleans(), cells=st.sampled_from([1, 60, 10**6]))
def test_ranks_are_places_in_a_sorted_list(seed: int, is_sparse: bool, cells: int) -> None:
    queries, documents, gold = sample(seed)
    q, d = (csr_array(queries), csr_array(documents)) if is_sparse else (queries, documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks_module, "_CELLS", cells)
        found = ranks_of(q, d, gold)
    scores, places = best(q, d, k=25)
    for i, own in enumerate(gold):
        order = sorted(range(25), key=lambda j: (-round(float(queries[i] @ documents[j]), 9), j))
        assert found[i] == order.index(own) + 1
        np.testing.assert_allclose(scores[i], [queries[i] @ documents[j] for j in places[i]])
        assert scores[i].tolist() == sorted(scores[i], reverse=True)


@pytest.mark.parametrize("cells", [1, 10**6])
def test_overlaps_by_hand(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(ranks_module, "_CELLS", cells)
    queries, documents, _ = sample(2)
    found = overlaps(queries, documents, k=5, sizes=(4, 512), seed=8)
    for column, size in enumerate((4, 512)):
        q, d = (project(rows, size, seed=8) for rows in (queries, documents))
        for i in range(8):
            exact = sorted(range(25), key=lambda j: (-float(queries[i] @ documents[j]), j))[:5]
            after = sorted(range(25), key=lambda j: (-float(q[i] @ d[j]), j))[:5]
            # the two equal documents may change places by a last bit
            assert abs(found[i, column] - len(set(exact) & set(after)) / 5) <= 0.2
    assert found[:, 1].mean() > 0.8 > found[:, 0].mean()
    assert overlaps(queries[:0], documents, k=5, sizes=(4,)).shape == (0, 1)


def test_best_is_checked() -> None:
    queries, documents, _ = sample(0)
    with pytest.raises(ConfigError, match="k is 26; it must be from 1 to the 25 documents"):
        best(queries, documents, k=26)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
@pytest.mark.parametrize("numbers", [1, 100, 1 << 20])
def test_projected_ranks_are_ranks_of_projections(
    monkeypatch: pytest.MonkeyPatch, kind: str, numbers: int
) -> None:
    monkeypatch.setattr(ranks_module, "_NUMBERS", numbers)
    queries, documents, gold = sample(1)
    found = projected_ranks(queries, documents, gold, sizes=(4, 16, 64), kind=kind, seed=3)
    for column, k in enumerate((4, 16, 64)):
        q, d = (project(rows, k, kind=kind, seed=3) for rows in (queries, documents))
        np.testing.assert_array_equal(found[:, column], ranks_of(q, d, gold))
    assert (found[:, 2] <= found[:, 0]).mean() > 0.7
    sparse = projected_ranks(
        csr_array(queries), csr_array(documents), gold, sizes=(4, 16, 64), kind=kind, seed=3
    )
    np.testing.assert_array_equal(found, sparse)


def test_fidelity_by_hand() -> None:
    queries, documents, gold = sample(5)
    lengths = np.arange(25) // 6  # of the gold ones: 0 0 0 0 1 1 1 1
    rows = fidelity_of(queries, documents, gold, lengths, sizes=(3, 32), r0=2, n_groups=2)
    exact = ranks_of(queries, documents, gold) <= 2
    kept = projected_ranks(queries, documents, gold, sizes=(3, 32)) <= 2
    assert [(row.k, row.shortest, row.longest, row.n) for row in rows] == [
        (3, 0, 0, 4),
        (3, 1, 1, 4),
        (32, 0, 0, 4),
        (32, 1, 1, 4),
    ]
    for row, (column, part) in zip(
        rows, [(0, slice(0, 4)), (0, slice(4, 8)), (1, slice(0, 4)), (1, slice(4, 8))], strict=True
    ):
        assert row.exact == exact[part].mean()
        assert row.kept == pytest.approx(kept[part, column][exact[part]].mean())
    frame = fidelity_frame(rows)
    assert frame["kept"].tolist() == [row.kept for row in rows]
    with pytest.raises(InputError, match="no query"):
        fidelity_of(queries[:0], documents, gold[:0], lengths, sizes=(3,))


def test_a_group_of_which_nothing_was_right_has_no_fidelity() -> None:
    documents = np.eye(4)
    (row,) = fidelity_of(documents[[1]], documents, np.asarray([0]), np.ones(4, int), sizes=(2,))
    assert row.exact == 0 and np.isnan(row.kept)


def test_how_big_is_the_least_size_that_keeps_so_much() -> None:
    queries, documents, gold = sample(11)
    sizes = (2, 4, 8, 16, 32, 64, 128)
    found = how_big_for(queries, documents, gold, r0=2, keep=0.7, sizes=sizes[::-1])
    exact = ranks_of(queries, documents, gold)
    good = np.flatnonzero(exact <= 2)
    assert found.exact_recall == len(good) / 8
    half = [
        projected_ranks(queries[good[i::2]], documents, gold[good[i::2]], sizes=sizes, seed=i) <= 2
        for i in (0, 1)
    ]
    shares = half[0].mean(axis=0)
    assert found.recommended == next(k for k, s in zip(sizes, shares, strict=True) if s >= 0.7)
    column = sizes.index(found.recommended)
    assert found.checked == half[1][:, column].mean()
    least = smallest(margins_of(queries[good], documents, gold[good]), (2,))[:, 0]
    assert found.margin == np.quantile(least, 1 - 0.7, method="lower")
    assert found.bound == recall_size(found.margin, n_documents=25, r0=2, beta=0.05)
    for i, point in enumerate(found.points):
        assert point.k == sizes[i]
        assert point.kept == np.concatenate([half[0][:, i], half[1][:, i]]).mean()
        enough = least_margin(point.k, n_documents=25, r0=2, beta=0.05)
        assert point.promised == (least >= enough).mean()
    assert found.to_frame()["kept"].tolist() == [point.kept for point in found.points]
    assert f"{found.recommended} dimensions keep 70%" in "\n".join(found.lines())


def test_the_bound_is_seen_to_hold() -> None:
    """Where it promises, no more than beta is lost; and here it promises something."""
    generator = np.random.default_rng(0)
    documents = np.concatenate([np.eye(20), np.zeros((20, 5))], axis=1)
    gold = np.arange(20)
    queries = documents[gold] + 0.02 * generator.standard_normal((20, 25))
    found = how_big_for(queries, documents, gold, r0=1, sizes=(8, 64, 512), beta=0.1)
    assert [point.promised for point in found.points] == [0.0, 0.0, 1.0]
    assert all(point.broken <= 0.1 for point in found.points)
    assert found.bound is not None and found.recommended is not None
    assert found.recommended <= 64 < found.bound <= 512


def test_nothing_is_enough() -> None:
    queries, documents, gold = sample(0)
    found = how_big_for(queries, documents, gold, keep=1.0, r0=1, sizes=(1,))
    assert found.recommended is None and found.checked is None
    assert "none of these sizes" in "\n".join(found.lines())
    twins = np.ones((3, 4))
    found = how_big_for(twins[:1], twins, np.asarray([0]), r0=1, sizes=(2,))
    assert found.margin == 0 and found.bound is None
    assert "no number of dimensions" in "\n".join(found.lines())
    with pytest.raises(InputError, match="no query has its document"):
        how_big_for(np.eye(3)[[1]], np.eye(3), np.asarray([0]), r0=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": 95}, "keep is 95; it must be a share"),
        ({"keep": 0.0}, "keep is 0.0; it must be a share"),
        ({"sizes": ()}, r"sizes are \(\); give one or more"),
        ({"sizes": (8, 0)}, r"sizes are \(8, 0\); give one or more"),
        ({"r0": 0}, "r0 is 0; it must be from 1 to the 25 documents"),
        ({"r0": 26}, "r0 is 26; it must be from 1 to the 25 documents"),
        ({"gold": np.arange(7)}, "gold has 7 documents for 8 queries"),
        ({"gold": np.arange(8) + 18}, "gold goes from 18 to 25; it must be places from 0 to 24"),
        ({"gold": np.arange(8) - 1}, "gold goes from -1 to 6; it must be places from 0 to 24"),
    ],
)
def test_what_how_big_is_not_for(options: dict[str, Any], said: str) -> None:
    queries, documents, gold = sample(0)
    chosen: dict[str, Any] = {"gold": gold, "r0": 2} | options
    with pytest.raises(ConfigError, match=said):
        how_big_for(queries, documents, **chosen)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_queries_without_a_known_word_tell_nothing(is_sparse: bool) -> None:
    queries, documents, gold = sample(11)
    gold[0] = 0  # all documents score 0 alike, and this is the first of them
    queries[0] = 0
    q, d = (csr_array(queries), csr_array(documents)) if is_sparse else (queries, documents)
    found = how_big_for(q, d, gold, r0=2, sizes=(8, 64))
    assert found == how_big_for(q[np.arange(1, 8)], d, gold[1:], r0=2, sizes=(8, 64))
    assert found.n_queries == 7
    with pytest.raises(InputError, match="no query has a word of the texts"):
        how_big_for(q[np.zeros(3, int)], d, gold[:3], r0=2)


def test_how_big_for_a_knowledge_base(tmp_path: Path) -> None:
    build_kb(ENTITIES, tmp_path)
    with KnowledgeBase.open(tmp_path) as kb:
        found = how_big(kb, sizes=(8, 64, 256), r0=3, n_queries=21)
        assert (found.n_documents, found.n_queries) == (21, 21)
        assert found.exact_recall > 0.9
        assert found.recommended in (64, 256)
        entities = [entity for batch in kb.iterate() for entity in batch]
        texts = SparseTexts.of([entity_text(entity) for entity in entities])
        queries = list(composed(entities, n=21, seed=0))
        assert {id for _, id in queries} == {entity.id for entity in entities}
        rows = np.arange(21)
        again = how_big_for(
            texts.queries([text for text, _ in queries]),
            texts.vectors,
            rows,
            r0=3,
            sizes=(8, 64, 256),
        )
        assert found == again
        given = how_big(kb, queries=[("capital of France", "Q4"), ("x", "Q999")], r0=3, sizes=(64,))
        assert given.n_queries == 1
        tfidf = how_big(kb, weights="tfidf", kind="rademacher", r0=100, sizes=(8,))
        assert tfidf.r0 == 21 and tfidf.bound is None and tfidf.recommended == 8
        assert "any number of dimensions" in list(tfidf.lines())[-1]
        with pytest.raises(ConfigError, match="n_queries is -1; it must be at least 1"):
            how_big(kb, n_queries=-1)
        with pytest.raises(InputError, match="no query is of its entities"):
            how_big(kb, queries=[("x", "Q999")])
