"""What README.md shows is run: each block marked ``<!-- run -->``, in order, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, Block, blocks, broken_links, needs_posix_shell, run_blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_mark_has_its_block() -> None:
    assert len(blocks(README)) == README.count("<!-- run -->") >= 4


def test_blocks_are_found_with_their_language() -> None:
    text = (
        "<!-- run -->\n```sh\na\n\nb\n```\n```sh\nnot run\n```\n<!-- run -->\n```python\nc\n```\n"
    )
    assert blocks(text) == [Block("sh", "a\n\nb\n"), Block("python", "c\n")]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/distillation.md",
        "docs/evaluation.md",
        "docs/formats.md",
        "docs/reranker.md",
    ],
)
def test_links_between_our_files_lead_somewhere(name: str) -> None:
    assert broken_links(ROOT / name) == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_what_readme_shows_works(tmp_path: Path) -> None:
    ran = run_blocks(README, tmp_path)
    for block, done in zip(blocks(README), ran, strict=True):
        assert done.stdout.strip(), f"printed nothing:\n{block.code}"
    own = next(d for b, d in zip(blocks(README), ran, strict=True) if "kb build" in b.code)
    assert "id <- 'sku', name <- 'product', description <- 'description'" in own.stderr
    assert "cordless drill" in own.stdout  # and not the bicycle of that name
    assert {"links.html", "links.jsonl"} <= {path.name for path in tmp_path.iterdir()}
