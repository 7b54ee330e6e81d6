"""Files to measure on: what is read, and one sentence for each that cannot be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from entlink.errors import InputError
from entlink.evaluate.sets import check_reachable, read_candidates, read_sets
from tests.evaluate.texts import NEWS, WEB, line, write


def one_sentence(error: pytest.ExceptionInfo[InputError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_sets_are_named_by_their_stems(tmp_path: Path) -> None:
    zipped = tmp_path / "web.jsonl.gz"
    zipped.write_bytes(gzip.compress(write(tmp_path / "raw", WEB).read_bytes(), mtime=0))
    news, web = read_sets([write(tmp_path / "news.jsonl", NEWS), zipped])
    assert (news.name, web.name) == ("news", "web")
    assert [doc.id for doc in news.documents] == ["n1", "n2", "n3", "n4"]
    found = [(doc.id, doc.text[m.start : m.end], gold) for doc, m, gold in web.mentions()]
    assert found == [
        ("w1", "Georgia", "Q8"),
        ("w1", "Jordan", "Q1"),
        ("w2", "C++", "Q19"),
        ("w2", "Munich", "Q17"),
    ]


def test_two_files_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "gold.jsonl", WEB))
    assert [gold.name for gold in read_sets(paths)] == [str(path) for path in paths]
    with pytest.raises(InputError) as error:
        read_sets([paths[0], paths[0]])
    one_sentence(error, str(paths[0]), "twice")


def test_null_is_nil_and_no_entity_is_no_gold(tmp_path: Path) -> None:
    mentions = [{"start": 0, "end": 1, "entity": None}, {"start": 2, "end": 3}]
    path = write(tmp_path / "x.jsonl", [{"id": "d", "text": "a b", "mentions": mentions}])
    assert [gold for _, _, gold in read_sets([path])[0].mentions()] == ["NIL"]


def test_a_wrong_offset(tmp_path: Path) -> None:
    bad = {"id": "d2", "text": "short", "mentions": [{"start": 3, "end": 9, "entity": "Q1"}]}
    path = write(tmp_path / "x.jsonl", [*WEB, bad])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, f"{path}:3", "3 to 9", "5 characters")


def test_a_document_id_that_appears_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [*WEB, WEB[0]])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, f"{path}:3", "'w1'", "twice")


def test_two_answers_for_one_mention(tmp_path: Path) -> None:
    mentions = [{"start": 0, "end": 1, "entity": id} for id in ("Q1", "Q2")]
    path = write(tmp_path / "x.jsonl", [{"id": "d", "text": "a", "mentions": mentions}])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, str(path), "'d'", "0 to 1")


def test_an_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, str(path), "no documents")


def test_a_file_without_gold(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [line("d", "a", [])])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, str(path), "no mention with an entity")


def test_a_gzip_file_that_is_cut_short(tmp_path: Path) -> None:
    whole = gzip.compress(write(tmp_path / "raw", list(NEWS) * 1).read_bytes(), mtime=0)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as error:
        read_sets([path])
    one_sentence(error, str(path), "gzip")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_sets([tmp_path / "none.jsonl"])
    one_sentence(error, "none.jsonl", "no such file")


def test_gold_of_another_kb(tmp_path: Path) -> None:
    (web,) = read_sets([write(tmp_path / "web.jsonl", WEB)])
    with pytest.raises(InputError) as error:
        check_reachable(web, {"x:1"}, "other (1 entities)")
    one_sentence(error, "web", "none of its 4 gold entities", "other (1 entities)")
    check_reachable(web, {"Q19"}, "one is enough")


def test_gold_that_is_all_nil_is_no_mistake(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [line("d", "a", [("a", "NIL")])])
    check_reachable(read_sets([path])[0], set(), "any")


def test_candidates_by_span(tmp_path: Path) -> None:
    sets = read_sets([write(tmp_path / "web.jsonl", WEB)])
    lines = [
        {"doc": "w1", "start": 0, "end": 7, "candidates": ["Q9", "Q8", "Q9"]},
        {"doc": "elsewhere", "start": 0, "end": 7, "candidates": []},
    ]
    found = read_candidates(write(tmp_path / "c.jsonl", lines), sets)
    assert found == {("w1", 0, 7): ("Q9", "Q8"), ("elsewhere", 0, 7): ()}


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ([{"doc": "w1", "start": 0, "candidates": []}], (":1", "no list of candidates")),
        ([{"doc": "w1", "start": 0, "end": 7, "candidates": "Q1"}], (":1", "no list")),
        ([{"doc": "w1", "start": 0, "end": 7, "candidates": [1]}], (":1", "no list")),
        ([{"doc": "w1", "start": 0, "end": 7, "candidates": []}] * 2, (":2", "already")),
        ([{"doc": "w1", "start": 1, "end": 7, "candidates": []}], ("none of its 1 lists", "web")),
        ([], ("none of its 0 lists",)),
    ],
)
def test_candidates_that_cannot_be_used(
    tmp_path: Path, lines: list[dict[str, object]], parts: tuple[str, ...]
) -> None:
    sets = read_sets([write(tmp_path / "web.jsonl", WEB)])
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in lines), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_candidates(path, sets)
    one_sentence(error, str(path), *parts)
