"""Which names an entity keeps, and how often texts use them for it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from facts import NATURAL_TEXTS

from entlink.kb.aliases import normalise
from entlink.records import Entity

MAX_ALIASES = 12
_MAX_LOWER_ALIASES = 4
_MAX_LOWER_WORDS = 3
# Codes of registers and of lists, such as "US-WA - Washington (U.S. State)" or "LC 01074".
_CODE = re.compile(r"^[A-Z]{2}(-[A-Z0-9]+)? - |^LC[ -]\d+$|^\d+$|^https?:|@|^#")
_VERBAL = re.compile(r"^(has|have|had|is|was|were|be|been|to|kick|pass|meet|dies?|died|the|a|an)\b")


def kept_names(entity: Entity) -> Entity:
    """The entity with the aliases that help to link, and nothing kept in `extra`."""
    seen = {normalise(entity.name), ""}
    proper: list[str] = []
    lower: list[str] = []
    for alias in entity.aliases:
        key = normalise(alias)
        if key in seen or not re.search(r"[a-z]", key) or _CODE.search(alias):
            continue
        if len(key) < 2 or len(alias) > 60:
            continue
        seen.add(key)
        (lower if alias == alias.lower() else proper).append(alias)
    named = entity.name != entity.name.lower()
    bootleg = "bootleg" in str(entity.extra.get("source"))
    if named or bootleg:  # lower-case titles of redirects: "etymology of jordan"
        lower = []
    lower = [alias for alias in lower if not _is_phrase(alias)][:_MAX_LOWER_ALIASES]
    return replace(
        entity, aliases=tuple(sorted([*sorted(proper, key=len), *lower][:MAX_ALIASES])), extra={}
    )


def _is_phrase(alias: str) -> bool:
    return len(alias.split()) > _MAX_LOWER_WORDS or bool(_VERBAL.match(alias))


def counted_names(folder: Path, entities: Iterable[Entity]) -> Iterator[dict[str, object]]:
    """How often running texts use a kept name for which entity.

    Only names that the knowledge base has are counted, so that no anchor text is carried along.
    """
    known = {normalise(name) for entity in entities for name in (entity.name, *entity.aliases)}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name in NATURAL_TEXTS:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                for mention in document["mentions"]:
                    key = normalise(document["text"][mention["start"] : mention["end"]])
                    if key in known and mention.get("entity", "NIL") != "NIL":
                        counts[key][mention["entity"]] += 1
    for key in sorted(counts):
        yield {"surface": key, "counts": dict(sorted(counts[key].items()))}
