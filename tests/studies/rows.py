"""Studies of distillation: rows of settings, each trained and measured once for every seed.

A finished row is a file, so a study that was stopped goes on with the first that is missing. It is
made again when its settings are others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from entlink.bundle import write_manifest
from entlink.config import load_config
from entlink.errors import ConfigError
from entlink.evaluate.metrics import Outcome
from entlink.evaluate.run import Measured, measure
from entlink.evaluate.sets import read_sets
from entlink.linker import Linker
from entlink.train.distil import distil, probe_of
from entlink.train.distil_config import DistilTraining, is_left_out
from entlink.train.distil_measure import Probe
from entlink.train.distil_student import Student
from entlink.train.tables import EntityTable, read_views
from tests.studies.teacher import teacher_report

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A student with some settings of its own, or what to compare it with; that is not trained."""

    name: str
    set: tuple[str, ...] = ()
    bundle: str = ""  # measured as it is
    teacher: int = 0  # the teacher is measured on so many training and held-out mentions

    @property
    def is_trained(self) -> bool:
        """Is it a student?"""
        return not (self.bundle or self.teacher)


@dataclass(frozen=True, slots=True)
class Study:
    """A study's file (kb/recipe/distil_*.toml)."""

    title: str
    base: Path  # the config of ``entlink distill`` that all rows begin with
    row: tuple[Row, ...]
    sets: tuple[Path, ...] = ()  # of texts with gold mentions, pooled
    set: tuple[str, ...] = ()  # changes for all rows
    seeds: tuple[int, ...] = (0,)
    fresh: bool = False  # students begin from nothing, whatever the base config says
    baseline: str = (
        ""  # the row that is not distilled; with ``teacher``: how much of the gap closes
    )
    teacher: str = ""
    curve_every: int = 0  # steps; training and held-out mentions are measured so often
    accuracy: bool = True  # of a linker with the student, which takes a decision of its own

    def __post_init__(self) -> None:
        names = [row.name for row in self.row]
        if len(set(map(slug, names))) < len(names):
            raise ConfigError(f"two rows of {self.title!r} have the same name; give each its own")
        for name in (self.baseline, self.teacher):
            if name and name not in names:
                raise ConfigError(f"no row of {self.title!r} is named {name!r}; check the names")


@dataclass(frozen=True, slots=True)
class Done:
    """What one row gave with one seed."""

    row: str
    seed: int
    report: dict[str, Any]  # of ``distil``; empty for a bundle
    pooled: dict[str, float]  # of the linker over all sets
    curve: list[dict[str, Any]]


def slug(name: str) -> str:
    """A name as a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def settings_of(
    study: Study, row: Row, seed: int, out: Path, changes: Sequence[str]
) -> DistilTraining:
    """The settings of one row; ``changes`` come last."""
    student = out / "students" / f"{slug(row.name)}-{seed}"
    every = [*study.set, *row.set, f"seed={seed}", *changes]
    config = load_config(study.base, DistilTraining, changes=every)
    if study.fresh:
        config = replace(config, student=None)
    if not study.accuracy:
        config = replace(config, calibration=None)
    return replace(config, out=student, test=config.test or study.sets)


def run_study(
    study: Study, out: Path, *, changes: Sequence[str] = (), told: Told = print
) -> list[Done]:
    """Every row for every seed, in order; those that are done already are read."""
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for row in study.row:
        for seed in study.seeds if row.is_trained else study.seeds[:1]:
            config = settings_of(study, row, seed, out, changes)
            key = _key(study, row, config)
            path = out / f"{slug(row.name)}-{seed}.json"
            found = _read(path, key)
            told(f"{row.name}, seed {seed}: {'done before' if found else 'running'}")
            if found is None:
                found = _run(study, row, config)
                _write(path, found, key)
            done.append(found)
    return done


def _key(study: Study, row: Row, config: DistilTraining) -> str:
    trained = f"{config} {study.curve_every}" if not row.bundle else ""
    text = f"{trained} {study.sets} {row.bundle} {row.teacher}"
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path, key: str) -> Done | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Done(**raw["done"]) if raw["key"] == key else None
    except FileNotFoundError:
        return None


def _write(path: Path, done: Done, key: str) -> None:
    from dataclasses import asdict

    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps({"key": key, "done": asdict(done)}, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def _run(study: Study, row: Row, config: DistilTraining) -> Done:
    if row.bundle:
        figures = pooled_figures(Linker.load(row.bundle), study.sets)
        return Done(row.name, config.seed, {}, figures, [])
    if row.teacher:
        return Done(row.name, config.seed, dict(teacher_report(config, row.teacher)), {}, [])
    return _taught(study, row, config)


def _taught(study: Study, row: Row, config: DistilTraining) -> Done:
    curve = Curve(config, study.curve_every) if study.curve_every else None
    report = distil(config, watch=curve)
    pooled: dict[str, float] = {}
    if study.sets and "calibrated" in report:
        with tempfile.TemporaryDirectory(prefix="entlink-study-") as folder:
            bundle = retriever_only(config, Path(folder) / "bundle")
            with _cache_in(Path(folder) / "cache"):
                linker = Linker.load(bundle)
                pooled = pooled_figures(linker, study.sets, config.leave_out_entities)
                linker.kb.close()
    config.out.with_name(f"{config.out.name}.checkpoint.safetensors").unlink(missing_ok=True)
    return Done(row.name, config.seed, report, pooled, curve.points if curve else [])


def retriever_only(config: DistilTraining, out: Path) -> Path:
    """A bundle of the student, its decision, the KB and the detector."""
    out.mkdir(parents=True)
    shutil.copyfile(config.kb / "kb.sqlite", out / "kb.sqlite")
    decision = config.out.with_name(f"{config.out.name}.decision.json")
    shutil.copyfile(decision, out / "decision.json")
    shutil.copytree(config.out, out / "retriever")
    if config.detector is not None:
        shutil.copytree(config.detector, out / "detector")
    return write_manifest(out).path


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """So that the vectors of students that are measured once do not fill the user's cache."""
    before = os.environ.get("ENTLINK_CACHE")
    os.environ["ENTLINK_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ENTLINK_CACHE"]
        else:
            os.environ["ENTLINK_CACHE"] = before


def pooled_figures(linker: Linker, sets: Sequence[Path], one_in: int = 0) -> dict[str, float]:
    """Accuracy over the in-KB mentions of all sets, and of entities that were left out if any."""
    measured: list[Measured] = [measure(linker, gold) for gold in read_sets(sets)]
    outcomes = [o for m in measured for o in m.outcomes if o.in_kb]
    figures = {"n": float(len(outcomes)), "accuracy": _accuracy(outcomes)}
    figures["mentions_per_second"] = sum(len(m.outcomes) for m in measured) / sum(
        m.seconds for m in measured
    )
    figures["pairs_per_mention"] = sum(o.n_pairs for o in outcomes) / max(1, len(outcomes))
    if unseen := [o for o in outcomes if is_left_out(o.gold, one_in)]:
        figures["n_left_out"] = float(len(unseen))
        figures["accuracy_left_out"] = _accuracy(unseen)
    return figures


def _accuracy(outcomes: Sequence[Outcome]) -> float:
    return sum(o.top_is_gold for o in outcomes) / max(1, len(outcomes))


class Curve:
    """Measures training and held-out mentions while a student learns."""

    def __init__(self, config: DistilTraining, every: int) -> None:
        self._config = config
        self._every = every
        self._probe: Probe | None = None
        self._path = config.out.with_name(f"{config.out.name}.curve.jsonl")
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        self.points: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def __call__(self, step: int, student: Student) -> None:
        """What ``distil`` calls after each step; a step that a stopped run measured is dropped."""
        if step != 1 and step % self._every:
            return
        if self._probe is None:
            entities = read_views([self._config.kb])[0]
            table = EntityTable.of(student.encoder, entities)
            self._probe = probe_of(self._config, student, table)
        self.points = [p for p in self.points if p["step"] < step]
        self.points.append({"step": step, **self._probe.measure(student)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(point) + "\n" for point in self.points)
        self._path.write_text(text, encoding="utf-8")
