"""Entities of a type are those of all types below it, wherever the hierarchy was read from."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.bundle import write_manifest
from entlink.compact import compact_bundle
from entlink.kb.build import build_from, build_kb
from entlink.kb.hierarchy import tell_cycles
from entlink.kb.importers import read_source
from entlink.kb.importers.records import Located, Parent
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.scratch import Source, open_scratch
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from tests import tiny

OBO = "\n".join(
    f"\n[Term]\nid: {id}\nname: {name}\n" + "".join(f"is_a: {p}\n" for p in above)
    for id, name, above in (
        ("X:1", "vessel", ()),
        ("X:2", "ship", ("X:1",)),
        ("X:3", "sailing ship", ("X:2",)),
        ("X:4", "brig", ("X:3", "X:1")),
        ("X:5", "spar", ()),
        ("X:6", "ring", ("X:7",)),
        ("X:7", "round", ("X:6",)),  # in a circle
    )
)


def built(folder: Path) -> Path:
    folder.mkdir()
    (folder / "in.obo").write_text(OBO, encoding="utf-8")
    build_from([Source(read_source(folder / "in.obo", "obo", on_bad=None))], folder)
    return folder


def of_types(kb: KnowledgeBase, *types: str) -> list[str]:
    return [entity.id for entity in kb.by_rows(kb.rows_of_types(types))]


def test_by_id_and_by_name(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(built(tmp_path / "kb"))
    assert of_types(kb, "X:1") == of_types(kb, "vessel") == ["X:2", "X:3", "X:4"]
    assert of_types(kb, "X:2") == ["X:3", "X:4"]
    assert of_types(kb, "X:4") == of_types(kb, "X:5") == of_types(kb, "unheard of") == []
    assert of_types(kb, "X:6", "X:3") == ["X:4", "X:6", "X:7"]
    assert (
        kb.parent_rows()
        == [
            ("X:2", "X:1"),
            ("X:3", "X:2"),
            ("X:4", "X:1"),
            ("X:4", "X:3"),
            ("X:6", "X:7"),
            ("X:7", "X:6"),
        ]
        or ("X:4", "X:3") not in kb.parent_rows()
    )


def test_without_a_hierarchy_there_are_direct_types(tmp_path: Path) -> None:
    build_kb([Entity("E1", "a", types=("T1",)), Entity("E2", "b", type_names=("T1",))], tmp_path)
    kb = KnowledgeBase.open(tmp_path)
    assert of_types(kb, "T1") == ["E1", "E2"]
    assert kb.parent_rows() == [] and kb.types_below(["T1"]) == {"T1"}


def test_edits_are_of_types_too_and_stay_so(tmp_path: Path) -> None:
    tiny.make_bundle(tmp_path / "b", reranker=False)
    built(tmp_path / "kb")
    (tmp_path / "kb" / "kb.sqlite").replace(tmp_path / "b" / "kb.sqlite")
    bundle = write_manifest(tmp_path / "b")
    with LiveKnowledgeBase.open_with(bundle.path, bundle.edits) as kb:
        assert isinstance(kb, LiveKnowledgeBase)
        encoder = tiny.encoder()
        kb.encode = lambda entities: [encoder.encode_entities([])[:0] for _ in entities]
        kb.add(Entity("N1", "cutter", types=("X:3",)))
        assert of_types(kb, "X:1") == ["X:2", "X:3", "X:4", "N1"]
    compact_bundle(bundle.path)
    with KnowledgeBase.open(bundle.path) as kb:
        assert of_types(kb, "X:1") == ["X:2", "X:3", "X:4", "N1"]


def circles(links: dict[str, list[str]]) -> set[str]:
    """The types that are in a circle: those that are reached from themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = list(links.get(start, ()))
        while waiting:
            if (type := waiting.pop()) not in found:
                found.add(type)
                waiting += links.get(type, ())
        return found

    return {type for type in links if type in reached(type)}


TYPES = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(TYPES, TYPES), max_size=16))
@settings(max_examples=80, deadline=None)
def test_circles_are_those_that_lead_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    connection = open_scratch(tmp_path_factory.mktemp("circles") / "scratch", "")
    rows = [(child, parent, f"f:{n}") for n, (child, parent) in enumerate(pairs, start=1)]
    connection.executemany("INSERT INTO parents VALUES (?, ?, ?)", rows)
    told: list[str] = []
    n_told = tell_cycles(connection, told.append)
    connection.close()
    assert n_told == len(told) == len(set(told))
    links: dict[str, list[str]] = {}
    for child, parent in pairs:
        links.setdefault(child, []).append(parent)
    left = {child: list(parents) for child, parents in links.items()}
    for remark in told:  # each circle is one, closed by a link that stands where it is said to
        where, _, loop = remark.partition(": the types go round in a circle: ")
        names = loop.split(" -> ")
        assert all(b in links[a] for a, b in pairwise(names)) and names[0] == names[-1]
        assert pairs[int(where.removeprefix("f:")) - 1] == (names[-2], names[-1])
        left[names[-2]] = [type for type in left[names[-2]] if type != names[-1]]
    assert circles(left) == set()  # and without those links nothing goes round
    assert bool(circles(links)) == bool(told)


def test_of_a_long_circle_the_first_types_are_named(tmp_path: Path) -> None:
    connection = open_scratch(tmp_path / "scratch", "")
    rows = [(f"T{n:04}", f"T{(n + 1) % 1000:04}", f"f:{n}") for n in range(1000)]
    connection.executemany("INSERT INTO parents VALUES (?, ?, ?)", rows)
    told: list[str] = []
    assert tell_cycles(connection, told.append) == 1
    connection.close()
    assert told[0].startswith("f:999: the types go round in a circle: T0000 -> T0001 -> ")
    assert told[0].endswith("T0019 -> (979 more) -> T0999 -> T0000")


def test_memory_does_not_grow_with_the_hierarchy(tmp_path: Path) -> None:
    def records(n: int) -> Iterator[Located]:
        for number in range(n):
            place, type = f"f:{number}", f"T{number}"
            yield place, Entity(f"E{number}", f"name {number}", types=(type,))
            yield place, Parent(type, f"T{number // 2}")  # T0 is below itself
            yield place, Parent(f"U{number}", f"U{(number + 1) % n}")  # one large circle

    def most(n: int) -> int:
        only, out = tmp_path / f"{n}.ids", tmp_path / f"kb{n}"
        only.write_text("".join(f"E{number}\n" for number in range(n)), encoding="utf-8")
        tracemalloc.start()  # of what Python holds; SQLite keeps to the size of its cache
        report = build_from([Source(records(n))], out, types=["T0"], only=only)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert report.n_entities == n and report.n_cycles == 2
        return peak

    most(100)  # all is imported
    assert most(3_000) < 1.6 * most(500)
