"""Building from several sources: merging, redirects, types, sums that add up, being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.cli.app import run
from entlink.errors import InputError
from entlink.kb import staging
from entlink.kb.build import BuildReport, build_from
from entlink.kb.importers import read_source
from entlink.kb.importers.records import (
    Located,
    OtherName,
    Parent,
    PartOf,
    PropertyName,
    Record,
    Redirect,
    Relation,
    Skipped,
    Uses,
)
from entlink.kb.importers.settings import Settings
from entlink.kb.merge import dumps, loads, merged
from entlink.kb.scratch import Source, Told
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.records import Entity


def source(*records: Record, name: str = "file", name_types: bool = False) -> Source:
    located: list[Located] = [(f"{name}:{n}", r) for n, r in enumerate(records, start=1)]
    return Source(located, name_types=name_types)


def adds_up(report: BuildReport) -> bool:
    return report.n_records == (
        report.n_entities
        + report.n_duplicates
        + report.n_merged
        + report.n_excluded
        + report.n_other_types
        + report.n_refused
    )


def test_sources_are_merged_by_id(tmp_path: Path) -> None:
    first = Entity("E1", "Boat", ("vessel",), None, types=("T1",), popularity=1.0, extra={"a": 1})
    second = Entity("E1", "Ship", ("Boat", "hull"), "it floats", types=("T1", "T2"),
                    type_names=("craft",), popularity=2.0, extra={"a": 2, "b": 3})  # fmt: skip
    report = build_from(
        [source(first, Entity("E2", "Mast")), source(Entity("E3", "Keel"), second)], tmp_path
    )
    assert (report.n_entities, report.n_merged, report.n_duplicates) == (3, 1, 0)
    assert adds_up(report)
    with KnowledgeBase.open(tmp_path) as kb:
        assert [e.id for batch in kb.iterate() for e in batch] == ["E1", "E2", "E3"]
        assert kb.by_id("E1") == Entity(
            "E1",
            "Boat",
            ("vessel", "Ship", "hull"),
            "it floats",
            types=("T1", "T2"),
            type_names=("craft",),
            popularity=2.0,
            extra={"a": 1, "b": 3},
        )


def test_entity_as_bytes_and_back() -> None:
    entity = Entity("E1", "Boat", ("a",), "b", "c: d", ("T",), ("t",), 1.5, 3, {"x": [1, None]})
    assert loads(dumps(entity)) == entity
    assert merged(entity, entity) == entity


def test_duplicates_within_a_source_are_named(tmp_path: Path) -> None:
    told: list[str] = []
    records = (Entity("E1", "Boat"), Entity("E1", "Ship"))
    report = build_from([source(*records)], tmp_path, on_bad=told.append)
    assert told == ["file:2: id 'E1' has come before (file:1); keep one record an entity"]
    assert report.n_duplicates == 1 and adds_up(report)
    with KnowledgeBase.open(tmp_path) as kb:
        assert [e.name for batch in kb.iterate() for e in batch] == ["Boat"]


def test_rows_of_one_entity(tmp_path: Path) -> None:
    rows = (
        PartOf(Entity("C1", "sugar disease")),
        PartOf(Entity("C1", "diabetes", description="d"), preferred=True),
        PartOf(Entity("C2", "gout")),
    )
    build_from([source(*rows)], tmp_path)
    with KnowledgeBase.open(tmp_path) as kb:
        assert kb.by_id("C1") == Entity("C1", "diabetes", ("sugar disease",), "d")
        assert len(kb) == 2


def test_redirects_lead_names_relations_and_uses_to_the_entity(tmp_path: Path) -> None:
    records = (
        Uses("the isle", {"old": 3, "E1": 1, "nowhere": 4}),
        OtherName("older", "Jawa"),
        OtherName("nowhere", "lost"),
        Redirect("older", "old"),
        Redirect("old", "E1"),
        Redirect("round", "about"),
        Redirect("about", "round"),
        Relation("E2", "P131", "P131", "older"),
        PropertyName("P131", "located in"),
        Entity("E1", "Java"),
        Entity("E2", "Bogor"),
    )
    report = build_from([source(*records)], tmp_path)
    assert (report.n_redirects, report.n_redirects_lost) == (2, 2)
    with KnowledgeBase.open(tmp_path) as kb:
        assert kb.by_aliases(["the isle", "jawa"]) == {
            "the isle": [AliasHit(0, 0.5, 4)],
            "jawa": [AliasHit(0, 0.0, 0)],
        }
        java, bogor = kb.by_rows([0, 1])
        assert java.aliases == ("Jawa",)
        assert "in: Java" in bogor.facts
        assert (java.degree, bogor.degree) == (1, 1)


def test_a_later_source_may_use_other_ids(tmp_path: Path) -> None:
    items = source(Entity("Q1", "Java", types=("Q2",)), Redirect("enwiki:Java", "Q1"))
    pages = source(
        Entity("enwiki:Java", "Java", description="an island"),
        Uses("Jawa", {"enwiki:Java": 2}),
        Redirect("enwiki:Yava", "enwiki:Java"),
        Uses("Yava", {"enwiki:Yava": 1}),
    )
    report = build_from([items, pages], tmp_path)
    assert (report.n_entities, report.n_merged) == (1, 1)
    with KnowledgeBase.open(tmp_path) as kb:
        assert kb.by_id("Q1") == Entity("Q1", "Java", description="an island", types=("Q2",))
        hits = kb.by_aliases(["jawa", "yava"])
    assert hits == {"jawa": [AliasHit(0, 1.0, 2)], "yava": [AliasHit(0, 1.0, 1)]}


def test_types_with_all_below_them_whatever_goes_round(tmp_path: Path) -> None:
    records = (
        Entity("K1", "craft"),
        Entity("E1", "Queen Anne", types=("K3",)),
        Entity("E2", "Mast", types=("K9",)),
        Entity("E3", "Raft", types=("K1",)),
        Parent("K2", "K1"),
        Parent("K3", "K2"),
        Parent("K1", "K3"),
    )
    notes: list[str] = []
    for wanted in ("K1", "craft"):
        report = build_from(
            [source(*records)], tmp_path / wanted, types=[wanted], on_note=notes.append
        )
        assert (report.n_entities, report.n_other_types, report.n_cycles) == (2, 2, 1)
        assert adds_up(report)
        with KnowledgeBase.open(tmp_path / wanted) as kb:
            assert set(kb.rows_of(["K1", "E1", "E2", "E3"])) == {"E1", "E3"}
    assert notes[0] == "file:5: the types go round in a circle: K1 -> K3 -> K2 -> K1"
    with pytest.raises(InputError, match="no entity is left"):
        build_from([source(*records)], tmp_path / "none", types=["unheard of"])


def test_types_are_named_where_asked_for(tmp_path: Path) -> None:
    records = (Entity("E1", "Queen", types=("K1", "K2")), Skipped("no", "K1", "ship"))
    build_from([source(*records, name_types=True)], tmp_path)
    with KnowledgeBase.open(tmp_path) as kb:
        (queen,) = kb.by_rows([0])
    assert queen.type_names == ("ship",)
    assert queen.description == "ship"


def test_strict_and_default(tmp_path: Path) -> None:
    records = (Entity("E1", "a\x00"), Entity("", "b"), Entity("NIL", "c"), Entity("E2", "d"))
    bad: list[str] = []
    notes: list[str] = []
    report = build_from([source(*records)], tmp_path, on_bad=bad.append, on_note=notes.append)
    assert (report.n_entities, report.n_refused, report.n_mended) == (2, 2, 1)
    assert adds_up(report)
    assert [line.split(":")[1] for line in bad] == ["2", "3"]
    assert notes == ["file:1: 'E1': control characters removed"]
    with pytest.raises(InputError, match="file:2: the id is empty"):
        build_from([source(*records)], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kb.sqlite"]  # of the first build


ID = st.sampled_from(["a", "b", "c", "NIL", "", "\x00"])
RECORD = st.one_of(
    st.builds(Entity, ID, st.sampled_from(["x", "y", "", "\x01"])),
    st.builds(lambda i: PartOf(Entity(i, "z")), ID),
    st.builds(Redirect, ID, ID),
    st.builds(Parent, ID, ID),
    st.builds(OtherName, ID, st.sampled_from(["x", "w"])),
    st.builds(lambda s, i, n: Uses(s, {i: n}), st.sampled_from("xyz"), ID, st.integers(0, 3)),
    st.builds(lambda h, t: Relation(h, "p", "p", t), ID, ID),
    st.builds(lambda i: Skipped("why", i, "n"), ID),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(RECORD, max_size=6), min_size=1, max_size=3))
def test_whatever_goes_in_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Record]]
) -> None:
    folder = tmp_path_factory.mktemp("kb")
    bad: list[str] = []
    sources = [source(Entity("first", "first")), *(source(*group) for group in groups)]
    report = build_from(sources, folder, on_bad=bad.append)
    assert adds_up(report)
    n_records = 1 + sum(isinstance(r, Entity | PartOf) for group in groups for r in group)
    assert report.n_records == n_records
    assert len(bad) == report.n_refused + report.n_duplicates
    with KnowledgeBase.open(folder) as kb:
        assert len(kb) == report.n_entities
        names = [e.id for batch in kb.iterate() for e in batch]
        assert len(set(names)) == len(names)


def test_wikidata_and_wikipedia_together(shared: Path, tmp_path: Path) -> None:
    raw = shared / "data" / "raw"
    texts = tmp_path / "texts.jsonl"
    dumps = (
        Source(read_source(raw / "wikidata_dump_100_items.json.bz2"), name_types=True),
        Source(
            read_source(raw / "enwiki-shortened.xml.bz2", settings=Settings(mentions=texts)),
            links_are_popularity=True,
        ),
    )
    report = build_from(dumps, tmp_path, mentions=texts)
    assert report.n_entities > 190 and adds_up(report)
    with KnowledgeBase.open(tmp_path) as kb:
        belgium = kb.by_id("Q31")
        assert belgium and belgium.popularity and belgium.extra["wikipedia"] == "Belgium"
        linked = {m["entity"] for line in texts.open() for m in json.loads(line)["mentions"]}
        assert "Q31" in linked and "enwiki:Belgium" not in linked
        known = kb.rows_of(sorted(linked))
        assert len(known) > 50
        hits = kb.by_aliases(["Belgium"])["Belgium"]
        assert kb.by_rows([hits[0].row])[0].id == "Q31" and hits[0].count > 0


KILLED = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from entlink.kb import staging
    from entlink.kb.build import build_from
    from entlink.kb.scratch import Source
    from entlink.records import Entity
    out, n, slow = Path(sys.argv[1]), int(sys.argv[2]), len(sys.argv) > 3
    staging._COMMIT_EVERY = 100
    read = 0
    def records():
        global read
        for i in range(n):
            read = i
            if slow and i == n - 150:
                print("near the end", flush=True)
                time.sleep(60)
            yield f"file:{i}", Entity(f"E{i}", f"name {i}", description="d" * (i % 7))
    report = build_from([Source(records())], out, resume_key="same")
    print(report.n_records, report.n_entities, report.digest)
""")


WRITTEN = textwrap.dedent("""
    import sys
    from pathlib import Path
    from entlink.kb.build import build_from
    from entlink.kb.scratch import Source
    from entlink.records import Entity
    n, out = int(sys.argv[2]), Path(sys.argv[1])
    records = ((f"f:{i}", Entity(f"E{i}", f"name {i}", description="d" * 300)) for i in range(n))
    report = build_from([Source(records)], out, resume_key="same")
    print(report.n_records, report.n_entities, report.digest)
""")


def test_a_build_that_was_killed_while_it_wrote(tmp_path: Path) -> None:
    """Whatever is half written is no knowledge base, and does not stay."""

    def start(folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITTEN, str(tmp_path / folder), "8000"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    half = tmp_path / "killed" / ".kb.sqlite.new"
    writing = start("killed")
    while not (half.exists() and half.stat().st_size > 1 << 20) and writing.poll() is None:
        time.sleep(0.005)
    os.kill(writing.pid, signal.SIGKILL)
    writing.wait()
    assert sorted(path.name for path in half.parent.iterdir())[0] == half.name
    assert not (half.parent / "kb.sqlite").exists()
    again, anew = start("killed"), start("anew")
    assert again.communicate()[0] == anew.communicate()[0] != ""
    assert [path.name for path in half.parent.iterdir()] == ["kb.sqlite"]


def test_a_build_that_was_killed_goes_on(tmp_path: Path) -> None:
    def start(folder: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path / folder), "1000", *more]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    slow = start("killed", "slow")
    assert slow.stdout and slow.stdout.readline() == "near the end\n"
    os.kill(slow.pid, signal.SIGKILL)
    slow.wait()
    left = tmp_path / "killed" / ".kb.sqlite.staging"
    assert left.is_file() and not (tmp_path / "killed" / "kb.sqlite").exists()
    again, anew = start("killed"), start("anew")
    assert again.communicate()[0] == anew.communicate()[0] != ""
    files = [(tmp_path / name / "kb.sqlite").read_bytes() for name in ("killed", "anew")]
    assert files[0] == files[1]
    assert not left.exists()


@pytest.mark.parametrize(("stop", "kept"), [(KeyboardInterrupt, True), (InputError, False)])
def test_what_an_interrupted_build_was_told_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], kept: bool
) -> None:
    monkeypatch.setattr(staging, "_COMMIT_EVERY", 10)

    def build(stop: type[BaseException] | None) -> tuple[BuildReport, list[str], int]:
        shown: list[str] = []
        bad = Told(shown.append, most=3)

        def records() -> Iterator[Located]:
            for n in range(50):
                if n % 7 == 0:
                    bad(f"file:{n}: not a record")  # as an importer does
                if n == 38 and stop:
                    raise stop
                yield f"file:{n}", Entity(f"E{n}", "" if n % 9 == 0 else f"name {n}")

        first = source(Entity("F1", ""), Entity("F2", "first"))
        sources = [first, Source(records())]
        return build_from(sources, tmp_path, resume_key="same", on_bad=bad), shown, bad.n

    with pytest.raises(stop):
        build(stop)
    assert (tmp_path / ".kb.sqlite.staging").exists() == kept
    report, shown, n_bad = build(None)
    assert n_bad == 1 + 8 + 6
    assert len(shown) == 3 and shown[0].startswith("file:1: ")
    assert (report.n_refused, report.n_entities) == (7, 45)
    assert not (tmp_path / ".kb.sqlite.staging").exists()


def told_on_the_command_line(
    capsys: pytest.CaptureFixture[str], *args: str | Path
) -> tuple[int, str]:
    code = run(["kb", "build", *map(str, args)])
    return code, capsys.readouterr().err


def test_a_build_that_failed_is_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "r.csv", tmp_path / "kb"
    table.write_text("id,name,type\na,A,fruit\nb,,fruit\n", encoding="utf-8")
    code, told = told_on_the_command_line(capsys, table, "--types", "friut", "--out", out)
    assert code == 2 and "no entity is left" in told
    code, told = told_on_the_command_line(capsys, table, "--types", "fruit", "--out", out)
    assert code == 1 and "r.csv:3: 'name' is empty" in told


def test_rows_of_two_tables_do_not_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [tmp_path / folder / name for folder, name in (("x", "a.csv"), ("x", "b.csv"))]
    tables.append(tmp_path / "y" / "b.csv")
    for table, name in zip(tables, ("Apple", "Zebra", "Pear"), strict=True):
        table.parent.mkdir(exist_ok=True)
        table.write_text(f"name\n{name}\n", encoding="utf-8")
    assert told_on_the_command_line(capsys, *tables, "--out", tmp_path)[0] == 0
    with KnowledgeBase.open(tmp_path) as kb:
        found = {e.id: e.name for batch in kb.iterate() for e in batch}
    assert found == {"a.csv:1": "Apple", f"{tables[1]}:1": "Zebra", f"{tables[2]}:1": "Pear"}


def test_mentions_of_one_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, dump, out = tmp_path / "e.jsonl", tmp_path / "w.xml", tmp_path / "kb"
    lines.write_text('{"id": "a", "name": "A"}\n', encoding="utf-8")
    dump.write_text("<mediawiki></mediawiki>", encoding="utf-8")
    for sources in ((lines,), (dump, lines, dump)):
        more = ("--mentions", tmp_path / "m.jsonl", "--out", out)
        code, told = told_on_the_command_line(capsys, *sources, *more)
        assert code == 2 and "--mentions writes the paragraphs of one Wikipedia dump" in told
    more = ("--mentions", tmp_path / "absent" / "m.jsonl", "--out", out)
    code, told = told_on_the_command_line(capsys, dump, *more)
    assert code == 2 and "no such folder to write into" in told
    assert not out.exists()


def test_two_builds_into_one_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), "1000", "slow"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout and first.stdout.readline() == "near the end\n"
        started = time.monotonic()
        with pytest.raises(InputError, match="is another build writing there"):
            build_from([source(Entity("E1", "a"))], tmp_path, resume_key="other")
        assert time.monotonic() - started < 40  # and not until the other has ended
    finally:
        first.kill()
        first.communicate()
