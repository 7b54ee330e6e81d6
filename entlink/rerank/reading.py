"""Reading of chosen candidates: the same for linking and for calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from entlink.inputs import pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import PairReader


def read_candidates(
    reader: PairReader,
    kb: KnowledgeBase,
    contexts: Sequence[tuple[str, str, str]],
    chosen: Sequence[NDArray[np.int64]],
) -> list[NDArray[np.float32]]:
    """The logits of each mention's chosen candidates, given as rows of the KB, in their order.

    ``contexts`` are those of ``inputs.pair_context``. An entity's text is made once.
    """
    if not any(len(rows) for rows in chosen):
        return [np.zeros(0, dtype=np.float32) for _ in chosen]
    rows = np.unique(np.concatenate(chosen))
    place = {int(row): i for i, row in enumerate(rows)}
    logits = reader.score(
        contexts,
        [pair_entity(entity) for entity in kb.by_rows(rows.tolist())],
        [(i, place[int(row)]) for i, some in enumerate(chosen) for row in some],
    )
    return np.split(logits, np.cumsum([len(some) for some in chosen])[:-1])
