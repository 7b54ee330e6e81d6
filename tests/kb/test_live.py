"""Edits of a knowledge base: against a plain dictionary, by several processes, and when killed."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.errors import BundleError, InputError
from entlink.inputs import surfaces
from entlink.kb.aliases import normalise
from entlink.kb.build import build_kb
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.overlay import FILE_NAME
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.records import Entity

BASE = (
    Entity("E1", "Rome", ("Roma",), "capital", popularity=4.0),
    Entity("E2", "Rome", (), "a smaller Rome", popularity=2.0),
    Entity("E3", "Paris", ("City of Light",)),
)
PRIORS = (
    '{"surface": "Rome", "counts": {"E1": 6, "E2": 2}}\n{"surface": "Urbs", "counts": {"E1": 1}}\n'
)


def encode(entities: Sequence[Entity]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """A vector of two numbers for each name: whose it is, and how long it is."""
    return [
        np.asarray([[len(e.id), len(name)] for name in surfaces(e)], dtype=np.float32)
        for e in entities
    ]


def opened(folder: Path) -> LiveKnowledgeBase:
    kb = LiveKnowledgeBase.open_with(folder / "kb", folder / "kb.edits")
    kb.encode = encode
    return kb


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    priors = tmp_path / "priors.jsonl"
    priors.write_text(PRIORS)
    build_kb(BASE, tmp_path / "kb", priors=priors)
    return tmp_path


def everything(kb: KnowledgeBase) -> dict[str, Entity]:
    return {entity.id: entity for batch in kb.iterate() for entity in batch}


def test_without_edits_it_is_the_file(folder: Path) -> None:
    kb, plain = opened(folder), KnowledgeBase.open(folder / "kb")
    assert everything(kb) == everything(plain)
    assert kb.by_aliases(["rome", "urbs"]) == plain.by_aliases(["rome", "urbs"])
    assert (len(kb), kb.digest, kb.version) == (3, plain.digest, 0)
    np.testing.assert_array_equal(kb.popularity, plain.popularity)
    assert not (folder / "kb.edits").exists()


def test_add_update_remove(folder: Path) -> None:
    kb, other = opened(folder), opened(folder)
    kb.add(Entity("N1", "Rome", ("Nova",), popularity=3.0, degree=7))
    for reader in (kb, other):  # the other has had it open all the while
        assert [(h.row, h.prior) for h in reader.by_aliases(["ROME"])["ROME"]] == [
            (0, 0.75), (1, 0.25), (3, 0.0),
        ]  # fmt: skip
        assert reader.by_id("N1") == reader.by_rows([3])[0]
        assert (len(reader), reader.version) == (4, 1)
        assert reader.popularity[3] == np.float32(3.0) and reader.degree[3] == 7
    kb.update(Entity("E1", "Roma Capitale", ("Roma",), "city", popularity=4.5))
    hits = other.by_aliases(["Rome", "Urbs", "Roma", "Roma Capitale"])
    # counted uses go with the entity; of names without any only those that it still has
    assert hits["Rome"] == [AliasHit(4, 0.75, 6), AliasHit(1, 0.25, 2), AliasHit(3, 0.0)]
    assert hits["Urbs"] == [AliasHit(4, 1.0, 1)]
    assert [h.row for h in hits["Roma"]] == [h.row for h in hits["Roma Capitale"]] == [4]
    assert other.rows_of(["E1", "N1", "E9"]) == {"E1": 4, "N1": 3}
    assert [e.id for batch in other.iterate() for e in batch] == ["E1", "E2", "E3", "N1"]
    kb.remove("E2", "N1")
    assert other.by_id("E2") is None and other.by_id("N1") is None
    assert [h.row for h in other.by_aliases(["Rome"])["Rome"]] == [4]
    assert len(other) == 2
    assert [e.id for e in other.by_rows([0, 1, 3])] == ["E1", "E2", "N1"]  # still to be read
    assert opened(folder).by_id("E1") == other.by_id("E1")
    kb.add(Entity("E2", "Rome again"))
    assert other.search("rom") == [kb.by_id("E1"), kb.by_id("E2")] or len(other.search("rom")) == 2
    assert KnowledgeBase.open(folder / "kb").by_id("E2") == BASE[1]  # the file is as it was


def test_all_or_none(folder: Path) -> None:
    kb = opened(folder)
    with pytest.raises(InputError, match="there is an entity 'E1'; update it instead"):
        kb.add(Entity("N1", "new"), Entity("E1", "old"))
    with pytest.raises(InputError, match="no entity 'N1'; add it instead"):
        kb.update(Entity("E1", "old"), Entity("N1", "new"))
    with pytest.raises(InputError, match="no entity 'N1' to remove"):
        kb.remove("E1", "N1")
    with pytest.raises(InputError, match="appears twice"):
        kb.add(Entity("N1", "new"), Entity("N1", "newer"))
    with pytest.raises(InputError, match="'N2' has no name"):
        kb.add(Entity("N1", "new"), Entity("N2", " "))
    assert everything(kb) == everything(opened(folder)) == {e.id: e for e in BASE}
    kb.put(Entity("E1", "old"), Entity("N1", "new", type_names=("boat",)))
    found = kb.by_id("N1")
    assert found and found.description == "boat"  # composed, as a build does


def test_who_cannot_edit(folder: Path) -> None:
    with pytest.raises(InputError, match="opened to be read"):
        KnowledgeBase.open(folder / "kb").add(Entity("N1", "new"))
    with pytest.raises(BundleError, match="the built-in bundle is not edited"):
        LiveKnowledgeBase.open_with(folder / "kb", None).remove("E1")
    with pytest.raises(BundleError, match="through a linker"):
        LiveKnowledgeBase.open_with(folder / "kb", folder / "kb.edits").add(Entity("N1", "new"))


def test_edits_of_another_kb(folder: Path) -> None:
    opened(folder).add(Entity("N1", "new"))
    build_kb(BASE[:2], folder / "kb")
    with pytest.raises(BundleError, match="edits of another knowledge base"):
        opened(folder)


def test_damaged_edits(folder: Path) -> None:
    (folder / "kb.edits").mkdir()
    (folder / "kb.edits" / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(BundleError, match="cannot be read"):
        opened(folder)


@contextmanager
def nobody(path: Path) -> Iterator[Path]:
    """A copy of a folder, which this process may read, and as long as the block lasts no more."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # those above a test's own folder are closed to others
        copy = Path(shutil.copytree(path, Path(place) / "copy"))
        paths = [copy, *copy.rglob("*")]
        for one in paths:
            one.chmod(0o555 if one.is_dir() else 0o444)
        is_root = os.geteuid() == 0
        if is_root:
            os.setresuid(65534, 65534, 0)
        try:
            yield copy
        finally:
            if is_root:
                os.setresuid(0, 0, 0)
            for one in paths:
                one.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="rights are those of POSIX")
@pytest.mark.parametrize("is_open", [False, True])
def test_who_may_only_read(is_open: bool, folder: Path) -> None:
    kb = opened(folder)
    kb.add(Entity("N1", "Nova"))
    expected = everything(kb)
    if not is_open:  # SQLite leaves one file, and without the right to write no other can be made
        kb.close()
    assert (folder / "kb.edits" / f"{FILE_NAME}-wal").exists() is is_open
    with nobody(folder) as copy:
        reader = opened(copy)
        assert everything(reader) == expected
        assert [e.id for e in reader.search("nova")] == ["N1"]
        with pytest.raises(BundleError, match="cannot be written"):
            reader.remove("N1")
        reader.close()


def test_a_log_that_its_maker_did_not_finish(folder: Path) -> None:
    (folder / "kb.edits").mkdir()
    (folder / "kb.edits" / FILE_NAME).touch()
    kb = opened(folder)
    assert everything(kb) == {e.id: e for e in BASE}
    assert not (folder / "kb.edits" / FILE_NAME).stat().st_size  # who reads, writes nothing
    kb.add(Entity("N1", "Nova"))
    assert opened(folder).by_id("N1") is not None


def test_a_search_finds_whole_names_first(folder: Path) -> None:
    kb = opened(folder)
    kb.add(Entity("A1", "Rome Hotel"), Entity("A2", "Romulus", popularity=9.0))
    assert [e.id for e in kb.search("rome", limit=2)] == ["E1", "E2"]
    assert [e.id for e in kb.search("rome")] == ["E1", "E2", "A1"]
    assert [e.id for e in kb.search("rom", limit=2)] == ["A2", "E1"]
    kb.update(replace(BASE[1], name="Rome in Georgia"))
    assert [e.id for e in kb.search("rome")] == ["E1", "E2", "A1"]


def test_what_is_mended_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(folder).add(Entity("N1", "Nova", description="x" * 1_000_001))
    assert "'N1': description of 1,000,001 characters cut to 10,000" in caplog.text


def test_pickled_it_is_opened_again(folder: Path) -> None:
    kb = opened(folder)
    kb.add(Entity("N1", "new"))
    again = pickle.loads(pickle.dumps(kb))
    assert everything(again) == everything(kb)


NAMES = st.sampled_from(["Rome", "Roma", "Nova", "Paris", "x y"])
STEP = st.tuples(
    st.sampled_from(["add", "update", "remove", "put"]),
    st.sampled_from(["E1", "E2", "E3", "N1", "N2"]),
    st.lists(NAMES, min_size=1, max_size=3),
    st.none() | st.sampled_from([1.0, 5.0]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str, list[str], float | None]],
) -> None:
    folder = tmp_path_factory.mktemp("live")
    build_kb(BASE, folder / "kb")
    kb, reader = opened(folder), opened(folder)
    expected = {entity.id: entity for entity in BASE}
    for do, id, names, popularity in steps:
        entity = Entity(id, names[0], tuple(dict.fromkeys(names[1:])), popularity=popularity)
        allowed = {"add": id not in expected, "put": True}.get(do, id in expected)
        try:
            kb.remove(id) if do == "remove" else getattr(kb, do)(entity)
        except InputError:
            assert not allowed
        else:
            assert allowed
            expected.pop(id, None)
            if do != "remove":
                expected[id] = entity
    for one in (kb, reader, opened(folder)):
        assert everything(one) == expected
        assert len(one) == len(expected)
        rows = one.rows_of(sorted(expected))
        assert dict(zip(rows, one.by_rows(list(rows.values())), strict=True)) == expected
        for surface in ("Rome", "roma", "NOVA", "Paris", "x y", "City of Light"):
            bearers = {
                id
                for id, e in expected.items()
                if normalise(surface) in map(normalise, (e.name, *e.aliases))
            }
            hits = one.by_aliases([surface])[surface]
            assert {e.id for e in one.by_rows([h.row for h in hits])} == bearers
        for id, row in rows.items():
            np.testing.assert_equal(
                float(one.popularity[row]), float(expected[id].popularity or np.nan)
            )


READER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from tests.kb.test_live import look
    seen = look(Path(sys.argv[1]), lambda: print("looking", flush=True))
    print(sorted(seen))
""")


def look(folder: Path, started: Callable[[], None]) -> set[int]:
    """Look a name up until the last edit is there; the numbers of its bearers that were seen."""
    kb = opened(folder)
    seen = {len(kb.by_aliases(["pair"])["pair"])}
    started()
    while kb.by_id("last") is None:
        seen.add(len(kb.by_aliases(["pair"])["pair"]))
    return seen


def test_readers_while_one_writes(folder: Path, root: Path) -> None:
    """What a reader sees is always whole: pairs are added and removed together."""
    command = [sys.executable, "-c", READER, str(folder)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout and reader.stdout.readline() == "looking\n"
    with ThreadPoolExecutor(2) as pool:  # in this process there are two more
        started = [threading.Event() for _ in range(2)]
        threads = [pool.submit(look, folder, event.set) for event in started]
        assert all(event.wait(60) for event in started)
        kb = opened(folder)
        for n in range(30):
            kb.add(Entity(f"A{n}", "pair"), Entity(f"B{n}", "pair"))
            if n % 3 == 0:
                kb.remove(f"A{n}", f"B{n}")
            time.sleep(0.01)
        kb.add(Entity("last", "last"))
        seen = [thread.result(60) for thread in threads]
    for reader in readers:
        told = reader.communicate(timeout=60)[0].splitlines()[-1]
        seen.append({int(number) for number in told.strip("[]").split(",")})
        assert reader.returncode == 0
    for numbers in seen:
        assert not any(number % 2 for number in numbers)
        assert len(numbers) > 3  # they did look while it was written


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from tests.kb.test_live import opened
    from entlink.records import Entity
    kb = opened(Path(sys.argv[1]))
    start = int(sys.argv[2])
    for n in range(start, start + 100000):
        many = [Entity(f"P{n}-{i}", f"part {i} of {n}", description="d" * 500) for i in range(3)]
        kb.add(*many)
        print(n, flush=True)
        if n % 4 == 0:
            kb.remove(*(e.id for e in many))
            print(-n, flush=True)
""")


def check_whole(folder: Path, done: set[int]) -> None:
    """Every edit that was said to be done is there, none is half there, names and vectors fit."""
    kb = opened(folder)
    found = [id for id in everything(kb) if id.startswith("P")]
    groups: dict[int, int] = {}
    for id in found:
        group = int(id[1:].split("-")[0])
        groups[group] = groups.get(group, 0) + 1
    assert set(groups.values()) <= {3}
    assert {n for n in done if n > 0 and -n not in done and n % 4} <= groups.keys()
    assert not {-n for n in done if n < 0} & groups.keys()
    edits = kb.refresh()
    assert len(edits.vectors) == edits.next_row - len(kb.base)
    for row, vectors in enumerate(edits.vectors, start=len(kb.base)):
        np.testing.assert_array_equal(vectors, encode([edits.entity(row)])[0])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
def test_killed_at_any_point(folder: Path, root: Path) -> None:
    done: set[int] = set()
    generator = random.Random(7)
    for turn in range(1, 11):
        command = [sys.executable, "-c", WRITER, str(folder), str(turn * 1000)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        assert writer.stdout
        for _ in range(generator.randint(1, 5)):
            done.add(int(writer.stdout.readline()))
        time.sleep(generator.uniform(0.0, 0.05))
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
        done.update(int(line) for line in rest[:-1])  # the last line may be cut
        writer.wait()
        check_whole(folder, done)
    assert len(done) > 10


def test_an_edit_takes_milliseconds(folder: Path) -> None:
    kb, reader = opened(folder), opened(folder)
    kb.add(Entity("N0", "first"))
    seconds = []
    for n in range(20):
        started = time.process_time()
        kb.add(replace(BASE[2], id=f"N-{n}", name=f"Lutetia {n}"))
        assert reader.by_aliases([f"Lutetia {n}"])[f"Lutetia {n}"]
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05  # of the processor, and the least: whatever else it has to do
