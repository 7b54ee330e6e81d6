"""`entlink train`: make the models of a bundle, each from a TOML file (kb/recipe has examples)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from entlink.cli.options import threads_option

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")


@click.group("train", short_help="Train the models of a bundle.")
def command() -> None:
    """Train a model from a TOML file; a report is printed as JSON."""


def training_options(function: F) -> F:
    """What all trainers take: the file, changes of its settings, threads."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    changed = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Use this setting in place of the file's (as in TOML: seed=2, encoder.hidden=64).",
    )(threads_option(function))
    return click.argument("config", type=path, metavar="CONFIG.toml")(changed)


@command.command("detector")
@training_options
def detector(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Train the recogniser that finds names in text."""
    from dataclasses import asdict

    from entlink.train.detector import DetectorConfig, train_detector

    print_report(asdict(train_detector(read_settings(config, DetectorConfig, changes, threads))))


@command.command("retriever")
@training_options
def retriever(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Train the dual encoder that finds candidates; prints its recalls on dev."""
    from entlink.train.retriever import RetrieverTraining, train_retriever

    settings = read_settings(config, RetrieverTraining, changes, threads)
    started = time.perf_counter()
    dev = train_retriever(settings)
    print_report({"out": str(settings.out), "dev": dev, "seconds": time.perf_counter() - started})


@command.command("reranker")
@training_options
def reranker(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Train the cross-encoder that reads candidates; goes on where a stopped run left off."""
    from entlink.train.reranker import train_reranker
    from entlink.train.reranker_config import RerankerTraining

    settings = read_settings(config, RerankerTraining, changes, threads)
    started = time.perf_counter()
    counts = train_reranker(settings)
    print_report({"out": str(settings.out), **counts, "seconds": time.perf_counter() - started})


@command.command("calibration")
@training_options
def calibration(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Fit the decision: what to read, probabilities, NIL; prints accuracies on dev."""
    from entlink.train.calibration import CalibrationTraining, train_calibration

    settings = read_settings(config, CalibrationTraining, changes, threads)
    started = time.perf_counter()
    dev = train_calibration(settings)
    print_report({"out": str(settings.out), "dev": dev, "seconds": time.perf_counter() - started})


@command.command("head")
@training_options
def head(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Train a masked-language head, with which a BERT's vectors are read as words."""
    from entlink.train.head import HeadTraining, train_head

    settings = read_settings(config, HeadTraining, changes, threads)
    started = time.perf_counter()
    counts = train_head(settings)
    print_report({"out": str(settings.out), **counts, "seconds": time.perf_counter() - started})


def read_settings(config: Path, kind: type[T], changes: tuple[str, ...], threads: int | None) -> T:
    """Read the file; from here on progress goes to stderr."""
    from entlink.config import load_config

    settings = load_config(config, kind, changes=changes)
    logging.getLogger("entlink").setLevel(logging.INFO)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return settings


def print_report(report: Mapping[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
