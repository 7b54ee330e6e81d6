"""Vectors and words: which words a vector stands for, and vectors that are given their words.

After Ram et al. (2022, "What Are You Token About?"): a vector is projected to a vocabulary; words
of the input that rank low there are forgotten ("token amnesia"), and are given back by adding them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from entlink.encode.features import fold

Floats = NDArray[np.float32]

_LAST = 0x20000  # as features._letters: rare ideographs beyond it are taken for separators
_PICTOGRAPHS = range(0x1F300, 0x1FB00)


def words_of(text: str) -> list[str]:
    """The words of a text as the encoder's features have them, folded, in order."""
    return "".join(c if _is_letter(c) else " " for c in fold(text)).split()


def word_probabilities(vectors: Floats, words: Floats, *, scale: float) -> NDArray[np.float64]:
    """Softmax over the vocabulary of scale * v_i . e: (n, d) and (n_words, d) -> (n, n_words)."""
    scores = scale * np.einsum("nd,wd->nw", vectors.astype(np.float64), words)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def enrich(
    vectors: Floats,
    bags: Sequence[NDArray[np.int64]],
    words: Floats,
    idf: NDArray[np.float64],
    *,
    weight: float,
) -> Floats:
    """e' = e + weight * s / |s|, where s is the IDF-weighted sum of the input's word vectors.

    ``bags`` are the places of each input's words in the vocabulary, repeats included. The result,
    (n, d), has unit length again; an input without a known word keeps its vector.
    """
    result = np.array(vectors, dtype=np.float32)
    for i, bag in enumerate(bags):
        total = (idf[bag, None] * words[bag]).sum(axis=0)
        length = float(np.linalg.norm(total))
        if length > 0:
            result[i] += (weight / length) * total
    norms = np.linalg.norm(result, axis=1, keepdims=True)
    return np.asarray(result / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def _is_letter(c: str) -> bool:
    code = ord(c)
    return code < _LAST and (c.isalnum() or c in "+#" or code in _PICTOGRAPHS)
