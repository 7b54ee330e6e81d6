"""What vectors can and cannot hold: margins, random projections, bounds, and how big they must be.

After Luan et al. (2021). Needs scipy and pandas: ``pip install 'entlink[analyse]'``.
"""

from __future__ import annotations

from entlink.analyse.bounds import (
    least_margin,
    pair_failure,
    pair_size,
    recall_failure,
    recall_size,
)
from entlink.analyse.faithful import Faithfulness, measure_faithfulness
from entlink.analyse.fidelity import Fidelity, fidelity_frame, fidelity_of
from entlink.analyse.margins import (
    LengthGroup,
    by_length,
    length_groups,
    margin,
    margins_frame,
    margins_of,
    smallest,
)
from entlink.analyse.projection import project, shrink
from entlink.analyse.ranks import best, overlaps, projected_ranks, ranks_of
from entlink.analyse.size import HowBig, SizePoint, how_big, how_big_for
from entlink.analyse.sparse import SparseTexts

__all__ = [
    "Faithfulness",
    "Fidelity",
    "HowBig",
    "LengthGroup",
    "SizePoint",
    "SparseTexts",
    "best",
    "by_length",
    "fidelity_frame",
    "fidelity_of",
    "how_big",
    "how_big_for",
    "least_margin",
    "length_groups",
    "margin",
    "margins_frame",
    "margins_of",
    "measure_faithfulness",
    "overlaps",
    "pair_failure",
    "pair_size",
    "project",
    "projected_ranks",
    "ranks_of",
    "recall_failure",
    "recall_size",
    "shrink",
    "smallest",
]
