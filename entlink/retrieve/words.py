"""The words of entities' names, so that "Clinton" is seen to be part of "Bill Clinton"."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.kb.aliases import normalise


@dataclass(frozen=True, slots=True)
class NameMatch:
    """How the words of a surface lie in names; all arrays are (n_names,) or (n_entities,)."""

    found: NDArray[np.float32]  # share of the surface's words that the name has
    share: NDArray[np.float32]  # n words of the surface / n of the name, if it has all; else 0
    begins: NDArray[np.bool_]  # the name begins with the surface's words

    def best_of(self, rows: NDArray[np.int64]) -> NameMatch:
        """The best of each entity's names, by rising row; ``rows`` (n_names,) ascends."""
        if not len(rows):
            return self
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        return NameMatch(
            np.maximum.reduceat(self.found, starts),
            np.maximum.reduceat(self.share, starts),
            np.logical_or.reduceat(self.begins, starts),
        )

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> NameMatch:
        """Those chosen, by place or by mask."""
        return NameMatch(self.found[chosen], self.share[chosen], self.begins[chosen])

    def and_then(self, others: NameMatch) -> NameMatch:
        """These, followed by others."""
        return NameMatch(
            np.concatenate([self.found, others.found]),
            np.concatenate([self.share, others.share]),
            np.concatenate([self.begins, others.begins]),
        )


class NameWords:
    """The words of many names, each as the CRC-32 of its normalised form."""

    def __init__(self, words: NDArray[np.uint32], ends: NDArray[np.int64]) -> None:
        self._words = words  # (n_words,) of all names, one name after the other
        self._ends = ends  # (n_names,) where each name's words end

    @classmethod
    def of(cls, names: Sequence[str]) -> NameWords:
        """Of these names, in order."""
        split = [hashed_words(name) for name in names]
        ends = np.cumsum([len(words) for words in split], dtype=np.int64)
        return cls(np.asarray([w for words in split for w in words], dtype=np.uint32), ends)

    def save(self, folder: Path) -> None:
        """Write words.npy and word_ends.npy."""
        np.save(folder / "words.npy", self._words, allow_pickle=False)
        np.save(folder / "word_ends.npy", self._ends, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> NameWords:
        """Map what ``save`` wrote. Raises OSError, ValueError or EOFError if it is not whole."""
        words = np.load(folder / "words.npy", mmap_mode="r", allow_pickle=False)
        ends = np.load(folder / "word_ends.npy", mmap_mode="r", allow_pickle=False)
        if words.dtype != np.uint32 or ends.dtype != np.int64 or words.ndim != 1 or ends.ndim != 1:
            raise ValueError("words.npy holds something else")
        if len(words) != (int(ends[-1]) if len(ends) else 0):
            raise ValueError("words.npy and word_ends.npy do not fit")
        return cls(words, ends)

    def and_then(self, others: NameWords) -> NameWords:
        """These names, followed by others."""
        words = np.concatenate([self._words, others._words])
        return NameWords(words, np.concatenate([self._ends, others._ends + len(self._words)]))

    def __len__(self) -> int:
        return len(self._ends)

    def match(self, surface: str, places: NDArray[np.int64]) -> NameMatch:
        """How the surface's words lie in the names at these places."""
        wanted = hashed_words(surface)
        n = len(wanted)
        ends = self._ends[places]
        starts = np.where(places > 0, self._ends[np.maximum(places - 1, 0)], 0)
        lengths = ends - starts
        if not n or not len(places):
            nothing = np.zeros(len(places), dtype=np.float32)
            return NameMatch(nothing, nothing, np.zeros(len(places), dtype=np.bool_))
        width = int(lengths.max())
        at = starts[:, None] + np.arange(width)
        is_word = np.arange(width) < lengths[:, None]
        words = self._words[np.where(is_word, at, 0)]
        hits = np.stack([((words == word) & is_word).any(axis=1) for word in wanted])
        found = hits.mean(axis=0, dtype=np.float32)
        share = np.where(hits.all(axis=0), np.minimum(1.0, n / np.maximum(lengths, 1)), 0.0)
        begins = np.zeros(len(places), dtype=np.bool_)
        if n <= width:
            first = np.asarray(wanted, dtype=np.uint32)
            begins = ((words[:, :n] == first) & is_word[:, :n]).all(axis=1)
        return NameMatch(found, share.astype(np.float32), begins)


def hashed_words(name: str) -> list[int]:
    """CRC-32 of each word of a name as it is folded, in order."""
    return [zlib.crc32(word.encode()) for word in normalise(name).split()]
