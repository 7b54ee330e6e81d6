"""OWL ontologies as RDF, read as a whole through rdflib; OBO graphs in JSON through pronto.

pronto reads OWL, too, but gives up the file for one class above that is not declared in it
(owl:Thing, or one of an import), and passes over classes that are written in other ways than its
own without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entlink.errors import InputError
from entlink.kb.importers import obographs
from entlink.kb.importers.files import must_be_file
from entlink.kb.importers.rdf import DC, OWL, RDFS, SKOS, TYPE, literals, read_graph, uri
from entlink.kb.importers.records import (
    Located,
    OnBad,
    Parent,
    Records,
    Redirect,
    Relation,
    Skipped,
    bad,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

_OBO = "http://purl.obolibrary.org/obo/"
_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
_LABELS = (f"{RDFS}label", f"{SKOS}prefLabel")
_ALIASES = (
    *(f"{_IN_OWL}has{kind}Synonym" for kind in ("Exact", "Related", "Narrow", "Broad")),
    f"{_OBO}IAO_0000118",  # alternative term
    f"{SKOS}altLabel",
)
_TEXTS = (f"{_OBO}IAO_0000115", f"{SKOS}definition", f"{DC}description", f"{RDFS}comment")
_REPLACED_BY = f"{_OBO}IAO_0100001"
_SHORT = re.compile(rf"{re.escape(_OBO)}([^#_/]+)_(.+)")


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The named classes of an ontology, by id; obsolete ones are skipped."""
    must_be_file(path)
    if ".json" in path.suffixes:
        yield from obographs.read(path, settings, on_bad=on_bad)
        return
    graph = read_graph(path)
    declared = {s for kind in (OWL, RDFS) for s in graph.subjects(uri(TYPE), uri(f"{kind}Class"))}
    classes = sorted(node for node in declared if isinstance(node, type(uri(""))))
    individuals = set(graph.subjects(uri(TYPE), uri(f"{OWL}NamedIndividual"))) - declared
    if not classes:
        raise InputError(
            f"{path}: no class in it (owl:Class); save the ontology as RDF/XML or Turtle, or read "
            "other RDF with --format skos"
        )
    for node in classes:
        yield from _class(graph, node, f"{path}: {_id(node)}", settings.language, on_bad)
    for node in sorted(individuals, key=str):
        yield f"{path}: {node}", Skipped("individuals, not classes (--format skos reads them)")


def _class(
    graph: Any, node: Any, where: str, language: str, on_bad: OnBad | None
) -> Iterator[Located]:
    id, names = _id(node), literals(graph, node, _LABELS, language)
    if str(graph.value(node, uri(f"{OWL}deprecated"))).lower() in ("true", "1"):
        yield where, Skipped("obsolete")
        for other in sorted(map(_id, graph.objects(node, uri(_REPLACED_BY)))):
            yield where, Redirect(id, other)
        return
    if not names:
        if graph.value(node, uri(_LABELS[0])) is not None:
            yield where, Skipped(f"no name in {language!r}", id)
        elif str(node) != f"{OWL}Thing":
            bad(f"{where}: a class without a label; give it an rdfs:label", on_bad)
        return
    above = sorted(graph.objects(node, uri(f"{RDFS}subClassOf")), key=str)
    parents = [p for p in above if isinstance(p, type(node)) and str(p) != f"{OWL}Thing"]
    type_names = (literals(graph, parent, _LABELS, language) for parent in parents)
    texts = literals(graph, node, _TEXTS, language)
    yield (
        where,
        Entity(
            id=id,
            name=names[0],
            aliases=tuple(dict.fromkeys((*names[1:], *literals(graph, node, _ALIASES, language)))),
            description=texts[0] if texts else None,
            types=tuple(map(_id, parents)),
            type_names=tuple(found[0] for found in type_names if found),
        ),
    )
    for parent in parents:
        yield where, Parent(id, _id(parent))
    for other in sorted(map(str, graph.objects(node, uri(f"{_IN_OWL}hasAlternativeId")))):
        yield where, Redirect(other, id)
    yield from ((where, relation) for relation in _relations(graph, id, above, language))


def _relations(graph: Any, id: str, above: list[Any], language: str) -> list[Relation]:
    """What "it is below all that stand in this relation to some of that class" says, sorted."""
    found = []
    for node in above:
        property = graph.value(node, uri(f"{OWL}onProperty"))
        target = graph.value(node, uri(f"{OWL}someValuesFrom"))
        if property is not None and isinstance(target, type(uri(""))):
            label = literals(graph, property, _LABELS, language) or [_last(str(property))]
            found.append((_id(property), label[0].replace("_", " "), _id(target)))
    return [Relation(id, *its) for its in sorted(set(found))]


def _id(node: Any) -> str:
    """An address as OBO writes it: "DOID:4" for http://purl.obolibrary.org/obo/DOID_4."""
    found = _SHORT.fullmatch(str(node))
    return ":".join(found.groups()) if found else str(node)


def _last(address: str) -> str:
    return re.split(r"[#/]", address.rstrip("#/"))[-1]
