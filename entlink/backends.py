"""What reads pairs: the bundle's reranker in PyTorch, or in eight bits from the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from entlink.bundle import Bundle, cache_dir, file_digest
from entlink.errors import BundleError, ConfigError, reason
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, PairReader, PairTokenizer, has_bf16

if TYPE_CHECKING:
    from entlink.rerank.int8 import Comparison

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "bf16", "openvino")
_VERSION = 1  # of the export: raise it when the same weights would give another model
_REPORT = "report.json"


def load_reranker(
    bundle: Bundle, kb: KnowledgeBase, *, backend: str = "auto", device: str = "cpu"
) -> PairReader | None:
    """The bundle's reranker, None if it has none.

    ``backend``: "torch" reads in single precision, "bf16" with products in bfloat16, "openvino" in
    eight bits (on the CPU; made at first use and kept in the cache), and "auto" in eight bits where
    that has been made and the device is the CPU, else as "torch".
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend is {backend!r}; it must be one of {', '.join(BACKENDS)}")
    if not bundle.has("reranker"):
        return None
    source = bundle.path / "reranker"
    if backend in ("auto", "openvino"):
        read = _eight_bits(bundle, kb, device=device, made=backend == "auto")
        if read is not None:
            return read
    if backend == "bf16" and not has_bf16(device):
        raise ConfigError(f"the {device} here has no bfloat16; use --backend torch")
    encoder = CrossEncoder.load(source, bf16=backend == "bf16")
    encoder.model.to(device)
    return encoder


def export_reranker(bundle: Bundle, kb: KnowledgeBase) -> Comparison:
    """Make the eight-bit reranker in the cache unless it is there; returns how far off it is.

    Raises ConfigError, and keeps nothing, if that is too far.
    """
    from entlink.rerank.int8 import Int8Reader, compare, export_int8
    from entlink.rerank.sample import sample_pairs

    if not bundle.has("reranker"):
        raise BundleError(f"{bundle.path}: has no reranker; nothing can be made of it")
    folder = int8_folder(bundle)
    if (comparison := _report(folder)) is not None:
        return comparison
    log.info("making the eight-bit reranker; this is done once for a bundle")
    source = bundle.path / "reranker"
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        encoder = CrossEncoder.load(source)
        export_int8(encoder, made)
        digests = {file.name: file_digest(file) for file in sorted(made.iterdir())}
        comparison = compare(encoder, Int8Reader(made, source, encoder.pairs), sample_pairs(kb))
        comparison.check()
        report = {"comparison": asdict(comparison), "sha256": digests}
        text = json.dumps(report, indent=2, sort_keys=True)
        (made / _REPORT).write_text(text + "\n", encoding="utf-8")
        _put(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return comparison


def _report(folder: Path) -> Comparison | None:
    """What was found when it was made; None if it was not, or is damaged."""
    from entlink.rerank.int8 import Comparison

    try:
        report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        for name, digest in report["sha256"].items():
            if file_digest(folder / name) != digest:
                raise ValueError(f"{name} has changed")
        return Comparison(**report["comparison"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if folder.is_dir():
            log.warning("%s: damaged (%s); 'entlink bundle int8' mends it", folder, reason(error))
        return None


def _eight_bits(bundle: Bundle, kb: KnowledgeBase, *, device: str, made: bool) -> PairReader | None:
    """The eight-bit reranker; None where ``made`` asks for one that exists, and none does."""
    from entlink.rerank.int8 import Int8Reader

    if made and not reads_eight_bits(bundle, device=device):
        return None
    if device != "cpu":
        raise ConfigError(
            f"the openvino backend runs on the CPU, not on {device}; use --device cpu"
        )
    if not made:
        export_reranker(bundle, kb)
    source = bundle.path / "reranker"
    return Int8Reader(int8_folder(bundle), source, PairTokenizer.load(source))


def reads_eight_bits(bundle: Bundle, *, device: str) -> bool:
    """Does "auto" mean eight bits on this device: were they made, and are they still whole?"""
    from entlink.rerank.int8 import has_openvino

    return device == "cpu" and has_openvino() and _report(int8_folder(bundle)) is not None


def int8_folder(bundle: Bundle) -> Path:
    """Where the eight-bit version of these weights lies, or would."""
    from entlink.rerank.int8 import openvino_version

    names = [name for name in sorted(bundle.files) if name.startswith("reranker/")]
    listing = "".join(f"{name} {bundle.files[name]}\n" for name in names) + openvino_version()
    return cache_dir() / f"int8-{_VERSION}-{hashlib.sha256(listing.encode()).hexdigest()[:32]}"


def _put(made: Path, folder: Path) -> None:
    """Rename: of two processes that start at once, one wins."""
    try:
        os.replace(made, folder)
    except OSError:
        if _report(folder) is None:  # else another process was quicker
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(made, folder)
