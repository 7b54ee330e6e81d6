"""Fidelity: how often projected vectors keep what exact ones say, by the length of the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entlink.analyse.margins import length_groups
from entlink.analyse.ranks import projected_ranks, ranks_of
from entlink.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from entlink.analyse.projection import Rows


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Queries whose documents have texts of like length."""

    shortest: int  # words, inclusive
    longest: int
    n: int  # queries
    k: int  # dimensions
    r0: int
    exact: float  # share with their document among the first r0, by exact scores
    kept: float  # of those, the share for which it is there after the projection


def fidelity_of(
    queries: Rows,
    documents: Rows,
    gold: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    sizes: Sequence[int],
    r0: int = 1,
    n_groups: int = 5,
    kind: str = "gaussian",
    seed: int = 0,
) -> list[Fidelity]:
    """For each size and each group of lengths; ``lengths`` are those of all documents, in words.

    InputError if there is no query.
    """
    if not len(gold):
        raise InputError("no query; fidelity is a share of queries")
    is_exact = ranks_of(queries, documents, gold) <= r0
    kept = projected_ranks(queries, documents, gold, sizes=sizes, kind=kind, seed=seed) <= r0
    own = lengths[gold]
    rows = []
    for column, k in enumerate(sizes):
        for chosen in length_groups(own, n_groups=n_groups):
            good = chosen[is_exact[chosen]]
            rows.append(
                Fidelity(
                    shortest=int(own[chosen].min()),
                    longest=int(own[chosen].max()),
                    n=len(chosen),
                    k=k,
                    r0=r0,
                    exact=len(good) / len(chosen),
                    kept=float(kept[good, column].mean()) if len(good) else float("nan"),
                )
            )
    return rows


def fidelity_frame(rows: Sequence[Fidelity]) -> pd.DataFrame:
    """One row for each size and group."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=list(Fidelity.__slots__))
