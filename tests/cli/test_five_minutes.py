"""A table of 500 products to a linked sentence: four commands, no training, under five minutes."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from entlink.cli.app import run

FIRST = (
    "Aero",
    "Bolt",
    "Cedar",
    "Delta",
    "Ember",
    "Flint",
    "Grove",
    "Harbor",
    "Iris",
    "Jasper",
    "Kite",
    "Lumen",
    "Mesa",
    "Nova",
    "Opal",
    "Pine",
    "Quill",
    "Ridge",
    "Sable",
    "Tundra",
)
SECOND = (
    "Lamp",
    "Kettle",
    "Drill",
    "Chair",
    "Desk",
    "Tent",
    "Stove",
    "Clock",
    "Fan",
    "Rug",
    "Shelf",
    "Speaker",
    "Router",
    "Scale",
    "Mixer",
    "Blender",
    "Helmet",
    "Jacket",
    "Bottle",
    "Backpack",
    "Monitor",
    "Keyboard",
    "Printer",
    "Camera",
    "Tripod",
)


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
def test_five_hundred_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    products = [(a, b) for a in FIRST for b in SECOND]
    with Path("products.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "product", "description"])
        for n, (a, b) in enumerate(products):
            table.writerow([f"P{n:03}", f"{a} {b}", f"{b.lower()} of the {a} line"])
    text = "My Nova Kettle leaks, but the Iris Backpack is fine."
    started = time.process_time()
    assert run(["kb", "build", "products.csv", "--out", "kb"]) == 0
    assert run(["bundle", "create", "--kb", "kb", "--out", "shop"]) == 0
    assert run(["link", "--bundle", "shop", "--text", text, "--out", "links.jsonl"]) == 0
    new = ["--id", "P500", "--name", "Juno Torch", "--description", "torch with a red light"]
    assert run(["kb", "add", "--bundle", "shop", *new]) == 0
    assert time.process_time() - started < 300  # of the processor, whatever else it has to do
    assert "500 entities" in capsys.readouterr().err
    (document,) = map(json.loads, Path("links.jsonl").read_text(encoding="utf-8").splitlines())
    linked = {mention["text"]: mention["entity"] for mention in document["mentions"]}
    ids = {f"{a} {b}": f"P{n:03}" for n, (a, b) in enumerate(products)}
    assert linked["Nova Kettle"] == ids["Nova Kettle"]
    assert linked["Iris Backpack"] == ids["Iris Backpack"]
    assert run(["link", "--bundle", "shop", "--text", "The Juno Torch broke."]) == 0
    assert "P500" in capsys.readouterr().out
