"""What the teacher says of training mentions and their candidates: computed once, kept, reused.

    FOLDER/candidates-KEY.jsonl.gz          mentions and their candidates, mined as for the reranker
    FOLDER/scores-KEY/00000.safetensors     the teacher's logits, some hundred mentions a file
    FOLDER/labels-KEY.json                  what the recogniser says of some mentions

A key is a digest of all that the content depends on, so nothing stale is ever read, and a run that
was stopped goes on with the first file that is missing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from tqdm import tqdm

from entlink.eightbit import has_openvino, openvino_version
from entlink.errors import ConfigError, InputError, reason
from entlink.kb.importers import jsonl
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, PairReader, PairTokenizer, has_bf16
from entlink.rerank.int8 import Int8Reader, export_int8
from entlink.rerank.reading import read_candidates
from entlink.train.candidates import Candidates, contexts_of, mine, rows_of
from entlink.train.data import Example, label_examples
from entlink.train.loop import device_of
from entlink.train.reranker_config import RerankerTraining

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "bf16", "openvino")
_SHARD = 256  # mentions
NOT_MINING = {"base", "out", "kb", "views", "student", "pair", "vocabulary", "positions", "n_wrong"}
NOT_MINING |= {"loss", "batch_size", "epochs", "learning_rate", "bf16", "device"}  # of the settings


@dataclass(frozen=True, slots=True)
class Taught:
    """Candidate lists and the teacher's logits of each list's ``rows_of``."""

    lists: tuple[Candidates, ...]
    logits: tuple[NDArray[np.float32], ...]
    key: str  # of what they depend on

    def accuracy(self) -> float:
        """Share of the mentions with a true candidate of which the teacher likes it best."""
        known = [t for c, t in zip(self.lists, self.logits, strict=True) if c.gold >= 0]
        return float(np.mean([int(np.argmax(t)) == 0 for t in known])) if known else 0.0

    def by_row(self) -> list[dict[int, float]]:
        """Of each list: KB row -> logit."""
        pairs = zip(self.lists, self.logits, strict=True)
        return [dict(zip(rows_of(c).tolist(), t.tolist(), strict=True)) for c, t in pairs]


def taught(
    mining: RerankerTraining, kb: KnowledgeBase, teacher: Path, folder: Path, *, backend: str
) -> Taught:
    """The lists that ``mining`` describes with the scores of the reranker in ``teacher``.

    What lies in ``folder`` already is not computed again. ``backend``: "torch", "bf16" and
    "openvino" as for linking; "auto" is the quickest there is.
    """
    parts = _folder_parts(teacher)
    folder.mkdir(parents=True, exist_ok=True)
    mined = _digest({"kb": kb.digest, **_mining_parts(mining)})
    lists = _lists(folder / f"candidates-{mined[:24]}.jsonl.gz", mining, kb)
    if not lists:
        raise InputError(f"{mining.kb}: no mention to learn from; give mentions of its entities")
    reader = reader_of(teacher, folder, backend)
    key = _digest({"candidates": mined, "backend": reader.backend, **parts})
    logits = _scores(folder / f"scores-{key[:24]}", reader, kb, lists)
    found = Taught(tuple(lists), tuple(logits), key)
    log.info("%d lists; the teacher is right in %.3f of them", len(lists), found.accuracy())
    return found


def labelled(examples: Sequence[Example], detector: Path | None, folder: Path) -> list[Example]:
    """The same as ``data.label_examples``, computed once: students of one study need it often."""
    if detector is None:
        return list(examples)
    files = sorted(path for path in detector.rglob("*") if path.is_file())
    parts = {str(path.relative_to(detector)): _file(path) for path in files}
    key = _digest({"detector": parts, "examples": [asdict(e) for e in examples]})
    path = folder / f"labels-{key[:24]}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = [(e.label, e.full_name) for e in label_examples(examples, detector)]
        _write(path, orjson.dumps(found))
    labels = orjson.loads(path.read_bytes())
    return [
        replace(e, label=label, full_name=full_name)
        for e, (label, full_name) in zip(examples, labels, strict=True)
    ]


def _mining_parts(mining: RerankerTraining) -> dict[str, str]:
    """All settings of the mining, a file's digest in place of its name."""
    parts: dict[str, str] = {}
    for field in fields(mining):
        if field.name in NOT_MINING:
            continue
        value = getattr(mining, field.name)
        if field.name == "retrievers":
            value = [_folder_parts(path) for path in value]
        elif field.name in ("mentions", "unlabelled"):
            value = [_file(path) for path in value]
        elif field.name == "relations" and value is not None:
            value = _file(value)
        parts[field.name] = repr(value)
    return parts


def _folder_parts(folder: Path) -> dict[str, str]:
    """Name and digest of each of a model's files; what lies beside them does not matter."""
    names = sorted(p.name for p in folder.glob("*") if p.suffix in (".json", ".safetensors"))
    if not names:
        raise InputError(f"{folder}: holds no model; name the folder that training wrote")
    return {name: _file(folder / name) for name in names}


def _file(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _lists(path: Path, mining: RerankerTraining, kb: KnowledgeBase) -> list[Candidates]:
    if not path.exists():
        lists = mine(mining, kb)
        lines = b"".join(orjson.dumps(_record(c), option=orjson.OPT_APPEND_NEWLINE) for c in lists)
        _write(path, gzip.compress(lines, compresslevel=6, mtime=0))
    return [_candidates(record, where) for where, record in jsonl.read_objects(path)]


def _record(item: Candidates) -> dict[str, object]:
    return {**asdict(item.example), "gold_row": item.gold, "rows": list(item.rows)}


def _candidates(record: Mapping[str, object], where: str) -> Candidates:
    values = dict(record)
    try:
        gold, rows = values.pop("gold_row"), values.pop("rows")
        return Candidates(Example(**values), gold, tuple(rows))  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise InputError(f"{where}: no candidates ({reason(error)}); delete the file") from error


def reader_of(teacher: Path, folder: Path, backend: str) -> PairReader:
    """The reranker in ``teacher``, ready to read, on a GPU if there is one.

    ``backend``: eight bits ("openvino") are for the CPU, and are made in ``folder`` if need be.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend is {backend!r}; it must be one of {', '.join(BACKENDS)}")
    device = device_of("auto")
    if backend == "auto" and device == "cpu" and has_openvino():
        backend = "openvino"
    elif backend == "auto":
        backend = "bf16" if has_bf16(device) else "torch"
    elif backend == "bf16" and not has_bf16(device):
        raise ConfigError(f"the {device} here has no bfloat16; use another backend")
    if backend != "openvino":
        reader = CrossEncoder.load(teacher, bf16=backend == "bf16")
        reader.model.to(device)
        return reader
    key = _digest({"openvino": openvino_version(), **_folder_parts(teacher)})
    made = folder / f"int8-{key[:24]}"
    if not made.is_dir():
        with tempfile.TemporaryDirectory(prefix=".int8-", dir=folder) as temporary:
            inner = Path(temporary) / "model"
            inner.mkdir()
            export_int8(CrossEncoder.load(teacher), inner)
            os.replace(inner, made)
    return Int8Reader(made, teacher, PairTokenizer.load(teacher))


def _scores(
    folder: Path, reader: PairReader, kb: KnowledgeBase, lists: Sequence[Candidates]
) -> list[NDArray[np.float32]]:
    folder.mkdir(exist_ok=True)
    logits: list[NDArray[np.float32]] = []
    for begin in tqdm(range(0, len(lists), _SHARD), desc="teacher", unit=" shards"):
        some = lists[begin : begin + _SHARD]
        sizes = [len(rows_of(c)) for c in some]
        path = folder / f"{begin // _SHARD:05}.safetensors"
        flat = _read(path, sum(sizes))
        if flat is None:
            contexts = contexts_of(some)
            parts = read_candidates(reader, kb, contexts, [rows_of(c) for c in some])
            flat = np.concatenate(parts)
            _write(path, to_bytes({"logits": torch.from_numpy(flat)}))
        logits += np.split(flat, np.cumsum(sizes)[:-1])
    return logits


def _read(path: Path, n: int) -> NDArray[np.float32] | None:
    """A shard of n logits, None if it is missing or damaged."""
    try:
        found = load_file(path)["logits"].numpy()
    except FileNotFoundError:
        return None
    except (OSError, KeyError, SafetensorError) as error:
        log.warning("%s: damaged (%s); computing it again", path, reason(error))
        return None
    return np.asarray(found) if found.shape == (n,) and found.dtype == np.float32 else None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
