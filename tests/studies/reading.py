"""How much has to be read? Accuracy and pairs a mention by the settings of the decision.

    python -m tests.studies.reading FILE ... --bundle described [--limit N ...]
        [--setting PAIRS,MASS,FLOOR ...]

Links the gold mentions of all FILEs with `max_pairs`, `read_mass` and `read_floor` as given, and
prints a table. A pair is read once, whatever the number of settings. For dev sets: the settings of
a bundle are chosen by such a table (docs/reranker.md).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.evaluate.metrics import Outcome, summary
from entlink.evaluate.run import measure
from entlink.evaluate.sets import GoldSet, read_sets
from entlink.linker import Linker
from entlink.rerank.cross_encoder import PairReader

Setting = tuple[int, float, float]  # max_pairs, read_mass, read_floor
SETTINGS: tuple[Setting, ...] = (
    (10, 0.98, 0.0),
    (8, 0.98, 0.0),
    (8, 0.97, 0.0),
    (8, 0.95, 0.0),
    (8, 0.98, 0.001),
    (8, 0.999, 0.002),
    (12, 0.999, 0.002),
    (12, 0.999, 0.0015),
    (8, 0.98, 0.004),
    (8, 0.98, 0.008),
)


class Remembering(PairReader):
    """Reads with another reader, and no pair twice."""

    def __init__(self, reader: PairReader) -> None:
        super().__init__(reader.pairs)
        self._reader = reader
        self._known: dict[tuple[tuple[str, str, str], tuple[str, str]], float] = {}

    @property
    def backend(self) -> str:
        """That of the other."""
        return self._reader.backend

    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        """See PairReader."""
        return self._reader.logits(ids, segments, is_token)

    def score(
        self,
        contexts: Sequence[tuple[str, str, str]],
        entities: Sequence[tuple[str, str]],
        pairs: Sequence[tuple[int, int]],
        *,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """See PairReader."""
        texts = [(contexts[m], entities[e]) for m, e in pairs]
        new = [i for i, text in enumerate(texts) if text not in self._known]
        found = self._reader.score(
            contexts, entities, [pairs[i] for i in new], batch_size=batch_size
        )
        self._known.update(zip((texts[i] for i in new), found.tolist(), strict=True))
        return np.asarray([self._known[text] for text in texts], dtype=np.float32)


def outcomes_with(linker: Linker, sets: Sequence[GoldSet], setting: Setting) -> list[Outcome]:
    """What comes of all mentions if the decision reads so much."""
    pairs, mass, floor = setting
    before = linker.decision
    linker.decision = replace(before, max_pairs=pairs, read_mass=mass, read_floor=floor)
    try:
        return [outcome for gold in sets for outcome in measure(linker, gold).outcomes]
    finally:
        linker.decision = before


def row(setting: Setting, outcomes: Sequence[Outcome]) -> str:
    """The line of the table."""
    found = summary(outcomes)
    figures = (found[name] for name in ("accuracy", "accuracy_all", "pairs_per_mention"))
    return "| {} | {:g} | {:g} | {:.4f} | {:.4f} | {:.2f} |".format(*setting, *figures)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bundle")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--limit", type=int, nargs="+", help="documents of each FILE")
    parser.add_argument("--setting", action="append", help="PAIRS,MASS,FLOOR")
    options = parser.parse_args()
    limits = options.limit or [None] * len(options.files)
    if len(limits) != len(options.files):
        parser.error(f"--limit has {len(limits)} numbers; give one for each of the FILEs")
    settings = [_setting(text) for text in options.setting or ()] or SETTINGS
    sets = [
        replace(gold, documents=gold.documents[:n])
        for gold, n in zip(read_sets(options.files), limits, strict=True)
    ]
    linker = Linker.load(options.bundle, device="cpu", backend=options.backend)
    if linker.reranker is None:
        parser.error(f"{options.bundle}: has no reranker; name a bundle that has one")
    linker.reranker = Remembering(linker.reranker)
    names = ("max_pairs", "read_mass", "read_floor", "accuracy", "with NIL", "pairs a mention")
    sys.stdout.write(f"| {' | '.join(names)} |\n{'|---' * len(names)}|\n")
    for setting in settings:
        sys.stdout.write(row(setting, outcomes_with(linker, sets, setting)) + "\n")
        sys.stdout.flush()


def _setting(text: str) -> Setting:
    pairs, mass, floor = text.split(",")
    return int(pairs), float(mass), float(floor)


if __name__ == "__main__":
    main()
