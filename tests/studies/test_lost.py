"""Of each kind one mention, and the table by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from tests.studies.lost import KINDS, kind_of, main, read_lost, table


def mistake(text: str, *names: str, rank: int | None = None, known: bool = True) -> dict[str, Any]:
    gold = {"in_kb": known, "name": names[0], "aliases": list(names[1:]), "text": "city"}
    return {"text": text, "gold": gold, "gold_rank": rank}


CASES = [
    ("Barak Obama", ("Barack Obama",), "misspelt"),
    ("Obama", ("Barack Obama",), "part of"),
    ("President Obama", ("Obama",), "part of"),
    ("UN", ("United Nations",), "initials"),
    ("DOJ", ("Justice Department", "Department of Justice"), "initials"),
    ("French", ("France",), "adjective"),
    ("Bill Clinton Library", ("Clinton Center",), "another form"),
    ("Big Apple", ("New York City",), "no word"),
]


@pytest.mark.parametrize(("text", "names", "kind"), CASES)
def test_kinds(text: str, names: tuple[str, ...], kind: str) -> None:
    assert kind_of(mistake(text, *names)).startswith(kind)


def test_the_table(tmp_path: Path) -> None:
    lines = [mistake(text, *names) for text, names, _ in CASES]
    lines[0]["gold"]["text"] = ""
    others = [mistake("Obama", "Barack Obama", rank=3), mistake("X", "Y", known=False)]
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in [*lines, *others]))
    assert [item["text"] for item in read_lost(path)] == [text for text, _, _ in CASES]
    shown = CliRunner().invoke(main, [str(path)])
    assert shown.exit_code == 0 and shown.output == table(lines) + "\n"
    rows = shown.output.splitlines()[2:]
    assert len(rows) == len(KINDS) + 1 and rows[-1] == "| all | 8 | 1 | |"
    assert "| initials | 2 | 0 | UN (United Nations), DOJ (Justice Department) |" in rows
    assert any(row.startswith("| misspelt, or spelt otherwise | 1 | 1 |") for row in rows)
