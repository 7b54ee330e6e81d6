"""The ``entlink`` command: finds the subcommand, and turns errors into one line and an exit code.

Exit codes: 0 all done; 1 finished, but some input was set aside; 2 bad usage or unreadable input;
130 interrupted; 141 the reader of our output went away (as if killed by SIGPIPE).
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import entlink
from entlink.errors import EntlinkError

COMMANDS = {  # name: the module that exports ``command``; imported only when asked for
    "link": "entlink.cli.link",
    "kb": "entlink.cli.kb",
    "bundle": "entlink.cli.bundle",
    "train": "entlink.cli.train",
    "distill": "entlink.cli.distill",
    "evaluate": "entlink.cli.evaluate",
    "convert": "entlink.cli.convert",
    "compare": "entlink.cli.compare",
    "facts": "entlink.cli.facts",
    "explain": "entlink.cli.explain",
    "benchmark": "entlink.cli.benchmark",
}

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141


class _PipeClosed(Exception):
    """Raised in place of BrokenPipeError, which click would answer with exit code 1."""


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command), COMMANDS[cmd_name]
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        try:  # --help and --version write from here
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError as error:
            raise _PipeClosed from error

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _PipeClosed from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(entlink.__version__, "-V", "--version", message="entlink %(version)s")
def cli() -> None:
    """Find the names in a text and link each to an entry of a knowledge base, or to none."""
    logging.basicConfig(level=logging.WARNING, format="entlink: %(message)s", stream=sys.stderr)


def run(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    try:
        code = cli.main(args, prog_name="entlink", standalone_mode=False)
        sys.stdout.flush()  # so that a closed pipe shows here and not after us
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        hint = f" (see: {error.ctx.command_path} --help)" if error.ctx else ""
        return _fail(error.format_message() + hint)
    except click.ClickException as error:
        return _fail(error.format_message())
    except EntlinkError as error:
        return _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", code=EXIT_INTERRUPTED)
    except (_PipeClosed, BrokenPipeError):
        _silence_stdout()
        return EXIT_PIPE_CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")


def main() -> None:
    """Entry point of the ``entlink`` script."""
    sys.exit(run())


def _fail(message: str, *, code: int = EXIT_BAD_INPUT) -> int:
    click.echo("entlink: " + " ".join(message.split()), err=True)
    return code


def _silence_stdout() -> None:
    """Let the interpreter's last flush of stdout go nowhere instead of failing again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
