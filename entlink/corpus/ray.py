"""Linking on Ray: the engine of `--engine ray`, and `link_dataset` for a Dataset of your own.

The engine hands the shards of the local engine to actors that each hold a linker, so that the
bytes are the same; parts come back to the driver, which alone writes. An actor or a node that is
lost costs the shard it was at: another actor links it, and a new actor is asked for. Every node
needs entlink and, under the same path, the bundle.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entlink.corpus.items import Entry, Item, SetAside, batches, carried
from entlink.corpus.shards import LinkOptions, LinksTexts, Setup, link_batch, link_shard
from entlink.corpus.state import setup_for
from entlink.corpus.texts import MAX_CHARS, ReadOptions, checked
from entlink.corpus.writers import link_record
from entlink.errors import ConfigError, EntlinkError, InputError, reason
from entlink.records import Document

if TYPE_CHECKING:
    from ray.data import Dataset

log = logging.getLogger(__name__)

_ATTEMPTS = 5  # actors that may be lost over one shard
_WAIT_S = 30.0


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "the ray engine needs Ray; install it with: pip install 'entlink[ray]'"
        ) from None
    return ray


class ShardLinker:
    """What an actor does: it loads a linker and links shards."""

    def __init__(self, setup: bytes) -> None:
        self._setup = Setup.parse(setup)
        self._linker = self._setup.load()

    def ready(self) -> bool:
        """Answered once the linker is loaded."""
        return True

    def link(self, shard: bytes) -> bytes:
        """The part of a shard."""
        return link_shard(self._linker, shard, self._setup.options)


class RayEngine:
    """Links on a Ray cluster: RAY_ADDRESS, the one that is connected, or one on this machine."""

    def __init__(self, setup: Setup, *, n_actors: int = 0) -> None:
        self._ray = _ray()
        if not self._ray.is_initialized():
            try:
                self._ray.init(log_to_driver=False, include_dashboard=False)
            except ConnectionError as error:
                raise ConfigError(
                    f"the Ray cluster does not answer ({reason(error)}); check RAY_ADDRESS"
                ) from None
        resources = self._ray.cluster_resources()
        n_gpus = 0 if setup.device == "cpu" else int(resources.get("GPU", 0))
        n_cpus = setup.threads or 1
        self._n_actors = n_actors or n_gpus or max(1, int(resources.get("CPU", 1)) // n_cpus)
        self._setup = replace(setup, threads=n_cpus)
        share = min(1.0, n_gpus / self._n_actors)
        self._actor = self._ray.remote(ShardLinker).options(num_cpus=n_cpus, num_gpus=share)
        self._starting: dict[Any, Any] = {}  # what tells that an actor is ready: the actor
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, int, bytes]] = {}  # a part to come: actor, shard
        self._again: deque[tuple[int, bytes]] = deque()  # shards whose actor was lost
        self._losses: dict[int, int] = {}

    def run(self, shards: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The part of each shard, as they are done."""
        for _ in range(self._n_actors):
            self._start()
        try:
            while True:
                self._hand_out(shards)
                if not self._busy and not self._again and self._idle:
                    return
                waiting = [*self._busy, *self._starting]
                ready, _ = self._ray.wait(waiting, num_returns=1, timeout=_WAIT_S)
                for reference in ready:
                    yield from self._answer(reference)
                if not ready and not self._busy:
                    log.info("waiting for the cluster to start %d actors", len(self._starting))
        finally:
            for actor in [
                *self._idle,
                *self._starting.values(),
                *(b[0] for b in self._busy.values()),
            ]:
                self._ray.kill(actor)

    def _start(self) -> None:
        actor = self._actor.remote(self._setup.dump())
        self._starting[actor.ready.remote()] = actor

    def _hand_out(self, shards: Iterator[tuple[int, bytes]]) -> None:
        while self._idle:
            taken = self._again.popleft() if self._again else next(shards, None)
            if taken is None:
                return
            actor = self._idle.pop()
            self._busy[actor.link.remote(taken[1])] = (actor, *taken)

    def _answer(self, reference: Any) -> Iterator[tuple[int, bytes]]:
        """What came of a call; where its actor was lost, the shard waits for another."""
        starting = self._starting.pop(reference, None)
        actor, number, shard = (starting, -1, b"") if starting else self._busy.pop(reference)
        try:
            part = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise EntlinkError(f"on the cluster: {reason(error.cause)}") from None
        except self._ray.exceptions.RayError as error:
            lost = self._losses[number] = self._losses.get(number, 0) + 1
            log.warning("an actor was lost (%s); starting another", type(error).__name__)
            if lost >= _ATTEMPTS:
                raise EntlinkError(
                    f"{lost} actors were lost in a row ({reason(error)}); what was done is kept"
                ) from None
            if number >= 0:
                self._again.append((number, shard))
            self._start()
            return
        self._idle.append(actor)
        self._losses.pop(number, None)
        if number >= 0:
            yield number, part


# -- a Dataset of one's own -----------------------------------------------------------------------

MENTIONS, SET_ASIDE = "mentions", "set_aside"  # the columns that a Dataset gets


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a Dataset are read, and what is done with a text that cannot be linked."""

    text: str
    id: str | None
    max_chars: int
    strict: bool


class BatchLinker:
    """Adds links to batches; Ray Data makes one an actor."""

    def __init__(self, setup: bytes, columns: Columns) -> None:
        parsed = Setup.parse(setup)
        self._linker = parsed.load()
        self._n_candidates = parsed.options.n_candidates
        self._columns = columns

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        links: list[object] = []
        reasons: list[str | None] = []
        for batch in batches(self._entries(table)):
            for result in link_batch(self._linker, batch, n_candidates=self._n_candidates):
                if isinstance(result, tuple):
                    links.append(link_record(result[1], labels=True)["mentions"])
                    reasons.append(None)
                    continue
                if self._columns.strict:
                    raise InputError(result.reason)
                links.append(None)
                reasons.append(result.reason)
        names = carried(dict.fromkeys(table.column_names), taken=(MENTIONS, SET_ASIDE))
        return (
            table.rename_columns(list(names))
            .append_column(MENTIONS, pa.array(links, type=mentions_type()))
            .append_column(SET_ASIDE, pa.array(reasons, type=pa.string()))
        )

    def _entries(self, table: Any) -> Iterator[Entry]:
        columns, read = self._columns, ReadOptions(max_chars=self._columns.max_chars)
        for name in filter(None, (columns.text, columns.id)):
            if name not in table.column_names:
                has = ", ".join(map(repr, table.column_names))
                raise ConfigError(f"the dataset has no column {name!r}; it has {has}")
        texts = table[columns.text].to_pylist()
        ids = table[columns.id].to_pylist() if columns.id else [None] * len(texts)
        for place, (text, id_) in enumerate(zip(texts, ids, strict=True)):
            where = f"document {id_!r}" if columns.id else "this row"
            if isinstance(text, str | None):
                document = Document(str(id_) if columns.id else str(place), text or "")
                yield checked(Item(document, where), read)
            else:
                why = f"{where}: column {columns.text!r} holds {type(text).__name__}, not a text"
                yield SetAside(where, why)


def mentions_type() -> Any:
    """The Arrow type of the column ``mentions``."""
    import pyarrow as pa

    from entlink.corpus.parquet import candidates_type

    fields: dict[str, Any] = {
        "start": pa.int64(),
        "end": pa.int64(),
        "text": pa.string(),
        "entity": pa.string(),
    }
    fields |= {"name": pa.string(), "probability": pa.float64()}
    fields |= {"candidates": candidates_type(), "label": pa.string()}
    return pa.list_(pa.struct(list(fields.items())))


def link_dataset(
    dataset: Dataset,
    *,
    text: str = "text",
    id: str | None = None,
    linker: LinksTexts | None = None,
    bundle: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
    exact: bool = False,
    n_candidates: int = 10,
    reranker: bool = True,
    types: Sequence[str] = (),
    ids: Sequence[str] = (),
    max_chars: int = MAX_CHARS,
    strict: bool = False,
    batch_size: int = 64,
    concurrency: int | tuple[int, int] = 1,
    num_gpus: float = 0,
) -> Dataset:
    """A Ray Dataset with a column ``mentions``: a list of the links format's mentions a row.

    ``text`` and ``id`` name columns; the latter serves the sentences about documents.
    ``concurrency`` actors, each with a linker, ``threads`` cores (1) and ``num_gpus``. The other
    options are those of `link_corpus`. Rows without a text have no mentions. Where a text cannot
    be linked ``mentions`` is null and ``set_aside`` holds the reason, which is null elsewhere;
    with ``strict`` the job fails instead. A column of either name gets "_" behind it. The batches
    are Ray's: a probability may differ in its last digit from that of `link_corpus`.
    """
    _ray()
    options = LinkOptions(n_candidates, reranker, True, backend, exact, types, ids)
    setup = setup_for(linker, bundle, device=device, threads=threads or 1, options=options)
    return dataset.map_batches(
        BatchLinker,
        fn_constructor_args=(setup.dump(), Columns(text, id, max_chars, strict)),
        batch_size=batch_size,
        batch_format="pyarrow",
        concurrency=concurrency,
        num_cpus=threads or 1,
        num_gpus=num_gpus,
    )
