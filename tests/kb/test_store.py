"""The store against the plain records that went in."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.errors import BundleError, InputError
from entlink.kb.aliases import normalise
from entlink.kb.build import build_kb
from entlink.kb.importers.jsonl import read_entities
from entlink.kb.store import FILE_NAME, AliasHit, KnowledgeBase
from entlink.records import Entity

ENTITIES = [
    Entity("E1", "Rome", aliases=("Roma",), types=("T1",), type_names=("city",), popularity=4.0),
    Entity("E2", "Rome", aliases=("Rome, Georgia",), description="a smaller Rome", popularity=2.0),
    Entity("E3", "ROME (band)", aliases=("Rome",)),
    Entity("E4", "C++", aliases=("Cpp",), extra={"note": [1, {"b": None}]}),
    Entity("E5", "C", popularity=1.5),
]
RELATIONS = [
    {"head": "E1", "property": "P138", "name": "named after", "tail": "E3"},
    {"head": "E2", "property": "P138", "name": "named after", "tail": "E1"},
    {"head": "E2", "property": "P138", "name": "named after", "tail": "nobody"},
]
PRIORS = [
    {"surface": "Rome", "counts": {"E1": 6, "elsewhere": 2}},
    {"surface": "rome", "counts": {"E2": 2}, "bootleg": {"E3": 99999}},
    {"surface": "The Eternal City", "counts": {"E1": 1}},
    {"surface": "sea", "counts": {}, "bootleg": {"E5": 7}},
]


def write_jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(
        ENTITIES,
        folder,
        relations=write_jsonl(folder / "relations.jsonl", RELATIONS),
        priors=write_jsonl(folder / "priors.jsonl", PRIORS),
    )
    return KnowledgeBase.open(folder)


def test_by_id_gives_back_what_went_in(kb: KnowledgeBase) -> None:
    assert len(kb) == 5
    assert kb.by_id("E4") == ENTITIES[3]
    assert kb.by_id("E2") == Entity(
        "E2",
        "Rome",
        aliases=("Rome, Georgia",),
        description="a smaller Rome",
        facts="",  # its only fact names a namesake, which tells nothing
        popularity=2.0,
        degree=1,
    )
    assert kb.by_id("E9") is None


def test_rows_are_in_input_order(kb: KnowledgeBase) -> None:
    assert [entity.id for entity in kb.by_rows([4, 0, 0, 2])] == ["E5", "E1", "E1", "E3"]
    assert kb.by_rows([]) == []
    assert kb.rows_of(["E3", "E1", "E9"]) == {"E3": 2, "E1": 0}
    assert [[e.id for e in batch] for batch in kb.iterate(batch_size=2)] == [
        ["E1", "E2"],
        ["E3", "E4"],
        ["E5"],
    ]
    with pytest.raises(InputError, match="no row 5"):
        kb.by_rows([5])


def test_aliases_by_prior_then_popularity(kb: KnowledgeBase) -> None:
    hits = kb.by_aliases(["ROME!", "the eternal city", "roma", "sea", "unheard of", ""])
    assert hits == {
        # 6 of 10 uses mean E1, 2 mean E2, 2 an entity that is not here; weights do not count
        "ROME!": [AliasHit(0, 0.6, 6), AliasHit(1, 0.2, 2), AliasHit(2, 0.0, 0)],
        "the eternal city": [AliasHit(0, 1.0, 1)],
        "roma": [AliasHit(0, 0.0, 0)],
        "sea": [],
        "unheard of": [],
        "": [],
    }
    assert [hit.row for hit in kb.by_aliases(["c++"])["c++"]] == [3]
    assert [hit.row for hit in kb.by_aliases(["C"])["C"]] == [4]


def test_arrays(kb: KnowledgeBase) -> None:
    np.testing.assert_array_equal(kb.popularity, [4.0, 2.0, np.nan, np.nan, 1.5])
    np.testing.assert_array_equal(kb.degree, [2, 1, 1, 0, 0])
    assert kb.popularity.dtype == np.float32
    assert kb.degree.dtype == np.int32


def test_search(kb: KnowledgeBase) -> None:
    assert [e.id for e in kb.search("rome")] == ["E1", "E2", "E3"]
    assert [e.id for e in kb.search("rom", limit=2)] == ["E1", "E2"]
    assert kb.search("") == []


def test_info(kb: KnowledgeBase) -> None:
    assert kb.info["n_entities"] == 5
    assert kb.info["n_aliases"] == 10
    assert kb.digest == kb.info["digest"]
    assert len(kb.digest) == 64


def test_many_surfaces_and_rows_in_one_call(tmp_path: Path) -> None:
    entities = [Entity(f"E{i}", f"name {i % 700}") for i in range(2500)]
    build_kb(entities, tmp_path)
    kb = KnowledgeBase.open(tmp_path)
    hits = kb.by_aliases([f"Name {i}" for i in range(3000)])
    for i in range(3000):
        expected = sorted((f"E{row}", row) for row in range(2500) if row % 700 == i)
        assert [hit.row for hit in hits[f"Name {i}"]] == [row for _, row in expected]
    rows = list(range(2499, -1, -1))
    assert [e.id for e in kb.by_rows(rows)] == [f"E{row}" for row in rows]
    assert kb.rows_of([f"E{i}" for i in range(2500)]) == {f"E{i}": i for i in range(2500)}


# neither empty nor with control characters: a build refuses or removes those (see test_check.py)
NAME = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=4
).filter(str.strip)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(NAME, min_size=1, max_size=3), max_size=8))
def test_aliases_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory, names: list[list[str]]
) -> None:
    entities = [Entity(f"E{i}", n, aliases=tuple(more)) for i, (n, *more) in enumerate(names)]
    entities.append(Entity("last", "last"))
    folder = tmp_path_factory.mktemp("kb")
    build_kb(entities, folder)
    kb = KnowledgeBase.open(folder)
    for surface in {name for row in names for name in row}:
        expected = [
            row
            for row, entity in enumerate(entities)
            if normalise(surface) in {normalise(n) for n in (entity.name, *entity.aliases)} - {""}
        ]
        assert [hit.row for hit in kb.by_aliases([surface])[surface]] == expected
    kb.close()


def _read_in_child(kb: KnowledgeBase) -> list[str]:
    return [entity.id for entity in kb.by_rows([0, 3])]


def test_shared_by_threads_and_processes(kb: KnowledgeBase) -> None:
    assert kb.by_id("E1") is not None  # a connection exists before the fork
    for method in ("fork", "spawn"):
        with get_context(method).Pool(2) as pool:
            assert pool.map(_read_in_child, [kb] * 4) == [["E1", "E4"]] * 4
    barrier = threading.Barrier(4)

    def read(_: int) -> list[str]:
        barrier.wait(timeout=30)
        return _read_in_child(kb)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, range(4))) == [["E1", "E4"]] * 4


def test_closed_opens_again(kb: KnowledgeBase) -> None:
    kb.close()
    assert kb.by_id("E1") is not None


def test_same_input_same_file(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        report = build_kb(ENTITIES, tmp_path / name)
        digests.add(hashlib.sha256(report.path.read_bytes()).hexdigest())
        assert [p.name for p in (tmp_path / name).iterdir()] == [FILE_NAME]  # no scratch file left
    assert len(digests) == 1
    changed = build_kb([*ENTITIES[:-1], Entity("E5", "D")], tmp_path / "c")
    assert changed.digest != KnowledgeBase.open(tmp_path / "a").digest


@pytest.mark.parametrize(
    ("names", "told", "expected"),
    [
        (["cough", "Cold"], None, True),  # half of those that could have one have no capital
        (["cough", "Cold", "Flu"], None, False),
        (["cough", "1984", "7", "風邪", "Cold"], None, True),
        (["1984", "風邪"], None, False),
        (["cough", "Cold", "Flu"], True, True),
        (["cough"], False, False),
    ],
)
def test_any_case_is_chosen_by_how_names_are_written(
    names: list[str], told: bool | None, expected: bool, tmp_path: Path
) -> None:
    entities = [Entity(f"E{n}", name, ("Other",)) for n, name in enumerate(names)]
    report = build_kb(entities, tmp_path / "kb", any_case=told)
    kb = KnowledgeBase.open(tmp_path / "kb")
    assert (report.any_case, kb.any_case) == (expected, expected)
    other = build_kb(entities, tmp_path / "other", any_case=not expected)
    assert other.digest == report.digest  # it is no part of the content


def test_report(tmp_path: Path) -> None:
    only = tmp_path / "only.gz"
    only.write_bytes(gzip.compress(b"E2\nE3\n\nmissing\n"))
    report = build_kb(
        [*ENTITIES, Entity("E2", "again")],
        tmp_path,
        relations=write_jsonl(tmp_path / "relations.jsonl", RELATIONS),
        only=only,
    )
    assert report.n_records == 6
    assert report.n_entities == 2
    assert report.n_duplicates == 1
    assert report.duplicates == ("E2",)
    assert report.n_excluded == 3
    assert report.n_missing == 1
    assert (report.n_relations, report.n_relations_kept, report.n_relations_unknown) == (3, 2, 1)
    kb = KnowledgeBase.open(tmp_path)
    # facts name entities that were not kept
    assert [e.facts for e in kb.by_rows([0, 1])] == ["", "namesake of: Rome"]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no entity is left"):
        build_kb([], tmp_path)


def test_nil_is_no_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'NIL'"):
        build_kb([Entity("NIL", "nothing")], tmp_path)


def test_no_such_kb(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no knowledge base here"):
        KnowledgeBase.open(tmp_path / "absent")
    with pytest.raises(InputError, match="no knowledge base here"):
        KnowledgeBase.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_corrupt_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(BundleError, match="build it again"):
        KnowledgeBase.open(tmp_path)


def test_damaged_pages(tmp_path: Path) -> None:
    path = build_kb([Entity(f"E{i}", f"name {i}") for i in range(3000)], tmp_path).path
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(BundleError, match="build it again"):
        KnowledgeBase.open(tmp_path).by_rows(range(3000))


def test_newer_schema(tmp_path: Path) -> None:
    path = build_kb(ENTITIES, tmp_path).path
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(BundleError, match=r"newer entlink.*upgrade"):
        KnowledgeBase.open(tmp_path)


def test_read_only_folder_is_no_obstacle(tmp_path: Path) -> None:
    path = build_kb(ENTITIES, tmp_path).path
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert KnowledgeBase.open(tmp_path).by_id("E1") is not None
    finally:
        tmp_path.chmod(0o700)


def test_reads_what_the_importer_reads(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "e.jsonl", [{"id": "a", "name": "A", "k": 1, "gloss": "x"}])
    build_kb(read_entities(source), tmp_path)
    assert KnowledgeBase.open(tmp_path).by_id("a") == Entity("a", "A", extra={"k": 1})
