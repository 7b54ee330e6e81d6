"""Options that several commands share, so that they read and behave alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def bundle_option(function: F) -> F:
    """--bundle NAME|DIR; None means the built-in bundle."""
    return click.option(
        "--bundle",
        metavar="NAME|DIR",
        help="The models and knowledge base to link with.  [default: the built-in bundle]",
    )(function)


def device_option(function: F) -> F:
    """--device, as torch names devices."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="auto, cpu, cuda, cuda:1, mps, ...",
    )(function)


def threads_option(function: F) -> F:
    """--threads; None leaves it to torch."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads to compute with.  [default: one a core]",
    )(function)


def backend_option(function: F) -> F:
    """--backend: what computes the reranker (see entlink/backends.py)."""
    return click.option(
        "--backend",
        type=click.Choice(("auto", "torch", "bf16", "openvino")),
        default="auto",
        show_default=True,
        help="Read pairs in single precision, bfloat16 or eight bits (see: entlink bundle int8).",
    )(function)


def exact_option(function: F) -> F:
    """--exact: no cascade."""
    return click.option("--exact", is_flag=True, help="Read all candidates of a mention (slow).")(
        function
    )


def quiet_option(function: F) -> F:
    """--quiet: nothing on stderr but errors."""
    return click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary.")(
        function
    )
