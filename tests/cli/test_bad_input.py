"""Bad and odd input, with the real linker where it matters: a right answer or one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entlink.bundle import cache_dir, write_manifest
from entlink.cli.app import run
from entlink.records import NIL

if TYPE_CHECKING:
    from entlink.linker import Linker

REQUIRED = ("kb.sqlite", "retriever/config.json", "retriever/weights.safetensors", "decision.json")


@pytest.fixture
def small_bundle(tmp_path: Path) -> Path:
    """A folder whose manifest is right, though no models are in it."""
    path = tmp_path / "bundle"
    for name in REQUIRED:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(name.encode())
    write_manifest(path)
    return path


def error_of(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that must fail with one line; returns the line."""
    assert run(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("entlink: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_whole_bundle_passes(small_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "verify", str(small_bundle)]) == 0
    assert "whole and unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("command", [["bundle", "verify"], ["link", "--text", "a", "--bundle"]])
def test_one_changed_byte_is_found(
    small_bundle: Path, capsys: pytest.CaptureFixture[str], command: list[str], name: str
) -> None:
    file = small_bundle / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert str(file) in error_of(capsys, *command, str(small_bundle))


def test_a_missing_file_of_a_bundle_is_named(
    small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_bundle / "decision.json").unlink()
    assert "decision.json: missing" in error_of(capsys, "bundle", "verify", str(small_bundle))


def test_a_bundle_of_a_newer_version_says_so(
    small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest |= {"format": manifest["format"] + 1, "entlink": "9.9.9"}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    said = error_of(capsys, "link", "--text", "a", "--bundle", str(small_bundle))
    assert "newer" in said
    assert "9.9.9" in said


@pytest.mark.parametrize("manifest", ["", "[]", "{}", "null", '{"format": "x", "files": {}}'])
def test_a_spoilt_manifest_is_one_line(
    small_bundle: Path, capsys: pytest.CaptureFixture[str], manifest: str
) -> None:
    (small_bundle / "manifest.json").write_text(manifest, encoding="utf-8")
    assert str(small_bundle) in error_of(capsys, "bundle", "verify", str(small_bundle))


@pytest.mark.parametrize("name", ["no-such-bundle", "no/such/folder", "."])
def test_an_unknown_bundle_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert name in error_of(capsys, "link", "--text", "a", "--bundle", name)


def test_the_cache_moves_when_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # below a device nobody can make a folder, not even root, whom permissions do not stop
    for variable in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, os.path.join(os.devnull, "home"))  # noqa: PTH118
    monkeypatch.delenv("ENTLINK_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_dir()
    assert folder.parent == tmp_path
    (folder / "x").write_text("writable", encoding="utf-8")


@pytest.mark.slow
def test_linking_works_with_a_home_that_cannot_be_written(
    builtin_bundle: Path, tmp_path: Path
) -> None:
    home = os.path.join(os.devnull, "home")  # noqa: PTH118
    changed = {"HOME": home, "XDG_CACHE_HOME": home, "LOCALAPPDATA": home, "TMPDIR": str(tmp_path)}
    environment = {k: v for k, v in os.environ.items() if k != "ENTLINK_CACHE"} | changed
    code = "from entlink.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "link", "--out", "-", "--text", "Amman is in Jordan."],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    entities = [mention["entity"] for mention in json.loads(done.stdout)["mentions"]]
    assert entities == ["Q3805", "Q810"]
    assert "Traceback" not in done.stderr
    assert any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", " ", "\n\n\t \u3000\u00a0", "\u200b", "\x00", "...", "-"])
def test_text_without_words_has_no_links(builtin_linker: Linker, text: str) -> None:
    (document,) = builtin_linker.link(text)
    assert (document.text, document.links) == (text, ())


@pytest.mark.parametrize(
    "text",
    [
        "😀 Paris 👩‍👩‍👧‍👦, the capital of France 🇫🇷, is lovely.",
        "\u202eParis\u202c is the capital of France.",
        "שלום Paris עולם, the capital of France",
        "مرحبا بكم في Paris, the capital of France",
        "e\u0301te\u0301 in Paris, the capital of France",
        "the capital of France is\r\n\r\nParis\r\n",
        "北京 and Paris, the capital of France",
        "Paris &amp; <i>the</i> capital of France",
    ],
)
def test_offsets_hold_in_any_script(builtin_linker: Linker, text: str) -> None:
    (document,) = builtin_linker.link(text)
    assert document.text == text
    for link in document.links:
        assert text[link.mention.start : link.mention.end] == link.mention.text
    marks = "\u202c\u202e"  # may count as part of a word
    linked = {link.mention.text.strip(marks): link.entity_id for link in document.links}
    assert linked.get("Paris") == "Q90"
    assert linked.get("France") == "Q142"


def test_scripts_that_the_kb_does_not_know_are_no_obstacle(builtin_linker: Linker) -> None:
    for text in ("القاهرة عاصمة مصر", "ירושלים", "モスクワはロシアの首都", "😀😀😀"):
        (document,) = builtin_linker.link(text)
        for link in document.links:
            assert text[link.mention.start : link.mention.end] == link.mention.text


@pytest.mark.slow
def test_a_document_of_five_megabytes(builtin_linker: Linker) -> None:
    filler = "and then they all went home again, for it was late and the rain had set in.\n"
    name = "The king of Jordan spoke in Amman.\n"
    half = filler * (2_500_000 // len(filler))
    text = name + half + name + half + name
    assert len(text) > 4_990_000
    (document,) = builtin_linker.link(text)
    found = [(k.mention.text, k.entity_id) for k in document.links if k.entity_id != NIL]
    assert found == [("Jordan", "Q810"), ("Amman", "Q3805")] * 3
    for link in document.links:
        assert text[link.mention.start : link.mention.end] == link.mention.text


def test_the_same_input_gives_the_same_bytes(
    builtin_bundle: Path, tmp_path: Path, root: Path
) -> None:
    sample = str(root / "kb" / "sample" / "sample.jsonl")
    outs = [tmp_path / name for name in ("1.jsonl", "2.jsonl")]
    for out in outs:
        assert run(["link", sample, "--device", "cpu", "--quiet", "--out", str(out)]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes() != b""
