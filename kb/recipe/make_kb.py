"""Make the knowledge base of the built-in bundle from the facts that may ship.

    python kb/recipe/make_kb.py --shared ../shared --out kb/builtin

Deterministic: the same shared data and the same code give the same content digest. What was made
is recorded in kb/recipe/kb.json, which `--check` compares with instead of writing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from entlink.kb.build import build_kb

sys.path.insert(0, str(Path(__file__).resolve().parent))

from facts import read_popularity_inputs, shippable_entities, shippable_relations
from naming import counted_names, kept_names
from selection import select

from entlink.records import Entity

RECORD = Path(__file__).resolve().parent / "kb.json"


def make(shared: Path, out: Path) -> dict[str, object]:
    """Write `out`/kb.sqlite and return what is to be recorded about it."""
    data = shared / "data"
    entities = shippable_entities(data / "wikidata" / "entities.jsonl.gz")
    relations = shippable_relations(data / "wikidata" / "relations.jsonl.gz", entities)
    popularity = read_popularity_inputs(data, entities, relations)
    chosen = select(entities, relations, popularity)
    kept = [kept_names(entity) for entity in chosen]
    counts = counted_names(data / "mentions" / "train", kept)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_lines(folder / "relations", (_relation(*relation) for relation in relations))
        _write_lines(folder / "priors", counts)
        (folder / "only").write_text("".join(f"{entity.id}\n" for entity in kept))
        names = {entity.id: entity for entity in kept}
        report = build_kb(
            (names.get(id, Entity(id, entity.name)) for id, entity in entities.items()),
            out,
            relations=folder / "relations",
            priors=folder / "priors",
            only=folder / "only",
        )
    return {
        "content_digest": report.digest,
        "file_sha256": hashlib.sha256(report.path.read_bytes()).hexdigest(),
        "file_bytes": report.path.stat().st_size,
        "n_entities": report.n_entities,
        "n_aliases": report.n_aliases,
        "n_relations": report.n_relations_kept,
        "n_relations_read": report.n_relations,
        "n_entities_that_may_ship": len(entities),
        "inputs": {
            name: hashlib.sha256((data / name).read_bytes()).hexdigest()
            for name in ("wikidata/entities.jsonl.gz", "wikidata/relations.jsonl.gz")
        },
    }


def _relation(head: str, prop: str, name: str, tail: str) -> dict[str, str]:
    return {"head": head, "property": prop, "name": name, "tail": tail}


def _write_lines(path: Path, rows: Iterable[object]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shared", type=Path, required=True, help="folder that holds data/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write kb.sqlite to")
    parser.add_argument(
        "--check", action="store_true", help="compare with kb.json, do not write it"
    )
    options = parser.parse_args()
    made = make(options.shared, options.out)
    if options.check:
        recorded = json.loads(RECORD.read_text())
        same = recorded["content_digest"] == made["content_digest"]
        sys.stderr.write(f"content digest {'agrees' if same else 'differs'} with {RECORD}\n")
        return 0 if same else 1
    RECORD.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n")
    sys.stdout.write(json.dumps(made, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
