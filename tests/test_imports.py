"""Imports point down, floor by floor; and importing entlink costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = [  # from the top; a module may import its own part and any part on a lower floor
    {"cli"},
    {"component", "corpus", "evaluate", "analyse", "quality"},
    {"linker"},
    {"vectors", "backends", "compact", "explain", "scoring"},
    {"bundle", "train"},
    {"documents"},
    {"retrieve"},
    {"detect", "encode", "rerank"},
    {"kb", "inputs", "config", "decide", "nif", "bert", "eightbit"},
    {"records", "errors", "coherence"},
]
FLOOR_OF = {part: number for number, floor in enumerate(FLOORS) for part in floor}
HEAVY = ("torch", "spacy", "faiss", "transformers", "pandas", "numpy")
PACKAGE = Path(__file__).resolve().parents[1] / "entlink"


def imported_modules(path: Path) -> Iterator[str]:
    """Every entlink module that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("entlink"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            if node.module == "entlink":
                yield from (f"entlink.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("entlink."):
                yield node.module


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def broken_rules(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part == "__init__":
            continue  # the front door may name anything; it imports lazily
        if part not in FLOOR_OF:
            found.append(f"{path}: {part!r} has no floor; give it one in FLOORS")
            continue
        for module in imported_modules(path):
            other = part_of(module)
            # cli asks the package itself for its version and for load(), bundle for its version
            if other == part or (other not in FLOOR_OF and part in ("cli", "bundle")):
                continue
            if FLOOR_OF.get(other, 0) <= FLOOR_OF[part]:
                found.append(f"{path}: {part} imports {module}, which is not on a lower floor")
    return found


def test_imports_point_down() -> None:
    assert broken_rules(PACKAGE) == []


@pytest.mark.parametrize(
    "line",
    [
        "from entlink.linker import Linker",
        "from entlink import linker",
        "import entlink.linker",
        "def f():\n    from entlink.detect import gazetteer",  # same floor, other part
    ],
)
def test_an_import_that_points_up_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "encode").mkdir()
    (tmp_path / "encode" / "dual.py").write_text(line, encoding="utf-8")
    assert len(broken_rules(tmp_path)) == 1


def test_a_new_part_needs_a_floor(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text("", encoding="utf-8")
    assert "has no floor" in broken_rules(tmp_path)[0]


@pytest.mark.parametrize("module", ["entlink", "entlink.cli.app"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom entlink.cli.app import run\ncode = run(['--help'])\n"
        f"print('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_importing_takes_under_half_a_second() -> None:
    def seconds() -> float:
        """Of the processor, from the start of Python: other work hardly changes them."""
        code = "import entlink, time; print(time.process_time())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return float(done.stdout)

    assert min(seconds() for _ in range(5)) < 0.5
