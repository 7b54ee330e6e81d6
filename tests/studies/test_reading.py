"""The table of how much is read: as linking with those settings, and no pair twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink.evaluate.metrics import summary
from entlink.evaluate.run import measure
from entlink.evaluate.sets import read_sets
from entlink.linker import Linker
from tests.evaluate.texts import NEWS, WEB, write
from tests.studies import reading


def test_the_table(
    linker: Linker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "news.jsonl", [*NEWS, *WEB])
    settings = ["16,2,0", "3,2,0", "16,2,0.05"]
    argv = ["reading", str(path), "--bundle", str(linker.bundle.path), "--backend", "torch"]
    for setting in settings:
        argv += ["--setting", setting]
    monkeypatch.setattr(sys, "argv", argv)
    reading.main()
    _, _, *rows = capsys.readouterr().out.splitlines()
    (gold,) = read_sets([path])
    for setting, line in zip(settings, rows, strict=True):
        pairs, mass, floor = setting.split(",")
        other = Linker.load(linker.bundle, device="cpu", backend="torch")
        other.decision = replace(
            other.decision, max_pairs=int(pairs), read_mass=float(mass), read_floor=float(floor)
        )
        figures = summary(measure(other, gold).outcomes)
        cells = [float(cell) for cell in line.strip("|").split("|")]
        names = ("accuracy", "accuracy_all", "pairs_per_mention")
        assert cells[3:] == pytest.approx([figures[name] for name in names], abs=0.005)
    assert len({line.rsplit("|", 2)[1] for line in rows}) > 1


def test_no_pair_is_read_twice(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert linker.reranker is not None
    reader = reading.Remembering(linker.reranker)
    contexts = [("the", "Jordan", "river"), ("a", "Paris", "")]
    entities = [("Jordan", "a river"), ("Jordan", "a country")]
    first = reader.score(contexts, entities, [(0, 0), (1, 1)])
    asked: list[tuple[int, int]] = []
    score = linker.reranker.score

    def spy(
        contexts: Sequence[tuple[str, str, str]],
        entities: Sequence[tuple[str, str]],
        pairs: Sequence[tuple[int, int]],
        *,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        asked.extend(pairs)
        return score(contexts, entities, pairs, batch_size=batch_size)

    monkeypatch.setattr(linker.reranker, "score", spy)
    again = reader.score(contexts[::-1], entities, [(1, 0), (0, 1), (1, 1)])
    assert asked == [(1, 1)] and again[:2].tolist() == first.tolist()
    expected = score(contexts, entities, [(0, 1)])
    assert again[2] == pytest.approx(float(expected[0]), abs=1e-5)
