"""A run over a corpus: whole or nothing, resumed, refused when it would mix, failing documents."""

from __future__ import annotations

import json
import os
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from entlink.corpus import Progress, Summary, link_corpus
from entlink.corpus.engines import InProcess
from entlink.corpus.items import Entry, Item, SetAside
from entlink.corpus.job import run_job
from entlink.corpus.link import _Documents
from entlink.corpus.shards import LinkOptions, link_batch
from entlink.corpus.unfinished import Unfinished
from entlink.errors import BundleError, ConfigError, EntlinkError, InputError
from entlink.records import Document, LinkedDocument
from tests.fake_linker import FakeLinker

N = 700  # three shards


class Breaking(FakeLinker):
    """Fails in its n-th batch, as Ctrl-C or a defect would make it."""

    def __init__(self, *, at: int, error: BaseException) -> None:
        super().__init__()
        self.n_batches = 0
        self._at = at
        self._error = error

    def stream(self, documents: Any, **options: Any) -> Iterator[LinkedDocument]:
        self.n_batches += 1
        if self.n_batches == self._at:
            raise self._error
        return super().stream(documents, **options)


class Choosy(FakeLinker):
    """Cannot link texts that say so."""

    def stream(self, documents: Any, **options: Any) -> Iterator[LinkedDocument]:
        if any("POISON" in document.text for document in documents):
            raise ZeroDivisionError("it is\npoison")
        return super().stream(documents, **options)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    write(path, (f"Jordan met Odd on day {n}" for n in range(N)))
    return path


def write(path: Path, texts: Any) -> None:
    lines = (json.dumps({"id": f"d{n}", "text": text, "n": n}) for n, text in enumerate(texts))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def interrupt(source: Path, out: Path, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        link_corpus(source, out, linker=Breaking(at=7, error=KeyboardInterrupt()), **options)
    assert not out.exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_document_once_in_order(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    summary = link_corpus(corpus, out, linker=FakeLinker())
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(line["id"], line["n"]) for line in lines] == [(f"d{n}", n) for n in range(N)]
    assert names(tmp_path) == ["in.jsonl", "o.jsonl"]
    counts = (summary.n_documents, summary.n_mentions, summary.n_linked, summary.n_nil)
    assert counts == (N, 2 * N, 2 * N, 0)
    assert summary.most_linked == (("Q810", "Jordan", N), ("x:<1>", '<b>"R&D"</b>', N))
    assert set(summary.seconds) == {"read", "other", "write"}


def test_an_interrupted_run_goes_on(corpus: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "o.jsonl"
    link_corpus(corpus, whole, linker=FakeLinker())
    interrupt(corpus, out)
    counting = Breaking(at=0, error=KeyboardInterrupt())
    seen: list[Progress] = []
    summary = link_corpus(corpus, out, linker=counting, on_progress=seen.append)
    assert out.read_bytes() == whole.read_bytes()
    assert counting.n_batches == 7  # 11 in all; one shard of four was done
    assert (summary.n_resumed, summary.n_documents) == (256, N)
    assert seen[-1].n_bytes == seen[-1].total_bytes == corpus.stat().st_size
    assert "o.jsonl.unfinished" not in names(tmp_path)


def test_long_documents_are_kept_and_told_of_a_few_at_a_time(tmp_path: Path) -> None:
    source, out, seen = tmp_path / "long.jsonl", tmp_path / "o.jsonl", list[Progress]()
    write(source, (f"Jordan {'so ' * 3_000}{n}" for n in range(12)))
    link_corpus(source, out, linker=FakeLinker(), on_progress=seen.append)
    assert len(seen) == 4  # of three documents, with 27,000 characters, each
    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        link_corpus(source, out, linker=Breaking(at=3, error=KeyboardInterrupt()))
    assert link_corpus(source, out, linker=FakeLinker()).n_resumed == 6


def test_a_finished_run_begins_anew(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    link_corpus(corpus, out, linker=FakeLinker())
    write(corpus, ["Odd"])
    assert link_corpus(corpus, out, linker=FakeLinker()).n_documents == 1
    assert len(out.read_bytes().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_candidates": 3}, "its number of candidates was 10 and is now 3"),
        ({"text_column": "text"}, 'its text column was null and is now "text"'),
        ({"reranker": False}, 'its reranker was "auto" and is now "none"'),
    ],
)
def test_other_options_are_refused(
    corpus: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(corpus, out)
    with pytest.raises(InputError, match=said) as caught:
        link_corpus(corpus, out, linker=FakeLinker(), **options)
    assert "--restart" in str(caught.value)
    assert not out.exists()
    summary = link_corpus(corpus, out, linker=FakeLinker(), restart=True, **options)
    assert (summary.n_resumed, summary.n_documents) == (0, N)


@pytest.mark.parametrize("line", [3, N - 3])  # of what is done, and of what is not
def test_a_changed_input_is_refused(corpus: Path, tmp_path: Path, line: int) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(corpus, out)
    lines = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[line] = lines[line].replace("Jordan", "Jordon")
    corpus.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=r"its input has changed \(.*in\.jsonl\)"):
        link_corpus(corpus, out, linker=FakeLinker())


def test_documents_that_are_given_are_compared_too(tmp_path: Path) -> None:
    def documents(first: str, n: int) -> Iterator[Document]:
        yield Document("0", first)
        yield from (Document(str(i), "Jordan") for i in range(1, n))

    out = tmp_path / "o.jsonl"
    with pytest.raises(KeyboardInterrupt):
        broken = Breaking(at=11, error=KeyboardInterrupt())
        link_corpus(documents("a", N), out, linker=broken)
    for changed in (documents("b", N), documents("a", 100)):
        with pytest.raises(InputError, match="its input has changed"):
            link_corpus(changed, out, linker=FakeLinker())
    assert link_corpus(documents("a", N), out, linker=FakeLinker()).n_documents == N


def test_a_second_run_of_the_same_output_waits(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    with (
        Unfinished(out),
        pytest.raises(InputError, match="another entlink is writing it"),
    ):
        link_corpus(corpus, out, linker=FakeLinker())


def test_a_damaged_part_is_done_again(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(corpus, out)
    part = tmp_path / "o.jsonl.unfinished" / "000000.part"
    data = bytearray(part.read_bytes())
    data[-9] ^= 1
    part.write_bytes(data)
    with pytest.raises(EntlinkError, match="was damaged and is removed; run the same command"):
        link_corpus(corpus, out, linker=FakeLinker())
    assert not out.exists()
    assert link_corpus(corpus, out, linker=FakeLinker()).n_documents == N


def test_one_bad_document_costs_no_other(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "o.jsonl"
    texts = ["POISON" if n in (3, 65) else f"Jordan {n}" for n in range(130)]
    write(source, texts)
    summary = link_corpus(source, out, linker=Choosy())
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["n"] for line in lines] == [n for n in range(130) if n not in (3, 65)]
    assert (summary.n_documents, summary.n_set_aside) == (128, 2)
    assert summary.quarantine == tmp_path / "o.jsonl.quarantine.jsonl"
    asides = [json.loads(line) for line in summary.quarantine.read_text("utf-8").splitlines()]
    assert [(a["id"], a["text"], a["n"]) for a in asides] == [
        ("d3", "POISON", 3),
        ("d65", "POISON", 65),
    ]
    why = f"{source}:4: could not be linked (ZeroDivisionError: it is poison)"
    assert asides[0]["reason"] == why

    again = link_corpus(summary.quarantine, tmp_path / "again.jsonl", linker=FakeLinker())
    assert again.n_documents == 2  # what was set aside is input once it is mended
    write(source, ["Jordan"])
    assert link_corpus(source, out, linker=Choosy()).quarantine is None
    assert not summary.quarantine.exists()  # that of the earlier run would mislead


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "o.jsonl"
    write(source, ["Jordan", "POISON"])
    with pytest.raises(InputError, match=r"in\.jsonl:2: could not be linked"):
        link_corpus(source, out, linker=Choosy(), strict=True)
    source.write_text('{"text": "Jordan"}\n{', encoding="utf-8")
    with pytest.raises(InputError, match=r"in\.jsonl:2: not valid JSON"):
        link_corpus(source, out, linker=FakeLinker(), strict=True, restart=True)
    assert not out.exists()


class Backwards(InProcess):
    """Gives the last part first, as several processes may."""

    def run(self, shards: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        return super().run(iter(list(shards)[::-1]))


def test_strict_names_the_reason_whichever_part_comes_first(tmp_path: Path) -> None:
    documents = [Document(str(n), "POISON" if n == 600 else "Jordan") for n in range(601)]
    source = _Documents(documents)
    engine = Backwards(Choosy(), LinkOptions())
    with pytest.raises(InputError, match="document 601: could not be linked"):
        run_job(source, tmp_path / "o.jsonl", engine, run={}, strict=True)


def test_an_output_that_is_an_input_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = corpus.read_bytes()
    aside = tmp_path / "o.jsonl.quarantine.jsonl"
    write(aside, ["Odd"])
    (tmp_path / "other.jsonl").symlink_to(corpus)
    monkeypatch.chdir(tmp_path)
    for source, out in [
        (corpus, Path("in.jsonl")),
        (corpus, Path("other.jsonl")),
        (Path("other.jsonl"), corpus),
        (aside, Path("o.jsonl")),
    ]:
        with pytest.raises(InputError, match="is both input and output; name another --out"):
            link_corpus([source], out, linker=FakeLinker())
    assert (corpus.read_bytes(), len(aside.read_bytes().splitlines())) == (before, 1)


def test_an_output_in_a_folder_is_no_input_by_whatever_path(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("Jordan", encoding="utf-8")
    (tmp_path / "link").symlink_to(folder)
    for _ in range(2):
        out = folder / "links.jsonl"
        summary = link_corpus(tmp_path / "link", out, linker=FakeLinker())
        assert (summary.n_documents, summary.n_set_aside) == (1, 0)


@pytest.mark.parametrize("error", [BundleError("damaged"), OSError(5, "I/O error")])
def test_what_is_no_fault_of_a_document_stops_the_run(
    corpus: Path, tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(type(error)):
        link_corpus(corpus, tmp_path / "o.jsonl", linker=Breaking(at=2, error=error))


def test_batches_are_alone_or_together_the_same() -> None:
    entries: list[Entry] = [Item(Document(str(n), f"Jordan {n}"), f"w{n}") for n in range(5)]
    mixed: list[Entry] = [*entries[:2], SetAside("w", "why"), *entries[2:]]
    together = list(link_batch(FakeLinker(), mixed))
    alone = [result for entry in mixed for result in link_batch(FakeLinker(), [entry])]
    assert together == alone


def test_files_and_documents_in_the_order_given(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("Odd", encoding="utf-8")
    source: Sequence[Any] = [Document("x", "Jordan"), tmp_path / "t.txt", str(corpus)]
    out = tmp_path / "o.jsonl"
    summary: Summary = link_corpus(source, out, linker=FakeLinker())
    assert summary.n_documents == N + 2
    ids = [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()[:3]]
    assert ids == ["x", "t.txt", "d0"]


def test_an_empty_input_is_an_empty_output(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n", encoding="utf-8")
    summary = link_corpus(tmp_path / "in.jsonl", tmp_path / "o.jsonl", linker=FakeLinker())
    assert (summary.n_documents, (tmp_path / "o.jsonl").read_bytes()) == (0, b"")


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(n_documents: int) -> int:
        write(tmp_path / "in.jsonl", (f"Jordan met Odd on day {n}" for n in range(n_documents)))
        tracemalloc.start()
        link_corpus(tmp_path / "in.jsonl", tmp_path / "o.jsonl", linker=FakeLinker())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # imports what is imported late
    assert peak(4 * 768) < 1.25 * peak(768)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "spark"}, "engine is 'spark'"),
        ({"processes": 0}, "processes is 0"),
        ({"processes": 2}, "has no bundle that other processes could load"),
    ],
)
def test_settings_that_cannot_work(
    corpus: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        link_corpus(corpus, tmp_path / "o.jsonl", linker=FakeLinker(), **options)


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be synced there")
def test_what_is_kept_was_synced_before_it_got_its_name(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(handle: int) -> None:
        done.append(("sync", Path(f"/dev/fd/{handle}").readlink().name))
        fsync(handle)

    def spy_replace(source: Any, target: Any) -> None:
        done.append(("rename", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    link_corpus(corpus, tmp_path / "o.jsonl", linker=FakeLinker())
    renamed = [i for i, (what, _) in enumerate(done) if what == "rename"]
    assert [done[i][1] for i in renamed] == [
        "run.json",
        "000000.part",
        "000001.part",
        "000002.part",
        "o.jsonl",
    ]
    for i in renamed[:-1]:
        assert done[i - 1] == ("sync", f"{done[i][1]}.tmp")
        assert done[i + 1] == ("sync", "o.jsonl.unfinished")
    before, after = done[renamed[-1] - 1], done[renamed[-1] + 1]
    assert before[0] == "sync" and before[1].startswith(".o.jsonl.")
    assert after == ("sync", tmp_path.name)
