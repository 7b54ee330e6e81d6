"""Studies of the retriever: rows of settings, each trained if need be, and measured.

A trained encoder and a measured row are files, so a study that was stopped goes on with what is
missing; a row is made again when its settings are others. Training too goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from entlink.config import from_mapping, load_config
from entlink.errors import ConfigError
from entlink.evaluate.benchmark.machine import commit, machine
from entlink.retrieve.hybrid import RetrievalConfig
from entlink.train.loop import device_of
from entlink.train.retriever import RetrieverTraining, train_retriever
from tests.studies.retrieval_measure import ASKED, ONLY, SYSTEMS, Measured, Measuring, measure
from tests.studies.rows import slug

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    set: tuple[str, ...] = ()  # changes of the training's settings
    of: str = ""  # the row whose encoder it uses; its own is not trained
    embeddings: str = ""  # the row with whose token embeddings its training begins
    encoder: tuple[str, ...] = ()  # changes of the trained encoder, such as "bert.enrichment=0.1"
    trained: Path | None = None  # or a folder with a trained encoder
    round: int = -1  # of that training, the encoder after this round; -1: the best one
    retrieval: tuple[str, ...] = ()  # settings of retrieval.json, such as "bm25=0.02"
    system: str = "retriever"  # or "names", the alias table alone, or "bm25"
    aliases: int = -1  # an entity keeps so many, the most used ones; -1: all
    only: str = "all"  # mentions of entities "hidden" in training, or "seen"
    bare: bool = False  # hidden entities lose their names: only descriptions are left

    @property
    def needed(self) -> list[str]:
        """The rows that must have been trained."""
        return [name for name in (self.of, self.embeddings) if name]

    def __post_init__(self) -> None:
        for name, known in (("system", SYSTEMS), ("only", ONLY)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"row {self.name!r}: {name} is {getattr(self, name)!r}; it must be one of "
                    f"{', '.join(known)}"
                )


@dataclass(frozen=True, slots=True)
class Study:
    """A study's file (kb/recipe/retriever_*.toml)."""

    title: str
    base: Path  # the config of ``entlink train retriever`` that all rows begin with
    kbs: tuple[Path, ...]  # that is searched, each by itself
    sets: tuple[Path, ...]  # of texts with gold mentions, pooled
    row: tuple[Row, ...]
    set: tuple[str, ...] = ()  # changes for all rows
    asked: str = "mention"  # or "text": the whole text is the query, and no span is given
    hidden: int = 0  # one entity in so many is left out of training where a row says so
    limit: int = 0  # mentions of each set; 0: all

    def __post_init__(self) -> None:
        names = [row.name for row in self.row]
        if len(set(map(slug, names))) < len(names):
            raise ConfigError(f"two rows of {self.title!r} have the same name; give each its own")
        if self.asked not in ASKED:
            raise ConfigError(f"asked is {self.asked!r}; it must be one of {', '.join(ASKED)}")
        for place, row in enumerate(self.row):
            for other in row.needed:
                if other not in names[:place]:
                    raise ConfigError(
                        f"row {row.name!r} is of {other!r}, which is no row before it"
                    )
            if (row.bare or row.only != "all") and self.hidden < 2:
                raise ConfigError(f"row {row.name!r} needs hidden entities; set hidden, as 10")


@dataclass(frozen=True, slots=True)
class Done:
    """What one row gave."""

    row: str
    measured: Mapping[str, Mapping[str, Measured]]  # KB -> set -> hits
    training: Mapping[str, Any] = field(default_factory=dict)  # seconds, recalls on dev
    commit: str = ""
    date: str = ""


def run_study(
    study: Study, out: Path, *, changes: Sequence[str] = (), told: Told = print
) -> list[Done]:
    """Every row in order; those that are done already are read."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "rows").mkdir(exist_ok=True)
    done = []
    for place, row in enumerate(study.row, start=1):
        path = out / "rows" / f"{slug(row.name)}.json"
        key = _key(study, row, changes, out)
        found = _read(path, key)
        state = "done before" if found else "running"
        told(f"{place} of {len(study.row)}, {row.name}: {state}")
        if found is None:
            found = _run(study, row, changes, out, told)
            _write(path, found, key)
        done.append(found)
    return done


def settings_of(
    study: Study, row: Row, changes: Sequence[str], out: Path
) -> RetrieverTraining | None:
    """The training of a row, or of the row that it is of; None: nothing is trained for it."""
    if row.system != "retriever" or row.trained is not None:
        return None
    source = next((r for r in study.row if r.name == row.of), row)
    if source is not row and source.of:
        return settings_of(study, source, changes, out)
    every = [*study.set, *source.set, *changes, _path("out", out, source.name)]
    if source.embeddings:
        every.append(_path("embeddings", out, source.embeddings))
    return load_config(study.base, RetrieverTraining, changes=every)


def _path(setting: str, out: Path, row: str) -> str:
    return f"{setting}={json.dumps(str(out / 'retrievers' / slug(row)))}"


def _run(study: Study, row: Row, changes: Sequence[str], out: Path, told: Told) -> Done:
    config = settings_of(study, row, changes, out)
    folder, training = row.trained, {}
    if config is not None:
        folder, training = config.out, _trained(config, told)
        if row.round >= 0:
            folder = folder.with_name(f"{folder.name}.round{row.round}")
    detector = load_config(study.base, RetrieverTraining, changes=[*changes]).detector
    retrieval = from_mapping(
        RetrievalConfig, tomllib.loads("\n".join(row.retrieval)), where=f"row {row.name!r}"
    )
    measuring = Measuring(
        folder=folder,
        encoder=row.encoder,
        system=row.system,
        retrieval=retrieval,
        sets=study.sets,
        detector=detector,
        asked=study.asked,
        aliases=row.aliases,
        hidden=study.hidden,
        only=row.only,
        bare=row.bare,
        limit=study.limit,
    )
    measured = {}
    for kb in study.kbs:
        measured[kb.name] = measure(measuring, kb, work=out / "kbs", told=told)
    return Done(row.name, measured, training, commit(), time.strftime("%Y-%m-%d"))


def _trained(config: RetrieverTraining, told: Told) -> dict[str, Any]:
    """Train unless that was done with these settings; what came of it."""
    path = config.out.with_name(f"{config.out.name}.trained.json")
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if known["settings"] == repr(config):
            return known
    told(f"training {config.out.name}")
    started = time.perf_counter()
    dev = train_retriever(config)
    history = config.out.with_name(f"{config.out.name}.history.json")
    report = {
        "settings": repr(config),
        "dev": dev,
        "seconds": time.perf_counter() - started,
        "device": _device(config),
        "evaluations": json.loads(history.read_text(encoding="utf-8"))["evaluations"],
    }
    write_json(path, report)
    return report


def _device(config: RetrieverTraining) -> str:
    """What it was trained on."""
    if device_of(config.device).startswith("cuda"):
        return torch.cuda.get_device_name()
    return str(machine()["processor"])


def _key(study: Study, row: Row, changes: Sequence[str], out: Path) -> str:
    config = settings_of(study, row, changes, out)
    said = (study.kbs, study.sets, study.asked, study.hidden, study.limit, row, config)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _read(path: Path, key: str) -> Done | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if raw["key"] != key:
        return None
    done = raw["done"]
    done["measured"] = {
        kb: {name: Measured(**one) for name, one in sets.items()}
        for kb, sets in done["measured"].items()
    }
    return Done(**done)


def _write(path: Path, done: Done, key: str) -> None:
    write_json(path, {"key": key, "done": asdict(done)})


def write_json(path: Path, value: object) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
