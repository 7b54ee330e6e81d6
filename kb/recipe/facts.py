"""Which facts may ship, and how popular each entity is as far as they tell."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from entlink.kb.importers.jsonl import read_entities, read_relations
from entlink.records import Entity

ENTITY_SOURCES = frozenset(("kgtk", "fb15k", "markg", "codex_types", "magpie", "nsi"))
RELATION_SOURCES = frozenset(("codex-m", "wd50k", "markg"))
# Texts with a natural spread of entities, not chosen for namesakes or one kind of question.
NATURAL_TEXTS = ("enwiki_sample", "ernie_wiki", "fewrel_val", "wned_wiki")
Relations = Sequence[tuple[str, str, str, str]]  # (head, property, name, tail)

# log10 of the number of pages that link to an entity, fitted once by least squares on the 3,407
# entities that may ship and whose number of in-links is known (rank correlation 0.61).
_BASE, _PER_RELATION, _PER_MENTION, _PER_ALIAS = 2.51, 0.37, 0.69, 0.30


def shippable_entities(path: Path) -> dict[str, Entity]:
    """Entities that data/README.md allows to ship, by id, without any text of the sources.

    `popularity` is kept only where it comes from KGTK's PageRank; `extra["source"]` is kept.
    """
    linked = _titles_with_inlinks(path.parents[1] / "mentions" / "aida_candidate_info.jsonl.gz")
    entities: dict[str, Entity] = {}
    for entity in read_entities(path):
        sources = _sources(entity)
        if not ENTITY_SOURCES & sources:
            continue
        ours = (
            "kgtk" in sources
            and not {"ppr", "pantheon"} & sources
            and entity.extra.get("wikipedia") not in linked
        )
        entities[entity.id] = replace(
            entity, description=None, popularity=entity.popularity if ours else None
        )
    return entities


def shippable_relations(path: Path, entities: Mapping[str, Entity]) -> Relations:
    """Relations of the allowed sources between entities that may ship."""
    return [
        (relation.head, relation.property, relation.name, relation.tail)
        for relation in read_relations(path)
        if RELATION_SOURCES & set(relation.sources)
        and relation.head in entities
        and relation.tail in entities
        and relation.head != relation.tail
    ]


def read_popularity_inputs(
    data: Path, entities: Mapping[str, Entity], relations: Relations
) -> dict[str, float]:
    """An estimate of log10 in-links for each entity of which anything is known.

    Made from the number of relations, of mentions in texts that we may train on, and of aliases;
    the mean of that and KGTK's PageRank where it is known.
    """
    degree = Counter(id for head, _, _, tail in relations for id in (head, tail))
    mentions = _count_mentions(data / "mentions" / "train")
    popularity: dict[str, float] = {}
    for id, entity in entities.items():
        estimates = [] if entity.popularity is None else [entity.popularity]
        if degree[id] or mentions[id]:
            estimates.append(
                _BASE
                + _PER_RELATION * math.log10(1 + degree[id])
                + _PER_MENTION * math.log10(1 + mentions[id])
                + _PER_ALIAS * math.log10(1 + len(entity.aliases))
            )
        if estimates:
            popularity[id] = round(sum(estimates) / len(estimates), 3)
    return popularity


def _sources(entity: Entity) -> frozenset[str]:
    found = entity.extra.get("source")
    return frozenset(found) if isinstance(found, list) else frozenset()


def _titles_with_inlinks(path: Path) -> frozenset[object]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return frozenset(json.loads(line)["title"] for line in file)


def _count_mentions(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name in NATURAL_TEXTS:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                counts.update(m["entity"] for m in json.loads(line)["mentions"] if "entity" in m)
    return counts
