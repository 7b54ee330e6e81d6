"""Training examples: labelled mentions, names alone, and sentences composed from relations."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entlink.errors import InputError, reason
from entlink.inputs import surfaces, with_full_names
from entlink.kb.importers import jsonl
from entlink.records import NIL, Entity, Mention

if TYPE_CHECKING:
    from entlink.detect import Detector

_HUMAN = "Q5"
_TEXTS_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Example:
    """A mention in its document and the id of the entity that it means."""

    doc: str
    text: str
    start: int
    end: int
    gold: str  # an entity id, perhaps of another knowledge base, or NIL
    label: str = ""
    full_name: str = ""  # as in records.Mention


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """All mentions with an ``entity`` of JSONL files, plain or gzipped; null is NIL.

    A mention may bring its ``label`` and its ``full_name``, as `label_examples` would add them.
    Raises InputError for a line that is no such document, or whose offsets lie outside its text.
    """
    examples: list[Example] = []
    for path in paths:
        for where, doc in jsonl.read_objects(path):
            try:
                examples += _examples_of(doc)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{where}: not a document with mentions ({reason(error)}); "
                    'write {"id", "text", "mentions": [{"start", "end", "entity"}]}'
                ) from error
    return examples


def read_texts(path: Path) -> list[tuple[str, str]]:
    """The (id, text) pairs of a JSONL file, plain or gzipped."""
    texts = []
    for where, doc in jsonl.read_objects(path):
        text = doc.get("text")
        if not isinstance(text, str):
            raise InputError(f'{where}: no text; each line must be an object with a string "text"')
        texts.append((str(doc.get("id", where)), text))
    return texts


def _examples_of(doc: Mapping[str, Any]) -> Iterator[Example]:
    text = doc["text"]
    if not isinstance(text, str):
        raise TypeError("its text is no string")
    for m in doc.get("mentions") or ():
        if not isinstance(m, Mapping):
            raise TypeError("a mention is no object")
        if "entity" not in m:
            continue
        start, end = m["start"], m["end"]
        if not (type(start) is type(end) is int and 0 <= start < end <= len(text)):
            raise ValueError(f"{start} to {end} does not lie in a text of {len(text)} characters")
        if not isinstance(m["entity"], str | None):
            raise TypeError("an entity is neither a string nor null")
        given = {key: m.get(key) or "" for key in ("label", "full_name")}
        if not all(isinstance(value, str) for value in given.values()):
            raise TypeError("a label or full_name is no string")
        yield Example(str(doc["id"]), text, start, end, m["entity"] or NIL, **given)


def label_examples(examples: Sequence[Example], detector: Path | Detector | None) -> list[Example]:
    """The examples with the labels of a detector's recogniser, and longer forms of their names.

    As in use, those come from the mentions of the same text. Without a detector nothing is added.
    """
    if detector is None:
        return list(examples)
    import spacy

    from entlink.detect import Detector

    if isinstance(detector, Path):
        detector = Detector.load(None, detector)
    make_doc = spacy.blank("en").make_doc
    by_text: dict[str, list[int]] = {}
    for i, e in enumerate(examples):
        by_text.setdefault(e.text, []).append(i)
    labelled = list(examples)
    texts = list(by_text)
    for begin in range(0, len(texts), _TEXTS_AT_A_TIME):
        some = texts[begin : begin + _TEXTS_AT_A_TIME]
        mentions = [[_mention(examples[i]) for i in by_text[text]] for text in some]
        found = detector.label_given([make_doc(text) for text in some], mentions)
        for text, many in zip(some, found, strict=True):
            for i, m in zip(by_text[text], with_full_names(many), strict=True):
                labelled[i] = replace(examples[i], label=m.label, full_name=m.full_name)
    return labelled


def _mention(e: Example) -> Mention:
    return Mention(e.start, e.end, e.text[e.start : e.end], e.label)


def fold_of(doc: str, n_folds: int) -> int:
    """The fold of a document; paragraphs of one page ("page#3") stay together."""
    return zlib.crc32(doc.split("#")[0].encode()) % n_folds


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact between two entities of the KB, by row."""

    head: int
    name: str
    tail: int


def read_relations(path: Path, rows: Mapping[str, int], sources: frozenset[str]) -> list[Relation]:
    """Relations whose ends are both in the KB and that come from one of ``sources``."""
    return [
        Relation(rows[r.head], r.name, rows[r.tail])
        for r in jsonl.read_relations(path)
        if r.head in rows and r.tail in rows and not sources.isdisjoint(r.sources)
    ]


def name_variant(entity: Entity, random_: random.Random, *, noise: bool = True) -> str:
    """A way to write the entity: one of its names, a person's last name alone, with some noise."""
    names = surfaces(entity)
    name = names[0] if random_.random() < 0.5 else random_.choice(names)
    words = name.split()
    if len(words) in (2, 3) and _HUMAN in entity.types and random_.random() < 0.4:
        name = words[-1]
    return noisy(name, random_) if noise else name


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
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    *,
    n: int,
    seed: int,
    noise: bool = True,
) -> list[Example]:
    """Sentences that name an entity beside entities to which the KB relates it.

    The first name in the sentence's pattern is the mention; the words around it are names of its
    neighbours, so the encoder learns that what surrounds a mention agrees with its entity's facts.
    Without relations there are none.
    """
    random_ = random.Random(seed)
    around: dict[int, list[tuple[str, int]]] = {}
    for r in relations:
        around.setdefault(r.head, []).append((r.name, r.tail))
        around.setdefault(r.tail, []).append((r.name, r.head))
    known = sorted(around)
    examples = []
    for number in range(n if known else 0):
        row = random_.choice(known)
        facts = [random_.choice(around[row]) for _ in range(3)]
        names = [name_variant(entities[other], random_, noise=noise) for _, other in facts]
        mention = name_variant(entities[row], random_, noise=noise)
        frame = random_.choice(_FRAMES)
        before, after = frame.split("{0}")
        fill = {"p": facts[0][0]}
        left = before.format("", *names, **fill)
        text = left + mention + after.format("", *names, **fill)
        span = (len(left), len(left) + len(mention))
        examples.append(Example(f"composed-{number}", text, *span, entities[row].id))
    return examples


def alias_examples(
    entities: Sequence[Entity], *, n: int, seed: int, noise: bool = True
) -> list[Example]:
    """Names alone, without any context."""
    random_ = random.Random(seed)
    examples = []
    for number in range(n):
        entity = random_.choice(entities)
        name = name_variant(entity, random_, noise=noise)
        examples.append(Example(f"alias-{number}", name, 0, len(name), entity.id))
    return examples
