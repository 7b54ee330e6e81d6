"""Texts to bags of hashed features: words, word bigrams, character n-grams, a batch at a time.

All substrings are hashed from one prefix sum of a polynomial hash: with T[i] = sum of c_k P^k for
k < i (mod 2^64), the hash of characters a..b-1 is (T[b] - T[a]) P^-a, whatever its position. So a
million characters take some milliseconds of NumPy and no Python loop.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IdArray = NDArray[np.int32]
_Hashes = NDArray[np.uint64]

_PRIME = 0x9E3779B97F4A7C15 | 1  # odd, so it has an inverse modulo 2^64
_INVERSE = pow(_PRIME, -1, 1 << 64)
_SALTS = {"word": 0x1F3D, "bigram": 0x2B77, "char": 0x3C95}


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of unequal length: row i is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: IdArray
    offsets: NDArray[np.int64]  # (n_rows + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self) -> list[list[int]]:
        """Each row as a list."""
        ids, ends = self.ids.tolist(), self.offsets.tolist()
        return [ids[a:b] for a, b in pairwise(ends)]

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """The given rows, in the given order."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        lengths = ends - starts
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        where = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(self.ids[where], offsets)


@dataclass(frozen=True, slots=True)
class Bags:
    """The features of n texts: for each a bag of words, one of bigrams, maybe one of n-grams."""

    word: Ragged
    bigram: Ragged
    char: Ragged | None

    def __len__(self) -> int:
        return len(self.word)

    def kinds(self) -> list[Ragged]:
        """The kinds of features there are: two or three."""
        bags = [self.word, self.bigram]
        return bags if self.char is None else [*bags, self.char]

    def take(self, rows: NDArray[np.int64]) -> Bags:
        """The features of the given texts, in the given order."""
        char = None if self.char is None else self.char.take(rows)
        return Bags(self.word.take(rows), self.bigram.take(rows), char)


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """Rows of ids, put together."""
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
    ids = np.asarray([number for row in rows for number in row], dtype=np.int32)
    return Ragged(ids, offsets.astype(np.int64))


def join_ragged(parts: Sequence[Ragged]) -> Ragged:
    """All rows of the parts, one part after the other."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return Ragged(np.concatenate([part.ids for part in parts]), offsets)


def join_bags(parts: Sequence[Bags]) -> Bags:
    """All texts of the parts, which have the same kinds of features, one part after the other."""
    chars = [part.char for part in parts if part.char is not None]
    return Bags(
        join_ragged([part.word for part in parts]),
        join_ragged([part.bigram for part in parts]),
        join_ragged(chars) if chars else None,
    )


def fold(text: str) -> str:
    """Lower case without accents; the form in which all features are read."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in folded if not unicodedata.combining(c))


def featurise(texts: Sequence[str], *, rows: int, chars: tuple[int, ...] = ()) -> Bags:
    """Hash each text's features to ``rows`` (a power of two) table rows.

    ``chars`` lists the lengths of character n-grams, at least 3 (a word's edges count as one blank
    each); none if empty.
    """
    points, is_word, text_of = _characters(texts)
    prefix = _prefix_hashes(np.where(is_word, points, np.uint64(32)))
    edges = np.diff(is_word.astype(np.int8))
    starts = np.flatnonzero(edges == 1) + 1  # never 0: the first character is a separator
    ends = np.flatnonzero(edges == -1) + 1
    words = _substrings(prefix, starts, ends)
    owner = text_of[starts]
    pair = owner[1:] == owner[:-1]
    bigrams = words[:-1][pair] * np.uint64(0xD6E8FEB86659FD93) + words[1:][pair]
    n = len(texts)
    return Bags(
        word=_rows(words, owner, n, rows, "word"),
        bigram=_rows(bigrams, owner[1:][pair], n, rows, "bigram"),
        char=_char_ngrams(prefix, is_word, text_of, n, rows, chars) if chars else None,
    )


def _characters(
    texts: Sequence[str],
) -> tuple[_Hashes, NDArray[np.bool_], NDArray[np.int64]]:
    """Code points of all texts, a separator around each; which are letters, and whose they are."""
    folded = [fold(text) for text in texts]
    joined = "\n" + "\n".join(folded) + "\n"
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    is_word = _letters()[np.minimum(points, 0x1FFFF)]
    lengths = np.fromiter((len(text) + 1 for text in folded), dtype=np.int64, count=len(folded))
    text_of = np.concatenate(([0], np.repeat(np.arange(len(texts)), lengths)))
    return points.astype(np.uint64), is_word, text_of[: len(points)]


@lru_cache(maxsize=1)
def _letters() -> NDArray[np.bool_]:
    """For each code point: is it part of a word? '+' and '#' are, for the likes of C++ and C#.

    Those from 0x20000 on (rare ideographs) are taken for separators, as the last entry is.
    """
    table = np.fromiter((chr(i).isalnum() for i in range(0x20000)), dtype=np.bool_, count=0x20000)
    table[[ord("+"), ord("#")]] = True
    table[0x1F300:0x1FB00] = True  # pictographs
    return table


def _prefix_hashes(points: _Hashes) -> tuple[_Hashes, _Hashes]:
    """T (one longer than points) and the powers of the inverse prime."""
    power = np.cumprod(np.full(len(points), _PRIME, dtype=np.uint64))
    inverse = np.cumprod(np.full(len(points) + 1, _INVERSE, dtype=np.uint64))
    prefix = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum((points + np.uint64(1)) * power, out=prefix[1:])
    return prefix, inverse.astype(np.uint64, copy=False)


def _substrings(
    prefix: tuple[_Hashes, _Hashes], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> _Hashes:
    sums, inverse = prefix
    return (sums[ends] - sums[starts]) * inverse[starts]


def _char_ngrams(
    prefix: tuple[_Hashes, _Hashes],
    is_word: NDArray[np.bool_],
    text_of: NDArray[np.int64],
    n: int,
    rows: int,
    lengths: tuple[int, ...],
) -> Ragged:
    """Windows that stay inside one word, its blank on either side included."""
    blanks = np.concatenate(([0], np.cumsum(~is_word)))
    hashes: list[_Hashes] = []
    owners: list[NDArray[np.int64]] = []
    for length in lengths:
        starts = np.arange(max(0, len(is_word) - length + 1))
        inner = blanks[starts + length - 1] - blanks[starts + 1]
        starts = starts[inner == 0]
        hashes.append(_substrings(prefix, starts, starts + length))
        owners.append(text_of[starts + 1])
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return _rows(np.concatenate(hashes)[order], owner[order], n, rows, "char")


def _rows(hashes: _Hashes, owner: NDArray[np.int64], n: int, rows: int, kind: str) -> Ragged:
    """Mix (the finaliser of MurmurHash3), keep the low bits, and group by text."""
    x = hashes ^ np.uint64(_SALTS[kind])
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    x ^= x >> np.uint64(33)
    ids = (x & np.uint64(rows - 1)).astype(np.int32)
    offsets = np.searchsorted(owner, np.arange(n + 1))
    return Ragged(ids, offsets.astype(np.int64))
