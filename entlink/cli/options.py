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


def quiet_option(function: F) -> F:
    """--quiet: nothing on stderr but errors."""
    return click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary.")(
        function
    )
