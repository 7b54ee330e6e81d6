"""Runs that are killed at random moments lose nothing. `make corpus-kills` does it 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.kill import kill_often


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    report = kill_often(tmp_path, times=20)
    assert report.n_killed >= 20
    assert report.n_with_parts >= 4  # else the kills came too early to mean anything
    assert report.n_finished >= 1
