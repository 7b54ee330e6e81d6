"""The cross-encoder in eight bits (see ``entlink.eightbit``), and how near it is to the other."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.eightbit import EightBit, export
from entlink.errors import ConfigError
from entlink.rerank.cross_encoder import CrossEncoder, PairReader, PairTokenizer
from entlink.rerank.sample import PairSample

log = logging.getLogger(__name__)

MODEL = "reranker.xml"  # with reranker.bin beside it


class Int8Reader(PairReader):
    """The eight-bit model, compiled when first needed.

    In a process that was forked from one that had used OpenVINO, which would end it, PyTorch reads.
    """

    def __init__(self, folder: Path, source: Path, pairs: PairTokenizer) -> None:
        """``folder``: what ``export_int8`` wrote. ``source``: the reranker that it was made of."""
        super().__init__(pairs)
        self._folder, self._source = folder, source
        self._model = EightBit(folder / MODEL)
        self._instead: CrossEncoder | None = None

    def __reduce__(self) -> tuple[type[Int8Reader], tuple[Path, Path, PairTokenizer]]:
        return type(self), (self._folder, self._source, self.pairs)

    @property
    def backend(self) -> str:
        return "openvino int8"

    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        """See PairReader; on the CPU. BundleError if the files cannot be read."""
        found = self._model.run(ids, segments, is_token)
        return self._in_torch().logits(ids, segments, is_token) if found is None else found

    def _in_torch(self) -> CrossEncoder:
        if self._instead is None:
            log.warning("a forked process cannot use OpenVINO; reading in single precision")
            self._instead = CrossEncoder.load(self._source)
        return self._instead


def export_int8(encoder: CrossEncoder, folder: Path) -> None:
    """Write the eight-bit version of a cross-encoder into a folder."""
    ones = torch.ones(2, 4, dtype=torch.long)
    export(encoder.model, (ones, ones, ones.bool()), folder / MODEL)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the logits of one backend are from another's."""

    n_pairs: int
    n_mentions: int
    max_difference: float
    mean_difference: float
    n_changed: int  # mentions whose best pair is another
    exact_pairs_per_second: float = field(default=0.0, compare=False)  # here and now
    pairs_per_second: float = field(default=0.0, compare=False)

    def check(self) -> None:
        """ConfigError if it is further than eight bits should be."""
        if (
            self.mean_difference > MEAN_DIFFERENCE
            or self.max_difference > MAX_DIFFERENCE
            or self.n_changed > CHANGED_SHARE * self.n_mentions
        ):
            raise ConfigError(
                f"the eight-bit reranker is too far from single precision: logits differ by "
                f"{self.mean_difference:.3f} in the mean (allowed: {MEAN_DIFFERENCE}) and by "
                f"{self.max_difference:.3f} at most ({MAX_DIFFERENCE}), {self.n_changed} of "
                f"{self.n_mentions} mentions get another entity (at most {CHANGED_SHARE:.0%}); "
                "use --backend torch"
            )


# Logits of the built-in bundle have a standard deviation of about 5. Eight bits move them by .05 in
# the mean, and single ones, of near equal rivals, by up to 1. Mentions that change were draws.
MEAN_DIFFERENCE = 0.1
MAX_DIFFERENCE = 2.0
CHANGED_SHARE = 0.03


def compare(exact: PairReader, other: PairReader, sample: PairSample) -> Comparison:
    """Read the sample with both; a sample must have a pair."""
    expected, seconds = _timed(exact, sample)
    found, other_seconds = _timed(other, sample)
    difference = np.abs(expected - found)
    borders = np.cumsum(sample.counts)[:-1]
    best = [[some.argmax() for some in np.split(x, borders)] for x in (expected, found)]
    n = len(sample.pairs)
    return Comparison(
        n_pairs=n,
        n_mentions=len(sample.counts),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        n_changed=sum(bool(a != b) for a, b in zip(*best, strict=True)),
        exact_pairs_per_second=round(n / seconds, 1),
        pairs_per_second=round(n / other_seconds, 1),
    )


def _timed(reader: PairReader, sample: PairSample) -> tuple[NDArray[np.float32], float]:
    reader.score(sample.contexts, sample.entities, sample.pairs[:4])  # what is loaded at first use
    started = time.perf_counter()
    logits = reader.score(sample.contexts, sample.entities, sample.pairs)
    return logits, time.perf_counter() - started
