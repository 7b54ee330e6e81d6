"""The document pass: what a document's other mentions say about the candidates of each.

Mentions are first decided one by one. Then every candidate that was read is weighed again, with
the answers to the other mentions as evidence: the same name, a longer form of it, and how near the
candidate's vector lies to theirs (cf. Hoffart et al. 2011, where relatedness to the other
candidates decides; here it is the cosine of the retriever's entity vectors). A small network, as
scores and surroundings matter together: a table of match results makes teams of all its towns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from operator import add

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES = (
    "same_name",  # log of the probability that other mentions of the same name give it
    "longer_name",  # the most that mentions with a longer form of the name give it
    "coherence",  # cosine to the sum of the other mentions' entities
    "coherence_gap",  # to the best of the candidates that bear the name
    "closest",  # mean product with the three nearest of the other mentions' entities
)
N_HIDDEN = 16
_LEAST = 0.02  # a probability below that says no more
_N_CLOSEST = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """One mention of a document after it was decided for itself; n candidates that count."""

    words: tuple[str, ...]  # of its name, normalised
    rows: NDArray[np.int64]  # (n,) rows of the KB
    probabilities: Floats  # (n,)
    vectors: NDArray[np.float32]  # (n, d) of the entities, each of length one
    is_alias: NDArray[np.bool_]  # (n,)


@dataclass(frozen=True, slots=True)
class Coherence:
    """Weights over the f features of a candidate: linear ones and one hidden layer (tanh)."""

    linear: tuple[float, ...]  # (f,)
    hidden: tuple[float, ...]  # (f * N_HIDDEN,) by feature
    bias: tuple[float, ...]  # (N_HIDDEN,)
    out: tuple[float, ...]  # (N_HIDDEN,)
    nil: tuple[float, ...]  # of NIL's features

    def scores(self, x: Floats) -> Floats:
        """The scores (n,) of candidates with features (n, f)."""
        hidden = np.asarray(self.hidden).reshape(len(self.linear), N_HIDDEN)
        # row by row and not by BLAS: equal candidates get equal scores, wherever they stand
        inner = (x[:, :, None] * hidden).sum(axis=1) + np.asarray(self.bias)
        deep = (np.tanh(inner) * np.asarray(self.out)).sum(axis=1)
        return np.asarray((x * np.asarray(self.linear)).sum(axis=1) + deep)


def surroundings(mentions: Sequence[Seen]) -> list[Floats]:
    """The features (n, 5) of every mention's candidates, from the document's other mentions."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, seen in enumerate(mentions):
        groups.setdefault(seen.words, []).append(place)
    names = list(groups)
    number = {words: i for i, words in enumerate(names)}
    longer = _longer(names)
    centres = np.stack([_centre(mentions[groups[words][-1]]) for words in names])
    most = [_given(mentions, groups[words], max) for words in names]
    sums = [_given(mentions, groups[words], add) for words in names]
    result = []
    for seen in mentions:
        own = number[seen.words]
        x = np.zeros((len(seen.rows), len(FEATURES)))
        rows = seen.rows.tolist()
        n_same = len(groups[seen.words]) - 1
        if n_same:
            total = np.asarray([sums[own][row] for row in rows])
            others = np.maximum(total - seen.probabilities, 0.0) / n_same
            x[:, 0] = np.log(_LEAST + others) - log(_LEAST)
        for i in longer[own]:
            x[:, 1] = np.maximum(x[:, 1], [most[i].get(row, 0.0) for row in rows])
        rest = [i for i in range(len(names)) if i != own and i not in longer[own]]
        if rest and rows:
            x[:, 2:] = _nearness(seen, centres[rest])
        result.append(x)
    return result


def _nearness(seen: Seen, centres: Floats) -> Floats:
    total = centres.sum(axis=0)
    vectors = seen.vectors.astype(np.float64)
    cosines = vectors @ total / max(float(np.linalg.norm(total)), 1e-9)
    named = cosines[seen.is_alias]
    gap = np.where(seen.is_alias, cosines - (named.max() if len(named) else 0.0), 0.0)
    products = np.sort(vectors @ centres.T, axis=1)[:, -_N_CLOSEST:]
    return np.stack([cosines, gap, products.mean(axis=1)], axis=1)


def _centre(seen: Seen) -> Floats:
    """The sum of a mention's entities, each as far as it is probable."""
    return np.asarray(seen.probabilities @ seen.vectors.astype(np.float64))


def _given(
    mentions: Sequence[Seen], places: Sequence[int], join: Callable[[float, float], float]
) -> dict[int, float]:
    """What mentions of one name give each entity, joined to one number."""
    found: dict[int, float] = {}
    for place in places:
        seen = mentions[place]
        for row, p in zip(seen.rows.tolist(), seen.probabilities.tolist(), strict=True):
            found[row] = join(found.get(row, 0.0), p)
    return found


def _longer(names: Sequence[tuple[str, ...]]) -> list[frozenset[int]]:
    """For each name, the names that have all its words and more."""
    with_word: dict[str, set[int]] = {}
    for i, words in enumerate(names):
        for word in words:
            with_word.setdefault(word, set()).add(i)
    found = []
    for words in names:
        sets = [with_word[word] for word in set(words)]
        all_words = set.intersection(*sets) if sets else set()
        found.append(frozenset(i for i in all_words if len(names[i]) > len(words)))
    return found
