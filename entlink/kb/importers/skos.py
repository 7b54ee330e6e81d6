"""SKOS vocabularies, and any other RDF whose subjects have labels, through rdflib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from entlink.errors import InputError
from entlink.kb.importers.rdf import DC, OWL, RDFS, SKOS, TYPE, literals, read_graph, uri
from entlink.kb.importers.records import (
    Located,
    OnBad,
    Parent,
    Records,
    Relation,
    Skipped,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

_XL = "http://www.w3.org/2008/05/skos-xl#"
_SCHEMA = ("http://schema.org/", "https://schema.org/")
_LABELS = (f"{SKOS}prefLabel", f"{RDFS}label", *(f"{s}name" for s in _SCHEMA),
           "http://xmlns.com/foaf/0.1/name")  # fmt: skip
_ALIASES = (f"{SKOS}altLabel", f"{SKOS}hiddenLabel", *(f"{s}alternateName" for s in _SCHEMA))
_NAMELESS = (*_ALIASES, f"{SKOS}notation", f"{_XL}prefLabel", f"{_XL}altLabel")
_TEXTS = (f"{SKOS}definition", f"{SKOS}scopeNote", f"{DC}description", f"{RDFS}comment",
          *(f"{s}description" for s in _SCHEMA))  # fmt: skip
_BROADER = (f"{SKOS}broader", f"{SKOS}broadMatch", f"{RDFS}subClassOf")
_RELATED = f"{SKOS}related"
_NO_TYPES = (f"{SKOS}Concept", f"{OWL}NamedIndividual", f"{OWL}Class")


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Every subject that has a label in the chosen language or in none, by address."""
    graph = read_graph(path)
    labelled = {s for label in _LABELS for s in graph.subjects(uri(label))}
    named_elsewhere = {s for p in _NAMELESS for s in graph.subjects(uri(p))}
    concepts = set(graph.subjects(uri(TYPE), uri(f"{SKOS}Concept")))
    subjects = labelled | named_elsewhere | concepts
    if not subjects:
        raise InputError(
            f"{path}: nothing in it has a label (skos:prefLabel, rdfs:label, schema:name); "
            "is it a vocabulary?"
        )
    for subject in sorted(subjects, key=str):
        where = f"{path}: {subject}"
        names = _names(graph, subject, _LABELS, "prefLabel", settings.language)
        if not isinstance(subject, type(uri(""))):
            yield where, Skipped("things without an address")
        elif names:
            yield from _concept(graph, subject, where, names, settings.language)
        elif subject in labelled or graph.value(subject, uri(f"{_XL}prefLabel")) is not None:
            yield where, Skipped(f"no name in {settings.language!r}", str(subject))
        else:
            yield where, Skipped("no label (skos:prefLabel, rdfs:label)", str(subject))


def _concept(
    graph: Any, subject: Any, where: str, names: Sequence[str], language: str
) -> Iterator[Located]:
    id = str(subject)
    broader = [str(o) for p in _BROADER for o in graph.objects(subject, uri(p))]
    kinds = [str(o) for o in graph.objects(subject, uri(TYPE)) if str(o) not in _NO_TYPES]
    types = sorted({*broader, *kinds})
    type_names = (literals(graph, uri(kind), _LABELS, language) for kind in types)
    aliases = (*names[1:], *_names(graph, subject, _ALIASES, "altLabel", language))
    texts = literals(graph, subject, _TEXTS, language)
    yield (
        where,
        Entity(
            id=id,
            name=names[0],
            aliases=tuple(dict.fromkeys(a for a in aliases if a != names[0])),
            description=texts[0] if texts else None,
            types=tuple(types),
            type_names=tuple(found[0] for found in type_names if found),
        ),
    )
    for parent in sorted(set(broader)):
        yield where, Parent(id, parent)
    for other in sorted(str(o) for o in graph.objects(subject, uri(_RELATED))):
        if id < other:  # it is said of both ends
            yield where, Relation(id, "related", "related to", other)


def _names(
    graph: Any, subject: Any, properties: Sequence[str], xl: str, language: str
) -> list[str]:
    """Its labels as texts, and behind them those that SKOS-XL makes things of their own."""
    nodes = sorted(graph.objects(subject, uri(f"{_XL}{xl}")), key=str)
    texts = [literals(graph, node, (f"{_XL}literalForm",), language) for node in nodes]
    more = (text for its in texts for text in its)
    return list(dict.fromkeys((*literals(graph, subject, properties, language), *more)))
