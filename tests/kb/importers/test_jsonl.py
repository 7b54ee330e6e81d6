"""What the JSON-lines reader takes, drops and refuses."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from entlink.errors import InputError
from entlink.kb.importers.jsonl import read_entities, read_ids, read_priors, read_relations
from entlink.records import Entity


def lines(path: Path, *rows: object) -> Path:
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows),
        encoding="utf-8",
    )
    return path


def test_only_id_and_name_are_needed(tmp_path: Path) -> None:
    path = lines(tmp_path / "e", {"id": "a", "name": "A"}, "\n", {"id": "b", "name": "B", "z": [1]})
    assert list(read_entities(path)) == [Entity("a", "A"), Entity("b", "B", extra={"z": [1]})]


def test_all_keys(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "e",
        {
            "id": "a",
            "name": "A",
            "aliases": ["x", "x", " "],
            "description": None,
            "paragraph": "a paragraph",
            "types": ["T"],
            "type_names": ["t"],
            "popularity": 2,
            "gloss": "never",
            "benchmark_types": ["never"],
            "source": ["s"],
        },
        {"id": "b", "name": "B", "description": "own", "paragraph": "not this one"},
    )
    assert list(read_entities(path)) == [
        Entity(
            "a",
            "A",
            aliases=("x",),
            description="a paragraph",
            types=("T",),
            type_names=("t",),
            popularity=2.0,
            extra={"source": ["s"]},
        ),
        Entity("b", "B", description="own"),
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (  # scispaCy
            {"concept_id": "C1", "canonical_name": "Boat", "aliases": ["vessel"], "types": ["T1"],
             "definition": "it floats"},
            Entity("C1", "Boat", ("vessel",), "it floats", types=("T1",)),
        ),
        (  # GLinker
            {"entity_id": "Q1", "label": "Boat", "description": "it floats", "entity_type": "craft",
             "popularity": 999, "aliases": ["vessel"]},
            Entity("Q1", "Boat", ("vessel",), "it floats", types=("craft",), type_names=("craft",),
                   popularity=3.0),
        ),
        (  # ReFinED
            {"label": "Boat", "aliases": ["vessel"], "description": "it floats",
             "entity_types": ["Q5"], "entity_id": "A1"},
            Entity("A1", "Boat", ("vessel",), "it floats", types=("Q5",)),
        ),
        (  # MedCAT
            {"cui": "C1", "preferred_name": "Boat", "names": ["vessel"], "type_ids": ["T1"]},
            Entity("C1", "Boat", ("vessel",), types=("T1",)),
        ),
        ({"cui": "C1", "name": "Boat"}, Entity("C1", "Boat")),
    ],
)  # fmt: skip
def test_shapes_of_other_linkers(tmp_path: Path, row: object, expected: Entity) -> None:
    assert list(read_entities(lines(tmp_path / "e", row))) == [expected]


def test_gzip_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "entities.jsonl"
    path.write_bytes(gzip.compress(b'{"id": "a", "name": "A"}\n'))
    assert list(read_entities(path)) == [Entity("a", "A")]
    path.write_bytes(gzip.compress(b'{"id": "a", "name": "A"}\n' * 1000)[:-20])
    with pytest.raises(InputError, match="damaged gzip"):
        list(read_entities(path))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{]\n", "not a JSON object"),
        ("[1]\n", "a JSON list, not an object"),
        ({"id": "a"}, "'name' is None"),
        ({"id": 7, "name": "A"}, "'id' is 7"),
        ({"id": "", "name": "A"}, "'id' is ''"),
        ({"id": "a", "name": "A", "aliases": [1]}, "'aliases' is"),
        ({"id": "a", "name": "A", "popularity": "high"}, "'popularity' is 'high'"),
        ({"id": "a", "name": "A", "popularity": True}, "'popularity' is True"),
        ({"id": "a", "name": "A", "description": 3}, "'description' is 3"),
    ],
)
def test_bad_line_says_where(tmp_path: Path, bad: object, message: str) -> None:
    path = lines(tmp_path / "e", {"id": "x", "name": "X"}, bad, {"id": "y", "name": "Y"})
    with pytest.raises(InputError) as caught:
        list(read_entities(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)
    told: list[str] = []
    assert [e.id for e in read_entities(path, on_bad=told.append)] == ["x", "y"]
    assert told == [str(caught.value)]


def test_bad_utf8_says_where(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(b'{"id": "a", "name": "\xff"}\n')
    with pytest.raises(InputError, match=":1: not a JSON object"):
        list(read_entities(path))
    with pytest.raises(InputError, match=":1: not UTF-8"):
        set(read_ids(path))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_entities(tmp_path / "absent"))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_entities(tmp_path))


def test_relations_and_priors(tmp_path: Path) -> None:
    path = lines(tmp_path / "r", {"head": "a", "property": "p", "tail": "b", "source": ["s"]})
    (relation,) = read_relations(path)
    assert (relation.head, relation.property, relation.name, relation.tail) == ("a", "p", "p", "b")
    assert relation.sources == ("s",)
    path = lines(tmp_path / "p", {"surface": "x", "counts": {"a": 1}, "bootleg": {"b": 9}})
    assert list(read_priors(path)) == [("x", {"a": 1})]
    path = lines(tmp_path / "p", {"surface": "x", "counts": {"a": -1}})
    with pytest.raises(InputError, match=":1: 'counts'"):
        list(read_priors(path))


def test_ids(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text("a\n\n b \n")
    assert set(read_ids(path)) == {"a", "b"}


def test_byte_order_marks(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"id": "a", "name": "A"}\n', encoding="utf-8-sig")
    assert list(read_entities(path)) == [Entity("a", "A")]
    path.write_text("a\nb\n", encoding="utf-8-sig")
    assert set(read_ids(path)) == {"a", "b"}


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    with pytest.raises(InputError, match="a pipe or device; write it to a file first"):
        list(read_entities(path))
