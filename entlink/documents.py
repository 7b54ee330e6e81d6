"""The mentions of documents together: in portions that fit, and what they say of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entlink.coherence import Seen, surroundings
from entlink.inputs import with_full_names
from entlink.kb.aliases import normalise
from entlink.records import Mention

if TYPE_CHECKING:
    from entlink.retrieve.dense import Retrieved, Retriever

MENTIONS_AT_A_TIME = 512  # bounds memory, whatever the length of a document


def portions(
    texts: Sequence[str], mentions: Sequence[Sequence[Mention]]
) -> Iterator[tuple[list[tuple[str, Mention]], list[int]]]:
    """The (text, mention) pairs of documents and the documents' numbers, in bounded portions.

    A document's mentions are together, unless it has more than fit; then it is cut at places that
    do not depend on what comes before it.
    """
    pairs: list[tuple[str, Mention]] = []
    numbers: list[int] = []
    for number, (text, found) in enumerate(zip(texts, mentions, strict=True)):
        if pairs and len(pairs) + len(found) > MENTIONS_AT_A_TIME:
            yield pairs, numbers
            pairs, numbers = [], []
        for mention in with_full_names(found):
            if len(pairs) == MENTIONS_AT_A_TIME:
                yield pairs, numbers
                pairs, numbers = [], []
            pairs.append((text, mention))
            numbers.append(number)
    if pairs:
        yield pairs, numbers


def around(
    retriever: Retriever,
    names: Sequence[str],
    documents: Sequence[int],
    found: Sequence[Retrieved],
    places: Sequence[NDArray[np.int64]],
    probabilities: Sequence[NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    """Features (n, 5) of each mention's n candidates at ``places``, from its document's others.

    ``documents`` has the number of each mention's document, ``probabilities`` (k + 1,) what its
    candidates and NIL have so far. Of a mention with no places, the likeliest counts.
    """
    kept = [
        some if len(some) else np.argsort(-p[:-1], kind="stable")[:1]
        for some, p in zip(places, probabilities, strict=True)
    ]
    seen = _seen(retriever, names, found, kept, probabilities)
    together: dict[int, list[int]] = {}
    for i, document in enumerate(documents):
        together.setdefault(document, []).append(i)
    features = [np.zeros((0, 0))] * len(names)
    for mentions in together.values():
        for i, x in zip(mentions, surroundings([seen[i] for i in mentions]), strict=True):
            features[i] = x[: len(places[i])]
    return features


def _seen(
    retriever: Retriever,
    names: Sequence[str],
    found: Sequence[Retrieved],
    places: Sequence[NDArray[np.int64]],
    probabilities: Sequence[NDArray[np.float64]],
) -> list[Seen]:
    rows = [r.rows[some] for r, some in zip(found, places, strict=True)]
    distinct = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *rows]))
    vectors = retriever.entity_vectors(distinct)
    return [
        Seen(
            words=tuple(normalise(name).split()),
            rows=own,
            probabilities=p[some],
            vectors=vectors[np.searchsorted(distinct, own)],
            is_alias=r.is_alias[some],
        )
        for name, own, some, p, r in zip(names, rows, places, probabilities, found, strict=True)
    ]
