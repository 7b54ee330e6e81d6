"""What reads: the bundle's models in PyTorch, or in eight bits from the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from entlink.bundle import Bundle, cache_dir, file_digest
from entlink.eightbit import EightBit, has_openvino, openvino_version
from entlink.encode.contextual import ReaderComparison, compare_reader, export_reader
from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, ConfigError, reason
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, PairReader, PairTokenizer, has_bf16
from entlink.rerank.int8 import Comparison, Int8Reader, compare, export_int8
from entlink.rerank.sample import sample_pairs

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "bf16", "openvino")
_VERSION = 1  # of the export: raise it when the same weights would give another model
_REPORT = "report.json"
_READER = "reader.xml"
_PARTS = ("reranker", "retriever")  # that may be in eight bits
_C = TypeVar("_C", Comparison, ReaderComparison)


def load_reranker(
    bundle: Bundle, kb: KnowledgeBase, *, backend: str = "auto", device: str = "cpu"
) -> PairReader | None:
    """The bundle's reranker, None if it has none.

    ``backend``: "torch" reads in single precision, "bf16" with products in bfloat16, "openvino" in
    eight bits (on the CPU; made at first use and kept in the cache), and "auto" in eight bits where
    that has been made and the device is the CPU, else as "torch".
    """
    _check(backend, device)
    if not bundle.has("reranker"):
        return None
    source = bundle.path / "reranker"
    if backend == "openvino":
        export_reranker(bundle, kb)
    if backend == "openvino" or (backend == "auto" and _has_eight_bits(bundle, "reranker", device)):
        return Int8Reader(int8_folder(bundle), source, PairTokenizer.load(source))
    encoder = CrossEncoder.load(source, bf16=backend == "bf16")
    encoder.model.to(device)
    return encoder


def choose_reader(
    bundle: Bundle,
    kb: KnowledgeBase,
    encoder: DualEncoder,
    *,
    backend: str = "auto",
    device: str = "cpu",
) -> None:
    """Have the context reader of the bundle's retriever, if it has one, compute by this backend.

    They are those of ``load_reranker``.
    """
    if encoder.reader is None:
        return
    _check(backend, device)
    encoder.reader.bf16 = backend == "bf16"
    if backend == "openvino":
        export_context_reader(bundle, kb, encoder)
    if backend == "openvino" or (
        backend == "auto" and _has_eight_bits(bundle, "retriever", device)
    ):
        encoder.reader.quick = EightBit(int8_folder(bundle, "retriever") / _READER)


def _check(backend: str, device: str) -> None:
    if backend not in BACKENDS:
        raise ConfigError(f"backend is {backend!r}; it must be one of {', '.join(BACKENDS)}")
    if backend == "bf16" and not has_bf16(device):
        raise ConfigError(f"the {device} here has no bfloat16; use --backend torch")
    if backend == "openvino" and device != "cpu":
        raise ConfigError(
            f"the openvino backend runs on the CPU, not on {device}; use --device cpu"
        )


def export_reranker(bundle: Bundle, kb: KnowledgeBase) -> Comparison:
    """Make the eight-bit reranker in the cache unless it is there; returns how far off it is.

    Raises ConfigError, and keeps nothing, if that is too far.
    """
    if not bundle.has("reranker"):
        raise BundleError(f"{bundle.path}: has no reranker; nothing can be made of it")

    def make(folder: Path) -> Comparison:
        source = bundle.path / "reranker"
        encoder = CrossEncoder.load(source)
        export_int8(encoder, folder)
        return compare(encoder, Int8Reader(folder, source, encoder.pairs), sample_pairs(kb))

    return _made(bundle, "reranker", Comparison, make)


def export_context_reader(
    bundle: Bundle, kb: KnowledgeBase, encoder: DualEncoder
) -> ReaderComparison:
    """The same for what reads contexts in the bundle's retriever, ``encoder``, which has it."""
    reader = encoder.reader
    assert reader is not None

    def make(folder: Path) -> ReaderComparison:
        export_reader(reader, folder / _READER)
        return compare_reader(encoder, EightBit(folder / _READER), sample_pairs(kb).contexts)

    return _made(bundle, "retriever", ReaderComparison, make)


def _made(bundle: Bundle, part: str, kind: type[_C], make: Callable[[Path], _C]) -> _C:
    folder = int8_folder(bundle, part)
    if (comparison := _report(folder, kind)) is not None:
        return comparison
    log.info("making the eight-bit %s; this is done once for a bundle", part)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        comparison = make(made)
        comparison.check()
        digests = {file.name: file_digest(file) for file in sorted(made.iterdir())}
        report = {"comparison": asdict(comparison), "sha256": digests}
        text = json.dumps(report, indent=2, sort_keys=True)
        (made / _REPORT).write_text(text + "\n", encoding="utf-8")
        _put(made, folder, kind)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return comparison


def _report(folder: Path, kind: type[_C]) -> _C | None:
    """What was found when it was made; None if it was not, or is damaged."""
    try:
        report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        for name, digest in report["sha256"].items():
            if file_digest(folder / name) != digest:
                raise ValueError(f"{name} has changed")
        return kind(**report["comparison"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if folder.is_dir():
            log.warning("%s: damaged (%s); 'entlink bundle int8' mends it", folder, reason(error))
        return None


def _has_eight_bits(bundle: Bundle, part: str, device: str) -> bool:
    """Were they made of this part, and are they still whole?"""
    if device != "cpu" or not has_openvino():
        return False
    folder = int8_folder(bundle, part)
    if part == "reranker":
        return _report(folder, Comparison) is not None
    return _report(folder, ReaderComparison) is not None


def reads_eight_bits(bundle: Bundle, *, device: str) -> bool:
    """Does "auto" mean eight bits on this device, of any part?"""
    return any(_has_eight_bits(bundle, part, device) for part in _PARTS if bundle.has(part))


def int8_folder(bundle: Bundle, part: str = "reranker") -> Path:
    """Where the eight-bit version of these weights lies, or would."""
    names = [name for name in sorted(bundle.files) if name.startswith(f"{part}/")]
    listing = "".join(f"{name} {bundle.files[name]}\n" for name in names) + openvino_version()
    return cache_dir() / f"int8-{_VERSION}-{hashlib.sha256(listing.encode()).hexdigest()[:32]}"


def _put(made: Path, folder: Path, kind: type[_C]) -> None:
    """Rename: of two processes that start at once, one wins."""
    try:
        os.replace(made, folder)
    except OSError:
        if _report(folder, kind) is None:  # else another process was quicker
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(made, folder)
