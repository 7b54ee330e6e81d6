"""Made-up evidence for the tests of the decision."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from entlink.decide import Evidence
from entlink.retrieve.dense import Retrieved
from entlink.retrieve.words import NameMatch


def random_evidence(generator: np.random.Generator, k: int) -> Evidence:
    """Of k candidates, in no order."""
    words = generator.integers(0, 4, size=k)
    return Evidence(
        cosines=generator.uniform(-1, 1, size=k).astype(np.float32),
        is_alias=generator.random(k) < 0.4,
        priors=(generator.random(k) * (generator.random(k) < 0.5)).astype(np.float32),
        popularity=np.where(generator.random(k) < 0.5, np.nan, generator.random(k) * 5).astype(
            np.float32
        ),
        degree=generator.integers(0, 500, size=k).astype(np.int32),
        is_country=generator.random(k) < 0.1,
        words_found=(words / 3).astype(np.float32),
        part_of_name=np.where(words == 3, 0.5, 0.0).astype(np.float32),
        begins_name=(words == 3) & (generator.random(k) < 0.5),
    )


def taken(evidence: Evidence, chosen: NDArray[np.intp]) -> Evidence:
    """The evidence of these candidates, in this order."""
    return Evidence(**{f.name: getattr(evidence, f.name)[chosen] for f in fields(evidence)})


def retrieved(evidence: Evidence, rows: NDArray[np.int64]) -> Retrieved:
    """Candidates of which this is known, at these rows of a knowledge base."""
    e = evidence
    return Retrieved(
        rows=rows,
        cosines=e.cosines,
        scores=e.cosines,
        priors=e.priors,
        counts=np.zeros(len(rows), dtype=np.int32),
        is_alias=e.is_alias,
        is_country=e.is_country,
        match=NameMatch(e.words_found, e.part_of_name, e.begins_name),
    )
