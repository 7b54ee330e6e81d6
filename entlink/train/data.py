"""Training examples: labelled mentions, names alone, and sentences composed from relations."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from entlink.errors import InputError
from entlink.inputs import surfaces
from entlink.records import NIL, Entity

_HUMAN = "Q5"


@dataclass(frozen=True, slots=True)
class Example:
    """A mention in its document and the id of the entity that it means."""

    doc: str
    text: str
    start: int
    end: int
    gold: str  # an entity id, perhaps of another knowledge base, or NIL
    label: str = ""


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """All mentions with an ``entity`` of JSONL files (plain or gzipped; see entlink's mention format)."""
    examples = []
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            try:
                doc = orjson.loads(line)
                text = doc["text"]
                for m in doc.get("mentions") or ():
                    if "entity" in m and 0 <= m["start"] < m["end"] <= len(text):
                        span = (m["start"], m["end"], m["entity"] or NIL, m.get("label", ""))
                        examples.append(Example(str(doc["id"]), text, *span))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}:{number}: not a document with mentions ({error!r}); "
                    'write {"id", "text", "mentions": [{"start", "end", "entity"}]}'
                ) from error
    return examples


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a JSONL file") from error


def fold_of(doc: str, n_folds: int) -> int:
    """The fold of a document; paragraphs of one page ("page#3") stay together."""
    return zlib.crc32(doc.split("#")[0].encode()) % n_folds


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact between two entities of the KB, by row."""

    head: int
    name: str
    tail: int


def read_relations(path: Path, rows: dict[str, int], sources: frozenset[str]) -> list[Relation]:
    """Relations whose ends are both in the KB and that come from one of ``sources``."""
    found = []
    for line in _lines(path):
        item = orjson.loads(line)
        head, tail = rows.get(item["head"]), rows.get(item["tail"])
        if head is not None and tail is not None and not sources.isdisjoint(item["source"]):
            found.append(Relation(head, item["name"], tail))
    return found


def name_variant(entity: Entity, random_: random.Random) -> str:
    """A way to write the entity: a name or alias, a person's last name alone, with typo or case noise."""
    names = surfaces(entity)
    name = names[0] if random_.random() < 0.5 else random_.choice(names)
    words = name.split()
    if len(words) in (2, 3) and _HUMAN in entity.types and random_.random() < 0.4:
        name = words[-1]
    return noisy(name, random_)


def noisy(name: str, random_: random.Random) -> str:
    """Mostly the name itself; sometimes upper or lower case, or with one letter lost or doubled."""
    dice = random_.random()
    if dice < 0.06:
        return name.upper()
    if dice < 0.12:
        return name.lower()
    if dice < 0.18 and len(name) > 4:
        at = random_.randrange(1, len(name) - 1)
        return name[:at] + (name[at] * 2 if dice < 0.15 else "") + name[at + 1 :]
    return name


_FRAMES = (
    "{0}, {p} {1}.",
    "{1}: {0}, {2}.",
    "{0} and {1}, {2}",
    "In {1}, {0} of {2} said on Monday.",
    "{p} of {0}: {1}, {2}, {3}",
    "{1}'s {0}",
    "{2} - {0} ({1})",
    "The {p} is {1}, not {2}; {0} is known for {3}.",
    "what {p} is {0} from, {1}?",
)


def composed_examples(
    entities: Sequence[Entity], relations: Sequence[Relation], *, n: int, seed: int
) -> list[Example]:
    """Sentences that name an entity beside entities to which the KB relates it.

    The first name in the sentence's pattern is the mention; the words around it are names of its
    neighbours, so the encoder learns that what surrounds a mention should agree with the entity's facts.
    """
    random_ = random.Random(seed)
    around: dict[int, list[tuple[str, int]]] = {}
    for r in relations:
        around.setdefault(r.head, []).append((r.name, r.tail))
        around.setdefault(r.tail, []).append((r.name, r.head))
    known = sorted(around)
    examples = []
    for number in range(n):
        row = random_.choice(known)
        facts = [random_.choice(around[row]) for _ in range(3)]
        names = [name_variant(entities[other], random_) for _, other in facts]
        mention = name_variant(entities[row], random_)
        frame = random_.choice(_FRAMES)
        before, after = frame.split("{0}")
        fill = {"p": facts[0][0]}
        left = before.format("", *names, **fill)
        text = left + mention + after.format("", *names, **fill)
        span = (len(left), len(left) + len(mention))
        examples.append(Example(f"composed-{number}", text, *span, entities[row].id))
    return examples


def alias_examples(entities: Sequence[Entity], *, n: int, seed: int) -> list[Example]:
    """Names alone, without any context."""
    random_ = random.Random(seed)
    examples = []
    for number in range(n):
        entity = random_.choice(entities)
        name = name_variant(entity, random_)
        examples.append(Example(f"alias-{number}", name, 0, len(name), entity.id))
    return examples
