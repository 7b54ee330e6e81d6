"""What peers share: defaults, their folder, requirements that may lack, vectors on disk."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.bundle import cache_dir
from entlink.errors import ConfigError
from entlink.evaluate.benchmark.peer import MAX_CANDIDATES, Answer, Kind
from entlink.evaluate.formats.files import replacing
from entlink.kb.store import KnowledgeBase
from entlink.records import Document, Entity, Mention

DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"
NOTHING: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


class Base:
    """A peer that is given mentions and takes each by itself; see entlink's ``Peer``."""

    name: str
    about: str
    kind = Kind.GIVEN
    is_retriever = True
    is_timed = True
    sets: Collection[str] | None = None

    def settings(self) -> Mapping[str, object]:
        """The source of the peer's own module."""
        source = Path(inspect.getfile(type(self)))
        return {"code": hashlib.sha256(source.read_bytes()).hexdigest()}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Get ready to answer over this KB."""
        raise NotImplementedError

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        """For each document the answers for its mentions."""
        flat = [(doc.text, m) for doc in documents for m in doc.mentions or ()]
        answers = iter(self.link(flat))
        return [[next(answers) for _ in doc.mentions or ()] for doc in documents]

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """An answer for each (text, mention)."""
        raise NotImplementedError


def folder() -> Path:
    """Where weights and vectors of peers lie: ENTLINK_PEERS, or a folder in entlink's cache."""
    named = os.environ.get("ENTLINK_PEERS")
    return Path(named) if named else cache_dir() / "peers"


def base_model() -> str:
    """The BERT that peers start from, a folder or a name: ENTLINK_PEERS_BASE."""
    return os.environ.get("ENTLINK_PEERS_BASE", DEFAULT_BASE)


def need(module: str) -> Any:
    """A module of the extra "peers"; ConfigError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{module.partition('.')[0]} is not installed; pip install 'entlink[peers]'"
        ) from error


def digest_of(path: Path) -> str:
    """SHA-256 over the files of a folder, by name; "" if there is none."""
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        digest.update(f"{file.relative_to(path).as_posix()} {content}\n".encode())
    return digest.hexdigest() if files else ""


def model_digest(model: str) -> str:
    """Of a folder its content, of a name the name."""
    return digest_of(Path(model)) if Path(model).is_dir() else model


def kept_vectors(
    kb: KnowledgeBase, model: str, make: Callable[[Iterator[Entity]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The vectors of all entities by row, (n, d), made once for a KB and a model (its digest)."""
    key = hashlib.sha256(f"{kb.digest} {model}".encode()).hexdigest()[:32]
    path = folder() / "vectors" / f"{key}.npy"
    if not path.is_file():
        vectors = make(entity for some in kb.iterate() for entity in some)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.save(file, vectors.astype(np.float16), allow_pickle=False)
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)


def ids_of(kb: KnowledgeBase, rows: Sequence[int]) -> dict[int, str]:
    """The ids of rows."""
    distinct = sorted(set(rows))
    return {row: e.id for row, e in zip(distinct, kb.by_rows(distinct), strict=True)}


def by_first(kb: KnowledgeBase, ranked: Sequence[NDArray[np.int64]]) -> list[Answer]:
    """Each answered with the first of its ranked rows."""
    ids = ids_of(kb, [int(rows[0]) for rows in ranked if len(rows)])
    return [
        Answer(rows[:MAX_CANDIDATES], ids[int(rows[0])] if len(rows) else None) for rows in ranked
    ]


class Flat:
    """Vectors searched by inner product: exact, by FAISS."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        faiss: Any = need("faiss")
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors))

    def search(self, queries: NDArray[np.float32], *, k: int) -> NDArray[np.int64]:
        """The rows with the largest inner products, (n_queries, k), best first."""
        k = min(k, self._index.ntotal)
        return np.asarray(self._index.search(np.ascontiguousarray(queries), k)[1])
