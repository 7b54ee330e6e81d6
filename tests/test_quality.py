"""What `entlink bundle create` says of a knowledge base, against counts by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from entlink.cli.app import run
from entlink.kb.aliases import normalise
from entlink.kb.build import build_kb
from entlink.linker import Linker
from entlink.quality import check_quality
from entlink.records import Entity
from tests import tiny


def test_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    entities = (*tiny.ENTITIES, Entity("Q30", "Bare"), Entity("Q31", "Jordan"))
    tiny.make_bundle(tmp_path / "b", entities=entities)
    found = check_quality(Linker.load(tmp_path / "b", device="cpu"), sample=10_000)
    bearers = Counter(
        alias for e in entities for alias in {normalise(n) for n in (e.name, *e.aliases)}
    )
    assert found.n_entities == found.n_looked_for == len(entities)
    assert found.n_names == len(bearers)
    assert found.n_shared_names == sum(n > 1 for n in bearers.values())
    assert found.most_shared[0] == ("jordan", 4)
    assert found.n_undescribed == 2
    assert (found.n_alike, found.alike) == (2, ("Twin",))
    assert found.n_found == found.n_looked_for  # fewer than a hundred in all
    assert 0 < found.n_first <= found.n_found
    assert len(found.missed) == min(3, found.n_found - found.n_first)
    told = "\n".join(found.lines())
    assert "'jordan' by 4" in told and "2 entities (9%) have no description" in told


def test_it_is_told_when_a_bundle_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    like = str(tiny.make_bundle(tmp_path / "like").path)
    build_kb([Entity("A", "Apollo"), Entity("B", "Apollo", description="a room")], tmp_path / "kb")
    options = ["--kb", str(tmp_path / "kb"), "--like", like]
    assert run(["bundle", "create", *options, "--out", str(tmp_path / "one")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{tmp_path / 'one'}: made")
    assert "1 names are borne by several entities ('apollo' by 2)" in told.err
    assert "1 entities (50%) have no description" in told.err
    assert run(["bundle", "create", *options, "--quiet", "--out", str(tmp_path / "two")]) == 0
    assert capsys.readouterr().err == ""
    assert (
        run(["bundle", "create", "--like", like, "--no-check", "--out", str(tmp_path / "c")]) == 0
    )
