"""Why this entity? What `linker.explain` and `entlink explain` are made of."""

from __future__ import annotations

from entlink.explain.main import ExplainOptions, explain, explain_all
from entlink.explain.mentions import find_mention, find_words
from entlink.explain.result import (
    GROUPS,
    Effect,
    ExplainedCandidate,
    Explanation,
    TokenWeight,
    VectorReading,
)
from entlink.explain.vocabulary import Vocabulary

__all__ = [
    "GROUPS",
    "Effect",
    "ExplainOptions",
    "ExplainedCandidate",
    "Explanation",
    "TokenWeight",
    "VectorReading",
    "Vocabulary",
    "explain",
    "explain_all",
    "find_mention",
    "find_words",
]
