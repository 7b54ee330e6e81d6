"""Two runs over the same minutes: which samples are taken, and what is said of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.beside import compare, watch
from tests.corpus.endurance import Sample, read_last


def test_rates_are_of_the_same_minutes() -> None:
    old = [Sample(0, 9000.0 + s, 5000.0 + s / 4, 900_000 + 50 * s, 600.0) for s in range(60)]
    new = [Sample(0, 10.0 + s, 8.0 + s / 2, 100 * s, 500.0) for s in range(60)]
    found = compare(old, new)
    assert (found["seconds"], found["old_run_at"]) == (59, 902_950)
    assert [found["old_run"], found["new_run"]] == pytest.approx([200, 200])
    assert compare(old[:30], new)["old_against_new"] == pytest.approx(1)
    slow = [sample._replace(cpu_s=2 * sample.cpu_s) for sample in old]
    assert compare(slow, new)["old_against_new"] == pytest.approx(0.5)


def test_a_new_run_is_watched_once_it_is_warm(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    code = """
import json, sys, time
for n in range(12):
    for path, n_before in zip(sys.argv[1:], (5000, 0), strict=True):
        with open(path, "a") as file:
            file.write(json.dumps([0, n, n, n_before + 256 * n, 1.0]) + "\\n")
    time.sleep(0.7)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(old), str(new)]) as process:
        found = watch(process, old, new, n_warm=600)
    assert found[1][0].n_documents >= 600
    assert found[1][-1].n_documents == 256 * 11
    counts = [[sample.n_documents for sample in samples] for samples in found]
    assert all(samples == sorted(set(samples)) for samples in counts)
    assert len(counts[0]) == len(counts[1]) > 2


def test_the_last_sample_is_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    assert read_last(path) is None
    path.write_text("[0, 1", encoding="utf-8")
    assert read_last(path) is None
    sample = Sample(0, 1.0, 2.0, 256, 500.0)
    path.write_text(json.dumps(sample) + "\n[0, 1.5", encoding="utf-8")
    assert read_last(path) == sample
