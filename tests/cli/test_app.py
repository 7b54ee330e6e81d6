"""Errors become one line and an exit code; every command is there and can be asked for help."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest

import entlink
from entlink.cli import app
from entlink.errors import BundleError, InputError


def raising(error: BaseException) -> click.Command:
    @click.command("fail")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a.txt: no\n such file"), 2, "entlink: a.txt: no such file"),
        (BundleError("b: damaged"), 2, "entlink: b: damaged"),
        (KeyboardInterrupt(), 130, "entlink: interrupted"),
        (PermissionError(13, "Permission denied", "/x"), 2, "entlink: /x: Permission denied"),
        (click.UsageError("no such thing"), 2, "entlink: no such thing"),
        (click.ClickException("odd"), 2, "entlink: odd"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: raising(error))
    assert app.run(["fail"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().split(" (see:")[0] == line
    assert captured.err.count("\n") <= 2  # click ends an interrupted line first


def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        app.run(["fail"])


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_answers_its_exit_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    @click.command("answer")
    def command() -> int:
        return code

    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: command)
    assert app.run(["answer"]) == code


@pytest.mark.parametrize("args", [["frobnicate"], ["--frobnicate"], ["link", "--threads", "0"]])
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    assert app.run(args) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert app.run([name, "--help"]) == 0
    assert f"entlink {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == f"entlink {entlink.__version__}\n"


def test_the_script_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="entlink")
    assert script.load() is app.main


def test_a_reader_that_goes_away_ends_us_quietly() -> None:
    code = "import sys; from entlink.cli import app; app.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == app.EXIT_PIPE_CLOSED
    assert said == b""
