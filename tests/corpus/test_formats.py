"""The same documents in every format, guessed columns, folders, and what a pipe carries."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.corpus.items import (
    Entry,
    Item,
    SetAside,
    batches,
    decode_shard,
    distinct,
    encode_shard,
    shard_chars,
    shards,
)
from entlink.corpus.readers import CorpusReader
from entlink.corpus.sources import find_sources
from entlink.corpus.texts import ReadOptions
from entlink.errors import InputError
from entlink.records import Document, Mention

ROWS = [
    {"key": "a", "body": 'Jordan said: "one,\ntwo"', "year": "1999"},
    {"key": "b", "body": "Ünïcode 北京 😀\tand a tab", "year": "2000"},
    {"key": "c", "body": "", "year": ""},
]


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")


def write_csv(path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if ".tsv" in path.name else ";")
        rows.writeheader()
        rows.writerows(ROWS)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "jsonl": write_jsonl,
    "ndjson": write_jsonl,
    "csv": write_csv,
    "tsv": write_csv,
    "parquet": write_parquet,
}


def read(*names: Path | str, options: ReadOptions | None = None) -> list[Entry]:
    sources = chain.from_iterable(find_sources([str(name) for name in names]))
    return list(CorpusReader(list(sources), options))


def items(*names: Path | str, options: ReadOptions | None = None) -> list[Item]:
    found = []
    for entry in read(*names, options=options):
        assert isinstance(entry, Item), entry
        found.append(entry)
    return found


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_holds_the_same(tmp_path: Path, kind: str, packed: str) -> None:
    path = tmp_path / f"d.{kind}"
    WRITERS[kind](path)
    data = path.read_bytes()
    if packed == ".gz":
        data = gzip.compress(data)
    elif packed == ".zst":
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path = tmp_path / f"d.{kind}{packed}"
    path.write_bytes(data)
    options = ReadOptions(id_column="key")
    found = items(path, options=options)
    assert [i.document for i in found] == [Document(row["key"], row["body"]) for row in ROWS]
    assert [dict(i.extra) for i in found] == [{"year": row["year"]} for row in ROWS]


def test_a_docbin_gives_texts_and_its_entities(tmp_path: Path) -> None:
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.blank("en")
    one, two = nlp("Jordan met Ada."), nlp("Nothing here.")
    spans = [one.char_span(0, 6, label="GPE"), one.char_span(11, 14, label="DATE")]
    one.set_ents([span for span in spans if span is not None])
    two.user_data["id"] = "mine"
    DocBin(docs=[one, two], store_user_data=True).to_disk(tmp_path / "d.spacy")
    first, second = (item.document for item in items(tmp_path / "d.spacy"))
    assert first.id == "d.spacy:1"
    assert first.mentions is not None
    assert [(m.start, m.end, m.label) for m in first.mentions] == [(0, 6, "LOC")]
    assert second == Document("mine", "Nothing here.")


def test_a_folder_is_read_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b.txt", ".hidden.txt", "a/.git/x.txt", "notes.docx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    found = [item.document for item in items(tmp_path)]
    assert found == [Document(name, name) for name in ("b.txt", "a/b.txt", "a/z.txt")]


def test_files_of_one_name_have_documents_of_other_ids(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "d.jsonl" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text('{"text": "x"}\n', encoding="utf-8")
    assert [item.document.id for item in items(*paths)] == [f"{path}:1" for path in paths]


@pytest.mark.parametrize(
    ("columns", "row", "text", "id_"),
    [
        ("id,text,body", "1,a,b", "a", "1"),
        ("Body,ID,x", "a,7,c", "a", "7"),
        ("url,title,html", "u,short,a good deal longer than the others are", None, "u"),
        ("a,b", "x,it has no id and this is the text", None, "d.csv:1"),
    ],
)
def test_columns_are_guessed(
    tmp_path: Path, columns: str, row: str, text: str | None, id_: str
) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"{columns}\n{row}\n", encoding="utf-8")
    (item,) = items(path)
    assert item.document == Document(id_, text or max(row.split(","), key=len))


def test_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("id,text,title\n1,a,b\n1,c,d\n", encoding="utf-8")
    found = items(path, options=ReadOptions("title", ""))
    assert [i.document for i in found] == [Document("d.csv:1", "b"), Document("d.csv:2", "d")]
    assert found[0].extra == {"id": "1", "text": "a"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ReadOptions("body"), "no column 'body'; it has 'a', 'b'"),
        (ReadOptions(), "none of the columns 'a', 'b' looks like texts; name it with"),
    ],
)
def test_a_column_that_is_not_there(tmp_path: Path, options: ReadOptions, said: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    (aside,) = read(path, options=options)
    assert isinstance(aside, SetAside)
    assert said in aside.reason


def test_jsonl_carries_its_other_keys_and_takes_the_column_named(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"id": 1, "content": "A", "tags": [1, null]}\n', encoding="utf-8")
    (item,) = items(path)
    assert item == Item(Document("1", "A"), f"{path}:1", {"tags": [1, None]})


def test_position_ends_at_the_size(tmp_path: Path) -> None:
    for kind, write in WRITERS.items():
        write(tmp_path / f"d.{kind}")
    sources = list(chain.from_iterable(find_sources([tmp_path])))
    reader = CorpusReader(sources)
    positions = [reader.position for _ in reader]
    assert positions == sorted(positions)
    assert reader.position == reader.n_bytes == sum(f.stat().st_size for f in tmp_path.iterdir())


def test_ids_that_come_again_are_set_aside() -> None:
    entries = [Item(Document(id_, "t"), f"w{n}") for n, id_ in enumerate(["a", "b", "a", "", "b"])]
    found = list(distinct(entries))
    assert [isinstance(entry, Item) for entry in found] == [True, True, False, True, False]
    assert [e.item for e in found if isinstance(e, SetAside)] == [entries[2], entries[4]]


ITEMS = st.builds(
    Item,
    st.builds(
        Document,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.none() | st.just(()) | st.just((Mention(0, 1, "x", "PER"),)),
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.dictionaries(st.text("abc", max_size=3), st.none() | st.integers(0, 9) | st.text("x")),
)
ENTRIES = ITEMS | st.builds(SetAside, st.text("w"), st.text("r"), st.none() | ITEMS, st.none())


@given(st.lists(ENTRIES, max_size=9))
def test_a_shard_arrives_as_it_was_sent(entries: list[Entry]) -> None:
    assert decode_shard(encode_shard([entries, []])) == [entries, []]


@given(st.lists(st.integers(0, 400_000), max_size=99))
def test_batches_hold_all_in_order_and_no_more_than_they_may(lengths: list[int]) -> None:
    entries: list[Entry] = [Item(Document("d", "x" * length)) for length in lengths]
    cut = list(batches(entries))
    assert list(chain.from_iterable(cut)) == entries
    for batch in cut:
        n_chars = sum(len(e.document.text) for e in batch if isinstance(e, Item))
        assert 0 < len(batch) <= 64
        assert n_chars <= 500_000 or len(batch) == 1


@given(st.lists(st.integers(0, 400), max_size=600), st.sampled_from([1, 500, 20_000]))
def test_shards_hold_all_in_order_and_no_more_than_they_may(
    lengths: list[int], max_chars: int
) -> None:
    entries: list[Entry] = [Item(Document("d", "x" * length)) for length in lengths]
    cut = list(shards(entries, max_chars=max_chars))
    assert list(chain.from_iterable(chain.from_iterable(cut))) == entries
    for shard in cut:
        texts = [e.document.text for e in chain.from_iterable(shard) if isinstance(e, Item)]
        assert 0 < len(shard) <= 4 and all(0 < len(batch) <= 64 for batch in shard)
        assert sum(map(len, texts)) <= max_chars or len(texts) == 1


def test_short_documents_fill_a_shard_and_long_ones_close_it() -> None:
    def sizes(n_chars: int, *, reranker: bool) -> list[int]:
        entries: list[Entry] = [Item(Document("d", "x" * n_chars)) for _ in range(600)]
        cut = shards(entries, max_chars=shard_chars(reranker=reranker))
        return [sum(map(len, shard)) for shard in cut]

    assert sizes(100, reranker=True) == sizes(100, reranker=False) == [256, 256, 88]
    assert sizes(3_200, reranker=True) == [10] * 60
    assert sizes(3_200, reranker=False) == [256, 256, 88]
    assert sizes(20_000, reranker=False) == [50] * 12


def test_standard_input_with_another_text_column() -> None:
    stream = io.BytesIO(b'{"body": "a"}\n{"body": "b"}\n')
    sources = list(chain.from_iterable(find_sources(["-"])))
    found = list(CorpusReader(sources, stdin=stream))
    assert [e.document.text for e in found if isinstance(e, Item)] == ["a", "b"]


def test_a_folder_without_texts_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no files to link in this folder, only 1 of other kinds"):
        find_sources([tmp_path])
