"""One shard: documents in, and out the file that holds their links and what was counted.

Such a part is one line of JSON, its head, then the lines of links and those of what was set aside,
each gzipped. It is the same whatever process or machine made it, but for the seconds in its head.
"""

from __future__ import annotations

import gzip
import hashlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import orjson

from entlink.corpus.items import (
    BATCH_DOCUMENTS,
    OWN_KEYS,
    Entry,
    Item,
    SetAside,
    carried,
    decode_shard,
    set_aside_line,
)
from entlink.corpus.parquet import kind_of_value
from entlink.corpus.writers import link_line
from entlink.errors import BundleError, ConfigError, EntlinkError, InputError, reason
from entlink.records import NIL, Document, LinkedDocument

_NOT_ITS_FAULT = (OSError, sqlite3.Error, BundleError, ConfigError)  # whichever document it was


class LinksTexts(Protocol):
    """What linking a corpus needs of a linker; Linker has it."""

    def stream(
        self, documents: Sequence[Document], *, batch_size: int = 64, n_candidates: int = 10
    ) -> Iterator[LinkedDocument]: ...


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What decides on the bytes that come out, beside bundle and input."""

    n_candidates: int = 10
    reranker: bool = True
    labels: bool = False  # of mentions, in the lines; for formats made from them
    backend: str = "auto"  # of the reranker
    exact: bool = False  # it reads every candidate
    types: Sequence[str] = ()  # ids or names; only entities of one of them, if any are given
    ids: Sequence[str] = ()  # only these entities, if any are given

    def applied_to(self, linker: LinksTexts) -> LinksTexts:
        """A linker like this one without what the options leave out."""
        chosen: Any = linker
        if self.types or self.ids:
            chosen = chosen.within(types=self.types, ids=self.ids)
        if not self.reranker and hasattr(chosen, "without_reranker"):  # of our kind
            chosen = chosen.without_reranker()
        return cast("LinksTexts", chosen)


@dataclass(frozen=True, slots=True)
class Setup:
    """How another process gets a linker like ours."""

    bundle: str | None
    digest: str  # what it has to find there
    device: str
    threads: int | None
    options: LinkOptions
    edits: str | None = None  # of its knowledge base, that it has to find; None: any

    def dump(self) -> bytes:
        """As bytes for another process."""
        return orjson.dumps(asdict(self))

    @classmethod
    def parse(cls, data: bytes) -> Setup:
        """What ``dump`` gave."""
        fields = orjson.loads(data)
        return cls(**(fields | {"options": LinkOptions(**fields["options"])}))

    def load(self) -> LinksTexts:
        """Load the linker; raises BundleError if it is another one than where the run began."""
        from entlink.linker import Linker

        linker = Linker.load(
            self.bundle,
            device=self.device,
            threads=self.threads,
            backend=self.options.backend,
            exact=self.options.exact,
        )
        if linker.bundle.digest != self.digest:
            raise BundleError(
                f"{linker.bundle.path}: not the bundle that this run began with; every machine "
                "and process needs the same one"
            )
        kb: Any = linker.kb
        if self.edits not in (None, kb.last_edit):
            raise BundleError(
                f"{linker.bundle.path}: the last edit of its knowledge base is {kb.last_edit}, and "
                f"was {self.edits} where this run began; every machine and process needs the same "
                "edits, and after one a run has to begin again (--restart)"
            )
        return self.options.applied_to(linker)


@dataclass(slots=True)
class Counts:
    """What was done, of a shard or of many."""

    n_documents: int = 0
    n_mentions: int = 0
    n_linked: int = 0
    n_set_aside: int = 0
    entities: dict[str, tuple[int, str]] = field(default_factory=dict)  # id: links, name
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    columns: dict[str, list[str]] = field(default_factory=dict)  # carried: kinds of values

    def add(self, other: Counts) -> None:
        """Count what another counted as well."""
        self.n_documents += other.n_documents
        self.n_mentions += other.n_mentions
        self.n_linked += other.n_linked
        self.n_set_aside += other.n_set_aside
        for entity, (n, name) in other.entities.items():
            # the first name is kept: to put another string in its place with each shard would
            # scatter them over all memory
            before, first = self.entities.get(entity, (0, name))
            self.entities[entity] = (before + n, first)
        for stage, seconds in other.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        for name, kinds in other.columns.items():
            self.columns[name] = sorted({*self.columns.get(name, ()), *kinds})

    def add_document(self, document: LinkedDocument) -> None:
        """Count a document's links."""
        self.n_documents += 1
        self.n_mentions += len(document.links)
        for link in document.links:
            if link.entity_id != NIL:
                self.n_linked += 1
                n, _ = self.entities.get(link.entity_id, (0, ""))
                self.entities[link.entity_id] = (n + 1, link.name)

    def add_columns(self, extra: Mapping[str, object]) -> None:
        """Note which kinds of values the carried columns have."""
        for name, value in extra.items():
            kinds = self.columns.setdefault(name, [])
            kind = kind_of_value(value)
            if kind not in kinds:
                kinds.append(kind)
                kinds.sort()


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a part."""

    input: str  # SHA-256 of the shard
    body: str  # SHA-256 of what follows the head
    n_bytes: int  # of the links in it; the rest is what was set aside
    counts: Counts

    @classmethod
    def parse(cls, line: bytes) -> Head:
        """Raises ValueError, KeyError or TypeError for what is none."""
        fields = orjson.loads(line)
        counts = Counts(**fields.pop("counts"))
        return cls(**fields, counts=counts)


def link_batch(
    linker: LinksTexts, batch: Sequence[Entry], *, n_candidates: int = 10
) -> Iterator[tuple[Item, LinkedDocument] | SetAside]:
    """Link the documents of a batch together; if that fails, each alone, to find the culprit."""
    items = [entry for entry in batch if isinstance(entry, Item)]
    documents = [item.document for item in items]
    linked: list[LinkedDocument | None] = []
    try:
        linked += linker.stream(documents, batch_size=BATCH_DOCUMENTS, n_candidates=n_candidates)
    except _NOT_ITS_FAULT:
        raise
    except Exception:
        linked = [None] * len(items)
    waiting = iter(zip(items, linked, strict=True))
    for entry in batch:
        if isinstance(entry, SetAside):
            yield entry
            continue
        item, document = next(waiting)
        yield (item, document) if document else _link_alone(linker, item, n_candidates)


def _link_alone(
    linker: LinksTexts, item: Item, n_candidates: int
) -> tuple[Item, LinkedDocument] | SetAside:
    try:
        (document,) = linker.stream([item.document], batch_size=1, n_candidates=n_candidates)
    except _NOT_ITS_FAULT:
        raise
    except InputError as error:
        return SetAside(item.where, f"{item.where}: {error}", item=item)
    except Exception as error:  # ours or a library's; the run goes on, and the reason is kept
        why = f"{item.where}: could not be linked ({type(error).__name__}: {reason(error)})"
        return SetAside(item.where, why, item=item)
    return item, document


def link_shard(linker: LinksTexts, shard: bytes, options: LinkOptions) -> bytes:
    """Link a shard and give the part that holds its links."""
    started = time.perf_counter()
    before = dict(getattr(linker, "seconds", {}))
    counts = Counts()
    lines: list[bytes] = []
    set_aside: list[bytes] = []
    for batch in decode_shard(shard):
        for result in link_batch(linker, batch, n_candidates=options.n_candidates):
            if isinstance(result, SetAside):
                counts.n_set_aside += 1
                set_aside.append(set_aside_line(result))
                continue
            item, document = result
            counts.add_document(document)
            extra = carried(item.extra, taken=OWN_KEYS)
            counts.add_columns(extra)
            lines.append(link_line(document, extra, labels=options.labels))
    stages = {
        stage: seconds - before.get(stage, 0.0)
        for stage, seconds in getattr(linker, "seconds", {}).items()
    }
    rest = time.perf_counter() - started - sum(stages.values())
    counts.seconds = stages | {"other": rest}
    return _part(hashlib.sha256(shard).hexdigest(), lines, set_aside, counts)


def _part(digest: str, lines: Sequence[bytes], set_aside: Sequence[bytes], counts: Counts) -> bytes:
    links = gzip.compress(b"".join(lines), compresslevel=1, mtime=0)
    body = links + gzip.compress(b"".join(set_aside), compresslevel=1, mtime=0)
    head = Head(digest, hashlib.sha256(body).hexdigest(), len(links), counts)
    return orjson.dumps(asdict(head)) + b"\n" + body


def read_head(path: Path) -> Head:
    """The head of a part; InputError if it is none."""
    with path.open("rb") as file:
        line = file.readline()
    try:
        return Head.parse(line)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a part of this run; remove it and run again") from None


def read_part(path: Path) -> tuple[list[bytes], list[bytes]]:
    """The lines of links and of what was set aside; EntlinkError if the part is damaged."""
    data: Any = memoryview(path.read_bytes())
    end = bytes(data[:]).find(b"\n") + 1
    head = Head.parse(bytes(data[:end]))
    body = data[end:]
    if hashlib.sha256(body).hexdigest() != head.body:
        path.unlink()
        raise EntlinkError(f"{path}: was damaged and is removed; run the same command again")
    links = gzip.decompress(body[: head.n_bytes])
    set_aside = gzip.decompress(body[head.n_bytes :])
    return links.splitlines(keepends=True), set_aside.splitlines(keepends=True)
