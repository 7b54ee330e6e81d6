"""One run over a corpus: cut into shards, skip those that are done, link the rest, put together."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import orjson

from entlink.corpus.items import SHARD_CHARS, Entry, SetAside, distinct, encode_shard, shards
from entlink.corpus.shards import Counts
from entlink.corpus.unfinished import Unfinished
from entlink.corpus.writers import EntityOf, replacing, write_file
from entlink.errors import InputError

_N_MOST_LINKED = 10


class Engine(Protocol):
    """What links shards: this process, several on this machine, or a cluster."""

    def run(self, shards: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The part of each numbered shard, in any order. Takes few shards before it gives parts."""
        ...


class Entries(Protocol):
    """Entries that can tell how far reading them has come; CorpusReader is one."""

    @property
    def n_bytes(self) -> int | None: ...

    @property
    def position(self) -> int: ...

    def __iter__(self) -> Iterator[Entry]: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, with what earlier runs had done."""

    counts: Counts
    n_bytes: int  # of the input that is done
    total_bytes: int | None  # None where the input does not tell its size
    n_resumed: int  # documents that were done before this run


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, with the runs before it that it went on with."""

    out: Path
    quarantine: Path | None  # where documents were set aside, None if none was
    n_documents: int  # linked
    n_mentions: int
    n_linked: int
    n_nil: int
    n_set_aside: int
    n_resumed: int  # documents that earlier runs had linked
    most_linked: tuple[tuple[str, str, int], ...]  # entity id, name, links; the first ten
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage, of all processes
    wall_s: float = 0.0  # of this run


def quarantine_path(out: Path) -> Path:
    """Where documents go that could not be read or linked."""
    return out.with_name(f"{out.name}.quarantine.jsonl")


@dataclass(slots=True)
class _Run:
    """One call of `run_job`."""

    entries: Entries
    unfinished: Unfinished
    shard_chars: int
    strict: bool
    on_progress: OnProgress | None
    counts: Counts = field(default_factory=Counts)
    n_shards: int = 0
    n_bytes: int = 0
    n_resumed: int = 0
    sizes: dict[int, int] = field(default_factory=dict)  # of shards under way, in bytes of input
    read_s: float = 0.0
    # engines may take shards in other threads than the one that keeps parts
    counting: threading.Lock = field(default_factory=threading.Lock)

    def link(self, engine: Engine) -> None:
        """Link every shard that is not done."""
        for number, part in engine.run(self._to_do()):
            self.unfinished.add(number, part)
            self._done(number)
        if self.unfinished.n_parts() > self.n_shards:
            raise self._changed(self.n_shards)

    def _to_do(self) -> Iterator[tuple[int, bytes]]:
        """The shards that are not done. Counts those that are."""
        waiting = shards(distinct(self._watched()), max_chars=self.shard_chars)
        position = 0
        while True:
            started = time.perf_counter()
            entries = next(waiting, None)
            if entries is None:
                return
            shard = encode_shard(entries)
            self.read_s += time.perf_counter() - started
            number = self.n_shards
            self.n_shards += 1
            self.sizes[number], position = self.entries.position - position, self.entries.position
            head = self.unfinished.head(number)
            if head is None:
                yield number, shard
            elif head.input != hashlib.sha256(shard).hexdigest():
                raise self._changed(number)
            else:
                self.n_resumed += head.counts.n_documents
                self._done(number)

    def _watched(self) -> Iterator[Entry]:
        for entry in self.entries:
            if self.strict and isinstance(entry, SetAside):
                raise InputError(entry.reason)
            yield entry

    def _done(self, number: int) -> None:
        head = self.unfinished.head(number)
        assert head is not None  # it was added, or looked at, just now
        if self.strict and head.counts.n_set_aside:
            raise InputError(self._reason_of(number))
        with self.counting:
            self.counts.add(head.counts)
            self.n_bytes += self.sizes.pop(number)
            if self.on_progress:
                done = Progress(self.counts, self.n_bytes, self.entries.n_bytes, self.n_resumed)
                self.on_progress(done)

    def _changed(self, number: int) -> InputError:
        return InputError(
            f"{self.unfinished.out}: a run of it is not finished, and its input has changed (not "
            f"the same from piece {number + 1} on); run it as before to go on, or with --restart "
            "to begin again"
        )

    def first_reason(self) -> str:
        """Why the first document was set aside."""
        for number in range(self.n_shards):
            head = self.unfinished.head(number)
            if head and head.counts.n_set_aside:
                return self._reason_of(number)
        return "nothing was set aside"

    def _reason_of(self, number: int) -> str:
        return str(orjson.loads(self.unfinished.set_aside_of(number)[0])["reason"])


def run_job(
    entries: Entries,
    out: Path,
    engine: Engine,
    *,
    run: Mapping[str, object],
    shard_chars: int = SHARD_CHARS,
    strict: bool = False,
    restart: bool = False,
    on_progress: OnProgress | None = None,
    entity_of: EntityOf | None = None,
) -> Summary:
    """Link all entries and write ``out`` when everything is done.

    If a run with the same ``run`` was interrupted it goes on, and what it finished is not linked
    again. Raises InputError if it was another, if the input is not what it was, with ``strict``
    for the first document that cannot be read or linked, and if none could. ``shard_chars``:
    of a shard, at most. ``entity_of`` is for formats that say more of entities than the links do.
    """
    started = time.perf_counter()
    with Unfinished(out) as unfinished:
        unfinished.begin(run, restart=restart)
        state = _Run(entries, unfinished, shard_chars, strict, on_progress)
        state.link(engine)
        writing = time.perf_counter()
        if state.counts.n_set_aside and not state.counts.n_documents:
            reason, n = state.first_reason(), state.counts.n_set_aside
            unfinished.finish()
            raise InputError(reason if n == 1 else f"none of {n} documents is usable: {reason}")
        quarantine = _put_together(state, out, entity_of)
        unfinished.finish()
    ended = time.perf_counter()
    return _summary(state, out, quarantine, write_s=ended - writing, wall_s=ended - started)


def _summary(
    state: _Run, out: Path, quarantine: Path | None, *, write_s: float, wall_s: float
) -> Summary:
    counts = state.counts
    return Summary(
        out=out,
        quarantine=quarantine,
        n_documents=counts.n_documents,
        n_mentions=counts.n_mentions,
        n_linked=counts.n_linked,
        n_nil=counts.n_mentions - counts.n_linked,
        n_set_aside=counts.n_set_aside,
        n_resumed=state.n_resumed,
        most_linked=most_linked(counts),
        seconds={"read": state.read_s} | counts.seconds | {"write": write_s},
        wall_s=wall_s,
    )


def most_linked(counts: Counts) -> tuple[tuple[str, str, int], ...]:
    """Id, name and number of links of the entities linked most, ties by id."""
    ranked = sorted((-n, id_, name) for id_, (n, name) in counts.entities.items())
    return tuple((id_, name, -n) for n, id_, name in ranked[:_N_MOST_LINKED])


def _put_together(state: _Run, out: Path, entity_of: EntityOf | None) -> Path | None:
    """Write the output, and what was set aside; both appear whole."""
    unfinished, quarantine = state.unfinished, quarantine_path(out)
    with unfinished.writing():
        if state.counts.n_set_aside:
            with replacing(quarantine, folder=unfinished.folder) as stream:
                stream.writelines(unfinished.set_aside(state.n_shards))
        else:
            quarantine.unlink(missing_ok=True)  # of an earlier run
        lines = unfinished.lines(state.n_shards)
        write_file(
            lines,
            out,
            columns=state.counts.columns,
            folder=unfinished.folder,
            entity_of=entity_of,
        )
    return quarantine if state.counts.n_set_aside else None
