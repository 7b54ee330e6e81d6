"""`entlink train`: make the models of a bundle."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("train")
def command() -> None:
    """Train a model from a TOML file."""


@command.command("detector")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def detector(config: Path) -> None:
    """Train the recogniser that finds names in text."""
    from dataclasses import asdict

    import orjson

    from entlink.config import load_config
    from entlink.train.detector import DetectorConfig, train_detector

    report = train_detector(load_config(config, DetectorConfig))
    click.echo(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2).decode())
