"""The vectors of a large KB, made a shard at a time: what is done is kept, memory stays flat.

A shard is a file with all that an index needs of some entities. Several processes or machines that
share the folder may each make a part of them. When all are there they are joined, and indexed.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap, write_array
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, ConfigError
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.index import VectorIndex
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig
from entlink.retrieve.stored import StoredVectors, to_codes
from entlink.retrieve.words import hashed_words

log = logging.getLogger(__name__)

SHARD = 50_000  # entities
_ENCODED = 1024  # entities encoded at a time
_Array = NDArray[np.generic]
_Mapped = np.memmap[Any, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Which shards to make: every n-th, from the number-th on."""

    number: int = 1  # 1 to n
    n: int = 1

    @classmethod
    def parse(cls, text: str) -> Part:
        """I/N, as 2/8."""
        number, _, n = text.partition("/")
        if not (number.isdigit() and n.isdigit() and 1 <= int(number) <= int(n)):
            raise ConfigError(f"part {text!r} is not I/N with I from 1 to N")
        return cls(int(number), int(n))


class Shards:
    """The shards of one KB in a folder.

    ``exact``: they hold the vectors as they are, for a flat index, and not one byte a number.
    """

    def __init__(
        self, folder: Path, kb: KnowledgeBase, *, size: int = SHARD, exact: bool = False
    ) -> None:
        self.folder = folder
        self._exact = exact
        self._kb = kb.base
        self._size = size
        n = -(-len(self._kb) // size)
        self._paths = [folder / f"{i:05d}-of-{n:05d}.npz" for i in range(n)]

    def missing(self, part: Part | None = None) -> list[int]:
        """The numbers of those of a part, or of all, that have not been made."""
        part = part or Part()
        numbers = range(part.number - 1, len(self._paths), part.n)
        return [number for number in numbers if not self._paths[number].is_file()]

    def make(self, encoder: DualEncoder, part: Part | None = None) -> int:
        """Make those that are missing; returns how many entities were encoded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        n_encoded = 0
        for number in self.missing(part):
            path = self._paths[number]
            if path.is_file():  # another process has made it meanwhile
                continue
            first = number * self._size
            after = min(len(self._kb), first + self._size)
            arrays = self._encoded(encoder, first, after)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with zipfile.ZipFile(temporary, "w") as archive:  # as np.savez, but without pickles
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w") as file:
                        write_array(file, array, allow_pickle=False)
            os.replace(temporary, path)
            n_encoded += after - first
            log.info("encoded %d of %d entities", after, len(self._kb))
        return n_encoded

    def join(self, out: Path, config: IndexConfig) -> None:
        """Write all that `SurfaceVectors.open` reads to a folder, and the columns of the KB.

        Memory: the index without its vectors, those it is trained on, and one shard. A flat one
        needs all of its vectors, and gets no columns.
        """
        if left := self.missing():
            raise BundleError(
                f"{self.folder}: {len(left)} of {len(self._paths)} shards are missing, the first "
                f"is {self._paths[left[0]].name}; make all parts first"
            )
        counts = [(len(shard["rows"]), len(shard["words"])) for shard in self._read("rows,words")]
        n, n_words = np.sum(counts, axis=0).tolist()
        dim = None if self._exact else next(self._read("codes"))["codes"].shape[1]
        made = _Joined(out, n, n_words, dim)
        for shard in self._read("rows,words,ends" + ("" if dim is None else ",codes,scales")):
            made.add(shard)
        made.close()
        if dim is None:
            parts = [shard["vectors"] for shard in self._read("vectors")]
            VectorIndex.build(np.concatenate(parts, dtype=np.float32)).save(out / "index.faiss")
            return
        resolved = config.resolved(n, dim)
        log.info("making an index %s of %d vectors", resolved.factory, n)
        VectorIndex.over(StoredVectors.open(out), resolved).save(out / "index.faiss")
        np.save(out / "popularity.npy", self._kb.popularity, allow_pickle=False)
        np.save(out / "degree.npy", self._kb.degree, allow_pickle=False)
        (out / CONFIG_NAME).write_text(resolved.dump(), encoding="utf-8")

    def _read(self, names: str) -> Iterator[dict[str, _Array]]:
        """Some arrays of each shard. A shard that is damaged is removed, and BundleError."""
        for path in self._paths:
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    yield {name: arrays[name] for name in names.split(",")}
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                path.unlink(missing_ok=True)
                raise BundleError(
                    f"{path}: damaged ({error}) and removed; the same command makes it again"
                ) from error

    def _encoded(self, encoder: DualEncoder, first: int, after: int) -> dict[str, _Array]:
        """The arrays of the entities from row ``first`` to row ``after``."""
        rows: list[int] = []
        words: list[int] = []
        ends: list[int] = []
        encoded: list[dict[str, _Array]] = []
        for begin in range(first, after, _ENCODED):
            entities = self._kb.between(begin, min(after, begin + _ENCODED))
            items = [encoder.inputs_of(entity) for entity in entities]
            for row, surfaces in enumerate(items, start=begin):
                rows += [row] * len(surfaces)
                for surface in surfaces:
                    words += hashed_words(surface.name)
                    ends.append(len(words))
            vectors = encoder.encode_entities([item for many in items for item in many])
            if self._exact:
                encoded.append({"vectors": vectors})
            else:
                encoded.append(dict(zip(("codes", "scales"), to_codes(vectors), strict=True)))
        return {
            **{name: np.concatenate([some[name] for some in encoded]) for name in encoded[0]},
            "rows": np.asarray(rows, dtype=np.int32),
            "words": np.asarray(words, dtype=np.uint32),
            "ends": np.asarray(ends, dtype=np.int64),
        }


class _Joined:
    """The arrays of all shards, one behind the other, in mapped files."""

    def __init__(self, out: Path, n: int, n_words: int, dim: int | None = None) -> None:
        """``dim``: of vectors in one byte a number; None: there are none."""

        def array(name: str, dtype: type[np.generic], *shape: int) -> _Mapped:
            return open_memmap(out / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)

        self._arrays: dict[str, _Mapped] = {
            "rows": array("rows", np.int32, n),
            "ends": array("word_ends", np.int64, n),
            "words": array("words", np.uint32, n_words),
        }
        if dim is not None:
            self._arrays["codes"] = array("vectors", np.int8, n, dim)
            self._arrays["scales"] = array("scales", np.float32, n)
        self._n = 0
        self._n_words = 0

    def add(self, shard: dict[str, _Array]) -> None:
        """Put a shard behind those before it."""
        n, n_words = len(shard["rows"]), len(shard["words"])
        after = dict.fromkeys(self._arrays, self._n) | {"words": self._n_words}
        shard["ends"] = np.asarray(shard["ends"], dtype=np.int64) + self._n_words
        for name, array in self._arrays.items():
            values = shard[name]
            array[after[name] : after[name] + len(values)] = values
        self._n += n
        self._n_words += n_words

    def close(self) -> None:
        """All of it is in the files."""
        for array in self._arrays.values():
            array.flush()
        self._arrays.clear()
