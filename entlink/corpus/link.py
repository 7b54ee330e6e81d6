"""`link_corpus`: files, folders or documents in, one file of links out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

from entlink.corpus.engines import InProcess, Processes, n_cores
from entlink.corpus.items import Entry, Item, SetAside, shard_chars
from entlink.corpus.job import Engine, OnProgress, Summary, quarantine_path, run_job
from entlink.corpus.readers import CorpusReader
from entlink.corpus.shards import LinkOptions, LinksTexts, Setup
from entlink.corpus.sources import Source, find_sources, fingerprint
from entlink.corpus.state import bundle_of, edits_of, options_of, part_of, setup_for
from entlink.corpus.texts import MAX_CHARS, ReadOptions
from entlink.corpus.writers import EntityOf, check_out, is_jsonl
from entlink.errors import ConfigError, InputError
from entlink.records import Document

if TYPE_CHECKING:
    from entlink.bundle import Bundle

ENGINES = ("local", "ray")

CorpusSource = str | Path | Iterable[str | Path | Document]


def link_corpus(
    source: CorpusSource,
    sink: str | Path,
    *,
    linker: LinksTexts | None = None,
    bundle: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
    exact: bool = False,
    processes: int = 1,
    engine: str = "local",
    text_column: str | None = None,
    id_column: str | None = None,
    n_candidates: int = 10,
    reranker: bool = True,
    types: Sequence[str] = (),
    ids: Sequence[str] = (),
    max_chars: int = MAX_CHARS,
    strict: bool = False,
    restart: bool = False,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Link a corpus and write ``sink``, whose name tells the format, when everything is done.

    source: a file, a folder, "-" (standard input), several of these, or Documents.
    linker: linked with in this process; without one ``bundle`` is loaded on ``device``. Other
        processes and machines load the same bundle for themselves, with the linker's ``exact`` and
        reranker; ConfigError for one that is limited to a part of the KB (``within``).
    backend, exact: as of ``entlink.load``. On several machines name a backend, for "auto" may find
        another one on each.
    processes: how many link on this machine, or with ``engine="ray"`` how many actors (0: as many
        as the cluster has GPUs or, without any, cores). The bytes written are the same.
    text_column, id_column: of tables and JSONL; guessed if None; id "" for none.
    reranker: False leaves it out, which is faster and less good.
    types, ids: link only to entities of these types (ids or names), only to these entities.
    strict: raise InputError for the first document that cannot be read or linked; otherwise such
        go to a file beside the sink (Summary.quarantine).
    restart: throw away what an unfinished run of this sink had done.

    Interrupted at any moment, the same call goes on where it was. InputError if bundle, options or
    input are other ones than those the unfinished run began with.
    """
    out = Path(sink)
    check_out(out)
    read = ReadOptions(text_column, id_column, max_chars)
    entries, inputs = _entries(source, read, out)
    wanted = LinkOptions(n_candidates, reranker, not is_jsonl(out), backend, exact, types, ids)
    chosen = _engine(
        engine, processes, linker, bundle, device=device, threads=threads, options=wanted
    )
    opened, options = chosen.bundle, chosen.options
    run = {
        "version": version("entlink"),
        "bundle": opened.digest if opened else "given linker",
        "last edit of the knowledge base": chosen.edits,
        "part of the knowledge base": part_of(linker),
        "text column": text_column,
        "id column": id_column,
        "number of candidates": n_candidates,
        "reranker": options.backend if options.reranker else "none",
        "exact": options.exact,
        "types": sorted(types),
        "ids": sha256("\n".join(sorted(ids)).encode()).hexdigest() if ids else "all",
        "limit of characters": max_chars,
        "inputs": inputs,
    }
    return run_job(
        entries,
        out,
        chosen.engine,
        run=run,
        shard_chars=shard_chars(reranker=options.reranker),
        strict=strict,
        restart=restart,
        on_progress=on_progress,
        entity_of=_entity_of(linker, opened) if out.suffix == ".html" else None,
    )


def _entity_of(linker: LinksTexts | None, bundle: Bundle | None) -> EntityOf | None:
    """What tells of an entity more than its name: the linker's KB, or the bundle's."""
    kb = getattr(linker, "kb", None)
    if kb is None and bundle is not None:
        from entlink.kb.live import LiveKnowledgeBase

        kb = LiveKnowledgeBase.open_with(bundle.path, bundle.edits)
    return cast("EntityOf", kb.by_id) if kb is not None else None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An engine and what it links with."""

    engine: Engine
    bundle: Bundle | None  # None for a linker that has none
    options: LinkOptions  # nothing in them is left to be found out, where that can be
    edits: str | None  # None: any


def _engine(
    name: str,
    processes: int,
    linker: LinksTexts | None,
    bundle: str | Path | None,
    *,
    device: str,
    threads: int | None,
    options: LinkOptions,
) -> _Chosen:
    """The engine, and what it links with."""
    if name not in ENGINES:
        raise ConfigError(f"engine is {name!r}; it has to be one of {', '.join(ENGINES)}")
    if processes < (1 if name == "local" else 0):
        raise ConfigError(f"processes is {processes}; it must be at least 1")
    if name == "local" and processes == 1:
        if linker is None:
            from entlink.linker import Linker

            linker = Linker.load(
                bundle,
                device=device,
                threads=threads,
                backend=options.backend,
                exact=options.exact,
            )
        options = options_of(linker, options)
        opened = getattr(linker, "bundle", None)
        edits = edits_of(linker, opened)
        return _Chosen(InProcess(options.applied_to(linker), options), opened, options, edits)
    here = name == "local"
    each = threads or (max(1, n_cores() // processes) if here else None)
    opened = bundle_of(linker, bundle)
    setup = setup_for(linker, opened, device=device, threads=each, options=options, here=here)
    return _Chosen(_others(setup, processes, here=here), opened, setup.options, setup.edits)


def _others(setup: Setup, n: int, *, here: bool) -> Engine:
    """Other processes, on this machine or on a cluster."""
    if here:
        return Processes(setup, n_processes=n)
    from entlink.corpus.ray import RayEngine

    return RayEngine(setup, n_actors=n)


def _entries(
    source: CorpusSource, options: ReadOptions, out: Path
) -> tuple[_Entries, list[dict[str, object]]]:
    """The entries of everything in the source, and what tells whether it is the same again."""
    if isinstance(source, str | Path):
        source = [source]
    if not isinstance(source, Sequence):
        return _Entries([_Documents(source)]), [{"name": "documents"}]
    names = [str(given) for given in source if not isinstance(given, Document)]
    own = (out.resolve(), quarantine_path(out).resolve())
    found = iter(find_sources(names, leave_out=own))
    parts: list[CorpusReader | _Documents] = []
    inputs: list[dict[str, object]] = []
    files: list[Source] = []
    for given in source:
        if isinstance(given, Document):
            parts.append(_Documents([given]))
            inputs.append({"name": f"document {given.id}"})
        else:
            files = next(found)
            _check_apart(files, own)
            parts.append(CorpusReader(files, options))
            inputs.append(fingerprint(str(given), files))
    return _Entries(parts), inputs


def _check_apart(files: Sequence[Source], own: Sequence[Path]) -> None:
    """Raise InputError if what is written would take the place of what is read."""
    for file in files:
        if file.path is not None and file.path.resolve() in own:
            raise InputError(f"{file.name}: is both input and output; name another --out")


class _Documents:
    """Documents given as such."""

    n_bytes: int | None = 0
    position = 0

    def __init__(self, documents: Iterable[str | Path | Document]) -> None:
        self._documents = documents

    def __iter__(self) -> Iterator[Entry]:
        for number, document in enumerate(self._documents, start=1):
            where = f"document {number}"
            if not isinstance(document, Document):
                raise ConfigError(
                    f"{where} is {type(document).__name__}; a source that is no list holds "
                    "entlink.Document objects"
                )
            try:
                (document.id + document.text).encode()
            except UnicodeEncodeError as error:
                why = f"{where}: half a surrogate pair ({error.reason}); decode it as UTF-8"
                yield SetAside(where, why)
                continue
            yield Item(document, where)


class _Entries:
    """Several sources, one after another."""

    def __init__(self, parts: Sequence[CorpusReader | _Documents]) -> None:
        self._parts = parts

    @property
    def n_bytes(self) -> int | None:
        sizes = [part.n_bytes for part in self._parts]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def position(self) -> int:
        return sum(part.position for part in self._parts)

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._parts)
