"""docs/scale.md is run, and what measures scale counts as a loop over all would."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entlink.retrieve.index_config import IndexConfig
from entlink.retrieve.stored import StoredVectors
from tests.pages import ROOT, blocks, broken_links, needs_posix_shell, run_blocks

PAGE = ROOT / "docs" / "scale.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of kb/recipe by its name."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "kb" / "recipe"), *sys.path])
    return import_module


def test_exact_search_is_a_sort_of_all(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = recipe("measure_search")
    monkeypatch.setattr(measure, "_BLOCK", 7)  # several blocks
    generator = np.random.default_rng(0)
    stored = StoredVectors.of(generator.normal(size=(50, 6)).astype(np.float32))
    queries = generator.normal(size=(4, 6)).astype(np.float32)
    found = measure.exactly(stored, queries, 9)
    scores = queries @ stored.at(slice(None)).T
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1)[:, :9])


def test_shares(recipe: Any) -> None:
    measure = recipe("measure_search")
    rows = np.asarray([0, 0, 1, 2, 2, 3], dtype=np.int32)
    assert measure.entities(rows, np.asarray([4, 3, 0, 5, -1])) == [2, 0, 3]
    assert measure.share_with([1, 5, 2], [[0, 1], [0, 1], [2]]) == pytest.approx(2 / 3)
    assert measure.recall([[1, 2], [3, 4]], [[2, 1], [4, 5]]) == pytest.approx(0.75)


def test_what_another_number_costs(recipe: Any, tmp_path: Path) -> None:
    sizes = {f"{name}_bytes_per_entity": size for name, size in (("index", 50), ("stored", 200))}
    measured = {
        "index": {"entities": 1_000_000, "vectors": 1_500_000, **sizes},
        "encode": {"per_cpu_second": 5000},
        "build": {"entities_per_second": 10_000},
        "search": {"ms_per_query": 2.0},
    }
    (tmp_path / "measured.json").write_text(json.dumps(measured), encoding="utf-8")
    same, more = (recipe("measure_scale").project(n, tmp_path) for n in (10**6, 10**8))
    assert same["ms_per_query"] == 2.0 and same["disk_gb"] == {"index": 0.1, "stored": 0.2}
    assert more["vectors"] == 150_000_000 and more["index_ram_gb"] == 5.0
    assert more["encode_core_hours"] == pytest.approx(10**8 / 5000 / 3600, abs=0.05)
    here, there = (IndexConfig("ivfpq").resolved(n, 128) for n in (1_500_000, 150_000_000))
    assert (here.factory, there.factory) == ("IVF4096,PQ64x4fsr", "IVF32768,PQ64x4fsr")
    assert (here.search, there.search) == ("nprobe=448", "nprobe=1267")
    scanned = 100 * (1267 / 32768) / (448 / 4096)  # a hundred times the vectors, fewer of them read
    assert more["ms_per_query"] == pytest.approx(2.0 * scanned, abs=0.05)


def test_links_lead_somewhere() -> None:
    assert broken_links(PAGE) == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_what_it_shows_works(tmp_path: Path) -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->") == 1
    ran = run_blocks(TEXT, tmp_path, ENTLINK_CACHE=str(tmp_path / "cache"))
    told = "".join(done.stdout + done.stderr for done in ran)
    assert "Heron Hill" in told and "L2" in told
