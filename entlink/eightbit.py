"""Torch modules in eight bits, run by OpenVINO: over twice as fast on a CPU.

Weights are stored as unsigned bytes with a scale and a zero point for each output; what flows
between them is quantised as it comes, in groups of 128 values, so nothing has to be calibrated.
The rest (softmax, layer norm, GELU) stays in single precision.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from entlink.errors import BundleError, ConfigError, reason

_GROUP = 128
_TYPES = {torch.int64: "i64", torch.bool: "boolean", torch.float32: "f32"}

_used_by = 0  # the process that used OpenVINO first: its threads do not survive a fork


class EightBit:
    """What ``export`` wrote, compiled when first needed, on the CPU."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._request: Any = None

    def __reduce__(self) -> tuple[type[EightBit], tuple[Path]]:
        return type(self), (self.file,)  # what is compiled stays here

    def run(self, *inputs: Tensor) -> Tensor | None:
        """The module's output. BundleError if the file cannot be read.

        None in a process that was forked from one that had used OpenVINO, which would end it.
        """
        if _used_by not in (0, os.getpid()):
            return None
        if self._request is None:
            self._request = self._compiled()
        arrays = {i: tensor.numpy() for i, tensor in enumerate(inputs)}
        return torch.from_numpy(self._request.infer(arrays)[0].copy())

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
        try:
            return openvino.Core().compile_model(self.file, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise BundleError(
                f"{self.file}: not an eight-bit model ({reason(error)}); delete "
                f"{self.file.parent}, and make it again with 'entlink bundle int8'"
            ) from error


def export(module: nn.Module, examples: Sequence[Tensor], file: Path) -> None:
    """Write the eight-bit version of a module to FILE.xml and FILE.bin.

    ``examples`` are inputs of two dimensions, which may have other sizes later.
    """
    openvino = _openvino()
    shapes = [([-1, -1], getattr(openvino.Type, _TYPES[e.dtype])) for e in examples]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer warns of shapes; the comparison would show it
        model = openvino.convert_model(
            module.float().eval(), example_input=tuple(examples), input=shapes
        )
    assert len(model.inputs) == len(examples)
    _compress(model)
    # what is left are single-precision tables that came from half precision: nothing is lost
    openvino.save_model(model, file, compress_to_fp16=True)


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
