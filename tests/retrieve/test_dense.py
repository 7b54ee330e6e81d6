"""The retriever against a loop over every surface of every entity."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from entlink.encode.dual import BertReading, DualEncoder
from entlink.errors import BundleError
from entlink.inputs import MAX_SURFACES, MentionInput, entity_inputs, surfaces
from entlink.kb.aliases import normalise
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve.dense import Retrieved, Retriever, SurfaceVectors
from entlink.train.distil import with_reader
from tests.tiny import ENTITIES, encoder, write_bert

N_BEARERS = 30  # entities named Mercury


def crowded() -> list[Entity]:
    """Some entities with very many names, many with the same name, some that are all alike."""
    many = [
        Entity(f"M{i:02}", f"Kappa {i}", tuple(f"Kappa {i} {c}" for c in "abcdefghijklmno"))
        for i in range(40)
    ]
    bearers = [
        Entity(f"B{i:02}", "Mercury", (), f"thing {i}", popularity=float(i % 7))
        for i in range(N_BEARERS)
    ]
    alike = [Entity(f"Z{i}", "Twin", (), "the same") for i in range(6)]
    return [*many, *bearers, *ENTITIES, *alike]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    priors = folder / "priors.jsonl"
    priors.write_text(
        '{"surface": "Jordan", "counts": {"Q1": 6, "Q3": 2}}\n'
        '{"surface": "Mercury", "counts": {"B03": 1, "B29": 3}}\n',
        encoding="utf-8",
    )
    build_kb(crowded(), folder, priors=priors)
    return KnowledgeBase.open(folder)


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    return encoder(seed=2)


@pytest.fixture(scope="module")
def retriever(kb: KnowledgeBase, model: DualEncoder) -> Retriever:
    return Retriever(kb, model, SurfaceVectors.build(kb, model))


def mention(span: str, context: str = "in the year of") -> MentionInput:
    return MentionInput(span, f"{context} ", " was seen", f"{context} {span} was seen", "LOC")


SPANS = ["Jordan", "Kappa 3 b", "Kappa", "Mercury", "Twin", "nothing like it", "", "القدس"]


@pytest.fixture(scope="module")
def vectors(kb: KnowledgeBase, model: DualEncoder) -> list[NDArray[np.float64]]:
    """For each entity the vectors of its surfaces."""
    return [
        model.encode_entities(entity_inputs(entity)).astype(np.float64)
        for many in kb.iterate()
        for entity in many
    ]


@pytest.mark.parametrize("k", [1, 5, 20, 60, 500])
def test_the_nearest_entities_and_all_bearers_of_the_name(
    kb: KnowledgeBase,
    model: DualEncoder,
    vectors: list[NDArray[np.float64]],
    retriever: Retriever,
    k: int,
) -> None:
    items = [mention(span) for span in SPANS]
    for item, found in zip(items, retriever.retrieve(items, k=k), strict=True):
        query = model.encode_mentions([item])[0].astype(np.float64)
        best = {row: float((many @ query).max()) for row, many in enumerate(vectors)}
        rows = found.rows.tolist()
        bearers = [
            row
            for row, entity in enumerate(e for many in kb.iterate() for e in many)
            if normalise(item.span) in {normalise(n) for n in (entity.name, *entity.aliases)}
        ]
        assert len(set(rows)) == len(rows) == min(k, len(kb))
        np.testing.assert_allclose(found.cosines, [best[row] for row in rows], atol=1e-5)
        pairs = list(zip((-found.cosines).tolist(), rows, strict=True))
        assert pairs == sorted(pairs)  # by cosine, ties by row
        assert [bool(x) for x in found.is_alias] == [row in bearers for row in rows]
        n_bearers = sum(row in bearers for row in rows)
        assert n_bearers >= min(k, len(bearers))
        # every entity that is left out is further than every one that came in by its vector alone
        left_out = max((best[row] for row in best if row not in rows), default=-1.0)
        by_vector = [best[row] for row in rows if row not in bearers]
        assert min(by_vector, default=1.0) >= left_out - 1e-5


def test_a_context_reader_ranks_what_the_name_finds(
    kb: KnowledgeBase, model: DualEncoder, retriever: Retriever, tmp_path: Path
) -> None:
    """The same candidates, with the cosines of vectors that the context went into."""
    write_bert(tmp_path, ["in the year of was seen"])
    reads = with_reader(model, tmp_path, BertReading(mention_tokens=20))
    assert reads.reader is not None
    torch.nn.init.normal_(reads.reader.out.weight, std=0.2)
    items = [mention(span) for span in SPANS]
    plain = retriever.retrieve(items, k=20)
    found = Retriever(kb, reads, SurfaceVectors.build(kb, reads)).retrieve(items, k=20)
    for item, a, b in zip(items, plain, found, strict=True):
        assert len(b.rows) == 20 and set(a.rows) & set(b.rows)
        entities = [e for many in kb.iterate() for e in many]
        query = reads.encode_mentions([item])[0]
        for row, cosine in zip(b.rows.tolist(), b.cosines.tolist(), strict=True):
            best = (model.encode_entities(entity_inputs(entities[row])) @ query).max()
            assert cosine == pytest.approx(float(best), abs=1e-5)
        assert np.abs(np.sort(a.cosines) - np.sort(b.cosines)).max() > 1e-3


def test_of_too_many_bearers_the_likeliest_are_kept(
    kb: KnowledgeBase, retriever: Retriever
) -> None:
    found = retriever.retrieve([mention("Mercury")], k=10)[0]
    ids = {entity.id for entity in kb.by_rows(found.rows.tolist())}
    likeliest = kb.by_aliases(["Mercury"])["Mercury"][:10]
    assert ids == {entity.id for entity in kb.by_rows([hit.row for hit in likeliest])}
    assert {"B29", "B03"} <= ids and all(id.startswith("B") for id in ids)
    assert found.is_alias.all()


def test_priors_and_what_is_made_of_them(kb: KnowledgeBase, retriever: Retriever) -> None:
    found = retriever.retrieve([mention("jordan")], k=20)[0]
    by_id = {
        entity.id: (float(prior), int(count), bool(alias))
        for entity, prior, count, alias in zip(
            kb.by_rows(found.rows.tolist()),
            found.priors,
            found.counts,
            found.is_alias,
            strict=True,
        )
    }
    assert by_id["Q1"] == (0.75, 6, True)
    assert by_id["Q3"] == (0.25, 2, True)
    assert by_id["Q2"] == (0.0, 0, True)
    assert {value for id, value in by_id.items() if id not in ("Q1", "Q2", "Q3")} == {
        (0.0, 0, False)
    }
    evidence = retriever.evidence(found)
    shrunk = {
        e.id: p for e, p in zip(kb.by_rows(found.rows.tolist()), evidence.priors, strict=True)
    }
    assert shrunk["Q1"] == pytest.approx(6 / (8 + 2))  # two uses of doubt beside the eight
    assert shrunk["Q3"] == pytest.approx(2 / (8 + 2))
    assert shrunk["Q2"] == 0.0
    for row, popularity, degree in zip(
        found.rows, evidence.popularity, evidence.degree, strict=True
    ):
        entity = kb.by_rows([int(row)])[0]
        expected = np.nan if entity.popularity is None else entity.popularity
        np.testing.assert_allclose(popularity, expected, rtol=1e-6)
        assert degree == entity.degree


@pytest.mark.parametrize("rows", [[], [3], [3, 50, 3, 0, 96], list(range(97))])
def test_given_candidates_are_ranked_and_no_others(
    kb: KnowledgeBase,
    model: DualEncoder,
    vectors: list[NDArray[np.float64]],
    retriever: Retriever,
    rows: list[int],
) -> None:
    items = [mention("Jordan"), mention("Mercury")]
    candidates = [np.asarray(rows, dtype=np.int64)] * 2
    for item, found in zip(items, retriever.rank(items, candidates), strict=True):
        query = model.encode_mentions([item])[0].astype(np.float64)
        assert sorted(found.rows.tolist()) == sorted(set(rows))
        expected = [float((vectors[row] @ query).max()) for row in found.rows]
        np.testing.assert_allclose(found.cosines, expected, atol=1e-5)
        assert (np.diff(found.cosines) <= 0).all()
        everything = retriever.retrieve([item], k=500)[0]
        places = [everything.rows.tolist().index(row) for row in found.rows]
        for name in ("priors", "counts", "is_alias"):
            np.testing.assert_array_equal(getattr(found, name), getattr(everything, name)[places])
        assert found.is_alias.dtype == np.bool_


def same(a: Retrieved, b: Retrieved) -> bool:
    return bool((a.rows == b.rows).all() and np.allclose(a.cosines, b.cosines, atol=1e-5))


def test_alone_or_among_others_a_mention_finds_the_same(retriever: Retriever) -> None:
    items = [mention(span, context) for span in SPANS for context in ("a b", "c d e", "")]
    together = retriever.retrieve(items, k=25)
    assert all(
        same(found, retriever.retrieve([item], k=25)[0])
        for item, found in zip(items, together, strict=True)
    )


def test_entities_that_are_alike_come_in_the_order_of_the_kb(
    kb: KnowledgeBase, retriever: Retriever
) -> None:
    for batch in (1, 3, 40):
        found = retriever.retrieve([mention("Twin")] * batch, k=30)[-1]
        ids = [entity.id for entity in kb.by_rows(found.rows.tolist())]
        twins = [id for id in ids if id.startswith("Z")]
        assert twins == [f"Z{i}" for i in range(6)]
        scores = [float(c) for id, c in zip(ids, found.cosines, strict=True) if id.startswith("Z")]
        assert len(set(scores)) == 1


def test_no_mention_finds_nothing(retriever: Retriever) -> None:
    assert retriever.retrieve([], k=10) == []


def test_every_name_of_every_entity_has_its_vector(kb: KnowledgeBase, model: DualEncoder) -> None:
    built = SurfaceVectors.build(kb, model)
    entities = [entity for many in kb.iterate() for entity in many]
    assert built.rows.tolist() == [
        row for row, entity in enumerate(entities) for _ in surfaces(entity)
    ]
    assert len(built.index) == len(built.rows)
    assert len(surfaces(entities[0])) == MAX_SURFACES
    expected = model.encode_entities(entity_inputs(entities[3]))
    places = np.flatnonzero(built.rows == 3)
    np.testing.assert_allclose(built.index.vectors(places), expected, atol=1e-5)


def test_saved_vectors_are_the_same(kb: KnowledgeBase, model: DualEncoder, tmp_path: Path) -> None:
    built = SurfaceVectors.build(kb, model)
    built.save(tmp_path)
    items = [mention(span) for span in SPANS]
    before = Retriever(kb, model, built).retrieve(items, k=9)
    after = Retriever(kb, model, SurfaceVectors.open(tmp_path)).retrieve(items, k=9)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.cosines, b.cosines)


@pytest.mark.parametrize("damage", ["empty", "other", "short", "pickle", "missing"])
def test_rows_that_do_not_fit_are_one_line(
    kb: KnowledgeBase, model: DualEncoder, tmp_path: Path, damage: str
) -> None:
    SurfaceVectors.build(kb, model).save(tmp_path)
    rows = tmp_path / "rows.npy"
    if damage == "empty":
        rows.write_bytes(b"")
    elif damage == "other":
        np.save(rows, np.zeros(len(np.load(rows)), dtype=np.float64))
    elif damage == "short":
        np.save(rows, np.load(rows)[:-1])
    elif damage == "pickle":
        np.save(rows, np.asarray([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        rows.unlink()
    with pytest.raises(BundleError) as caught:
        SurfaceVectors.open(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_words_of_names_and_the_adjectives_of_countries(model: DualEncoder) -> None:
    entities = [
        Entity("bill", "William Clinton", ("Bill Clinton",)),
        Entity("town", "Clinton", (), "town"),
        Entity("de", "Germany", (), "country", popularity=5.0),
        Entity("film", "Germany", (), "film", popularity=1.0),
        Entity("lang", "German", (), "language"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        build_kb(entities, Path(folder))
        kb = KnowledgeBase.open(Path(folder))
        retriever = Retriever(kb, model, SurfaceVectors.build(kb, model))
        items = [mention("Clinton"), mention("Germans"), mention("German"), mention("Bill Smith")]
        for k in (2, 5):
            for found in [
                *retriever.retrieve(items, k=k),
                *retriever.rank(items, [np.arange(5)] * 4),
            ]:
                assert len(found.match.found) == len(found.rows) == len(found.is_country)
        person, people, adjective, other = retriever.retrieve(items, k=5)
        kb.close()

    def by_id(values: NDArray[np.generic], found: Retrieved) -> dict[str, float]:
        return {entities[row].id: float(v) for row, v in zip(found.rows, values, strict=True)}

    assert by_id(person.match.share, person) == pytest.approx(
        {"bill": 0.5, "town": 1.0, "de": 0.0, "film": 0.0, "lang": 0.0}
    )
    assert by_id(person.match.begins, person)["bill"] == 0.0
    assert by_id(other.match.found, other)["bill"] == pytest.approx(0.5)
    for found in (people, adjective):
        countries = by_id(found.is_country, found)
        assert countries == {"bill": 0, "town": 0, "de": 1, "film": 0, "lang": 0}
    assert not any(by_id(people.is_alias, people).values())
