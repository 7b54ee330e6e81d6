"""A small world to train on: names that two entities share, texts whose context decides."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from entlink.kb.build import build_kb
from entlink.records import Entity

NAMES = ("Avon", "Brent", "Carmel", "Dover", "Elba", "Florence", "Geneva", "Hamilton")
TOPICS = (
    ("river", "water that flows past banks and bridges", ("water", "bank", "bridge", "boat")),
    ("singer", "voice known for songs and records", ("song", "stage", "record", "tour")),
)
NIL_NAME = "Zephyr"  # borne by nobody


@dataclass(frozen=True)
class World:
    """Files to train from."""

    kb: Path
    view: Path  # the same entities with other texts
    mentions: Path
    dev: Path
    relations: Path


def entities(*, described: bool = True) -> list[Entity]:
    """Two for each name: number 2i is the river, 2i + 1 the singer."""
    return [
        Entity(
            id=f"E{2 * i + t}",
            name=name,
            aliases=(f"{name} {topic}",),
            description=description if described else f"a {topic}",
            types=(f"T{t}",),
            popularity=3.0 - t,
        )
        for i, name in enumerate(NAMES)
        for t, (topic, description, _) in enumerate(TOPICS)
    ]


def sentence(name: str, topic: int, generator: random.Random) -> tuple[str, int]:
    """A text about one of them, and where its name starts."""
    words = generator.sample(TOPICS[topic][2], 3)
    left = f"The {words[0]} and the {words[1]} of "
    return f"{left}{name} had a {words[2]} in it.", len(left)


def documents(
    n: int, *, seed: int, prefix: str, topics: tuple[int, ...] = (0, 1)
) -> list[dict[str, object]]:
    """Documents with one mention each; one in eight means no entity of the KB."""
    generator = random.Random(seed)
    found: list[dict[str, object]] = []
    for number in range(n):
        i, topic = generator.randrange(len(NAMES)), generator.choice(topics)
        known = number % 8 != 0
        name = NAMES[i] if known else NIL_NAME
        text, start = sentence(name, topic, generator)
        gold = f"E{2 * i + topic}" if known else ("NIL" if number % 16 else "elsewhere")
        span = {"start": start, "end": start + len(name), "entity": gold}
        found.append({"id": f"{prefix}{number}", "text": text, "mentions": [span]})
    return found


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_world(folder: Path) -> World:
    """Write all files."""
    relations: list[dict[str, object]] = [
        {
            "head": f"E{i}",
            "property": "P1",
            "name": "near",
            "tail": f"E{(i + 2) % 16}",
            "source": ["a"],
        }
        for i in range(16)
    ]
    build_kb(entities(), folder / "kb")
    build_kb(entities(described=False), folder / "view")
    return World(
        kb=folder / "kb",
        view=folder / "view",
        mentions=write_lines(folder / "mentions.jsonl", documents(320, seed=1, prefix="doc")),
        dev=write_lines(folder / "dev.jsonl", documents(64, seed=2, prefix="dev")),
        relations=write_lines(folder / "relations.jsonl", relations),
    )
