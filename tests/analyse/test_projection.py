"""Projections against the whole matrix, and what they must be on average."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from entlink.analyse import project, projection, shrink
from entlink.errors import ConfigError

KINDS = ("gaussian", "rademacher")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [3, 8, 8192])
def test_blocks_make_one_matrix(monkeypatch: pytest.MonkeyPatch, kind: str, block: int) -> None:
    monkeypatch.setattr(projection, "_BLOCK", block)
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((6, 20)) * (generator.random((6, 20)) < 0.5)
    widths = [min(block, 20 - start) for start in range(0, 20, block)]
    matrix = np.concatenate(
        [
            projection.directions(width, 5, block=i, kind=kind, seed=9)
            for i, width in enumerate(widths)
        ]
    )
    assert matrix.shape == (20, 5)
    expected = rows @ matrix / np.sqrt(5)
    np.testing.assert_allclose(project(rows, 5, kind=kind, seed=9), expected, atol=1e-5)
    sparse = project(csr_array(rows), 5, kind=kind, seed=9)
    np.testing.assert_allclose(sparse, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_dimensions_are_part_of_more(kind: str) -> None:
    rows = np.random.default_rng(2).standard_normal((4, 30))
    more = project(rows, 64, kind=kind, seed=5)
    np.testing.assert_allclose(shrink(more, 16), project(rows, 16, kind=kind, seed=5), rtol=1e-4)
    np.testing.assert_array_equal(shrink(more, 64), more)
    with pytest.raises(ConfigError, match="k is 65; it must be from 1 to 64"):
        shrink(more, 65)


@pytest.mark.parametrize("kind", KINDS)
def test_inner_products_are_right_on_average(kind: str) -> None:
    """Their mean over 2,000 seeds, and their spread: var <= (|a|^2 |b|^2 + <a, b>^2) / k."""
    generator = np.random.default_rng(4)
    a, b = generator.standard_normal((2, 12))
    products = []
    for seed in range(2000):
        x, y = project(np.stack([a, b]), 8, kind=kind, seed=seed).astype(float)
        products.append(float(x @ y))
    variance = (a @ a * (b @ b) + (a @ b) ** 2) / 8
    error = np.sqrt(variance / 2000)
    assert abs(np.mean(products) - a @ b) < 5 * error
    assert 0.5 * variance < np.var(products) < 1.2 * variance


def test_rademacher_entries_are_signs() -> None:
    matrix = projection.directions(200, 50, block=0, kind="rademacher", seed=0)
    assert set(np.unique(matrix)) == {-1.0, 1.0}
    assert abs(matrix.mean()) < 0.05
    gaussian = projection.directions(200, 50, block=0, kind="gaussian", seed=0)
    assert abs(gaussian.mean()) < 0.05 and abs(gaussian.std() - 1) < 0.05


def test_a_seed_is_a_matrix() -> None:
    rows = np.eye(7)
    np.testing.assert_array_equal(project(rows, 3, seed=1), project(rows, 3, seed=1))
    assert not np.allclose(project(rows, 3, seed=1), project(rows, 3, seed=2))
    with pytest.raises(ConfigError, match="kind is 'sparse'"):
        project(rows, 3, kind="sparse")
    with pytest.raises(ConfigError, match="k is 0"):
        project(rows, 0)
