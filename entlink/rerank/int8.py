"""The cross-encoder in eight bits, run by OpenVINO: over twice as fast on a CPU.

Weights are stored as unsigned bytes with a scale and a zero point for each output; what flows
between them is quantised as it comes, in groups of 128 values, so nothing has to be calibrated.
The rest (softmax, layer norm, GELU) stays in single precision.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.errors import BundleError, ConfigError, reason
from entlink.rerank.cross_encoder import CrossEncoder, PairReader, PairTokenizer
from entlink.rerank.sample import PairSample

log = logging.getLogger(__name__)

MODEL = "reranker.xml"  # with reranker.bin beside it
_GROUP = 128
_INPUTS = 3  # ids, segments, is_token


_used_by = 0  # the process that used OpenVINO first: its threads do not survive a fork


class Int8Reader(PairReader):
    """The eight-bit model, compiled when first needed.

    In a process that was forked from one that had used OpenVINO, which would end it, PyTorch reads.
    """

    def __init__(self, folder: Path, source: Path, pairs: PairTokenizer) -> None:
        """``folder``: what ``export_int8`` wrote. ``source``: the reranker that it was made of."""
        super().__init__(pairs)
        self._folder, self._source = folder, source
        self._request: Any = None
        self._instead: CrossEncoder | None = None

    def __reduce__(self) -> tuple[type[Int8Reader], tuple[Path, Path, PairTokenizer]]:
        return type(self), (self._folder, self._source, self.pairs)  # what is compiled stays here

    @property
    def backend(self) -> str:
        return "openvino int8"

    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        """See PairReader; on the CPU. BundleError if the files cannot be read."""
        if _used_by not in (0, os.getpid()):
            return self._in_torch().logits(ids, segments, is_token)
        if self._request is None:
            self._request = self._compiled()
        inputs = (ids.numpy(), segments.numpy(), is_token.numpy())
        return torch.from_numpy(self._request.infer(dict(enumerate(inputs)))[0].copy())

    def _compiled(self) -> Any:
        global _used_by
        openvino = _openvino()
        _used_by = os.getpid()
        options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,  # without it the bytes are no quicker
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # two processes would sit on the same core
        }
        file = self._folder / MODEL
        try:
            return openvino.Core().compile_model(file, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise BundleError(
                f"{file}: not an eight-bit reranker ({reason(error)}); delete {self._folder}, and "
                "make it again with 'entlink bundle int8'"
            ) from error

    def _in_torch(self) -> CrossEncoder:
        if self._instead is None:
            log.warning("a forked process cannot use OpenVINO; reading in single precision")
            self._instead = CrossEncoder.load(self._source)
        return self._instead


def export_int8(encoder: CrossEncoder, folder: Path) -> None:
    """Write the eight-bit version of a cross-encoder into a folder."""
    openvino = _openvino()
    ones = torch.ones(2, 4, dtype=torch.long)
    shapes = [([-1, -1], openvino.Type.i64)] * 2 + [([-1, -1], openvino.Type.boolean)]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer warns of shapes; the comparison would show it
        example = (ones, ones, ones.bool())
        model = openvino.convert_model(
            encoder.model.float().eval(), example_input=example, input=shapes
        )
    assert len(model.inputs) == _INPUTS
    _compress(model)
    # what is left are single-precision tables that came from half precision: nothing is lost
    openvino.save_model(model, folder / MODEL, compress_to_fp16=True)


def _compress(model: Any) -> None:
    """Put bytes in place of the weights of every product with a constant."""
    from openvino import opset13 as op

    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant":
            continue  # attention: both sides are computed
        assert node.get_attributes()["transpose_b"]  # (outputs, inputs), as torch keeps them
        weights, zeros, scales = to_bytes(constant.get_data())
        shifted = op.subtract(
            op.convert(op.constant(weights), "f32"), op.convert(op.constant(zeros), "f32")
        )
        scaled = op.multiply(shifted, op.constant(scales))
        node.input(1).replace_source_output(scaled.output(0))
    model.validate_nodes_and_infer_types()


def to_bytes(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """(m, n) weights as bytes (m, n), zero points (m, 1) and scales (m, 1).

    A weight is (byte - zero point) * scale, wrong by at most one scale.
    """
    low = np.minimum(weights.min(axis=1, keepdims=True), 0)
    high = np.maximum(weights.max(axis=1, keepdims=True), 0)
    scales = np.maximum((high - low) / 255, np.finfo(np.float32).tiny).astype(np.float32)
    zeros = np.rint(-low / scales).clip(0, 255)
    found = np.rint(weights / scales + zeros).clip(0, 255)
    return found.astype(np.uint8), zeros.astype(np.uint8), scales


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


def has_openvino() -> bool:
    """Is the package installed? It is not imported."""
    return importlib.util.find_spec("openvino") is not None


def openvino_version() -> str:
    """Of the installed package, "" if there is none: another one may read other files."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _openvino() -> Any:
    """The package, imported when first needed, and without what reports its use to its makers."""
    reporter = "openvino_telemetry"
    silenced = "openvino" not in sys.modules and reporter not in sys.modules
    if silenced:
        sys.modules[reporter] = None  # type: ignore[assignment]  # importing it fails: it is optional
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "the openvino backend needs OpenVINO; pip install 'entlink[openvino]', "
            "or use --backend torch"
        ) from error
    finally:
        if silenced:
            del sys.modules[reporter]
    return openvino
