"""SKOS vocabularies, and any other RDF whose subjects have labels, through rdflib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from entlink.errors import InputError, reason
from entlink.kb.importers import needs
from entlink.kb.importers.files import open_bytes
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

_SKOS = "http://www.w3.org/2004/02/skos/core#"
_XL = "http://www.w3.org/2008/05/skos-xl#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_SCHEMA = ("http://schema.org/", "https://schema.org/")
_DC = "http://purl.org/dc/terms/"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_LABELS = (f"{_SKOS}prefLabel", f"{_RDFS}label", *(f"{s}name" for s in _SCHEMA),
           "http://xmlns.com/foaf/0.1/name")  # fmt: skip
_ALIASES = (f"{_SKOS}altLabel", f"{_SKOS}hiddenLabel", *(f"{s}alternateName" for s in _SCHEMA))
_NAMELESS = (*_ALIASES, f"{_SKOS}notation", f"{_XL}prefLabel", f"{_XL}altLabel")
_TEXTS = (f"{_SKOS}definition", f"{_SKOS}scopeNote", f"{_DC}description", f"{_RDFS}comment",
          *(f"{s}description" for s in _SCHEMA))  # fmt: skip
_BROADER = (f"{_SKOS}broader", f"{_SKOS}broadMatch", f"{_RDFS}subClassOf")
_RELATED = f"{_SKOS}related"
_NO_TYPES = (f"{_SKOS}Concept", "http://www.w3.org/2002/07/owl#NamedIndividual",
             "http://www.w3.org/2002/07/owl#Class")  # fmt: skip
_SYNTAX = {".ttl": "turtle", ".nt": "nt", ".rdf": "xml", ".xml": "xml", ".owl": "xml",
           ".jsonld": "json-ld", ".n3": "n3"}  # fmt: skip


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Every subject that has a label in the chosen language or in none, by address."""
    graph = _graph(path)
    labelled = {s for label in _LABELS for s in graph.subjects(_uri(label))}
    named_elsewhere = {s for p in _NAMELESS for s in graph.subjects(_uri(p))}
    concepts = set(graph.subjects(_uri(_TYPE), _uri(f"{_SKOS}Concept")))
    subjects = labelled | named_elsewhere | concepts
    if not subjects:
        raise InputError(
            f"{path}: nothing in it has a label (skos:prefLabel, rdfs:label, schema:name); "
            "is it a vocabulary?"
        )
    for subject in sorted(subjects, key=str):
        where = f"{path}: {subject}"
        names = _names(graph, subject, _LABELS, "prefLabel", settings.language)
        if names:
            yield from _concept(graph, subject, where, names, settings.language)
        elif subject in labelled or graph.value(subject, _uri(f"{_XL}prefLabel")) is not None:
            yield where, Skipped(f"no name in {settings.language!r}", str(subject))
        else:
            yield where, Skipped("no label (skos:prefLabel, rdfs:label)", str(subject))


def _concept(
    graph: Any, subject: Any, where: str, names: Sequence[str], language: str
) -> Iterator[Located]:
    id = str(subject)
    broader = [str(o) for p in _BROADER for o in graph.objects(subject, _uri(p))]
    kinds = [str(o) for o in graph.objects(subject, _uri(_TYPE)) if str(o) not in _NO_TYPES]
    types = sorted({*broader, *kinds})
    type_names = (_literals(graph, _uri(kind), _LABELS, language) for kind in types)
    aliases = (*names[1:], *_names(graph, subject, _ALIASES, "altLabel", language))
    texts = _literals(graph, subject, _TEXTS, language)
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
    for other in sorted(str(o) for o in graph.objects(subject, _uri(_RELATED))):
        if id < other:  # it is said of both ends
            yield where, Relation(id, "related", "related to", other)


def _names(
    graph: Any, subject: Any, properties: Sequence[str], xl: str, language: str
) -> list[str]:
    """Its labels as texts, and behind them those that SKOS-XL makes things of their own."""
    nodes = sorted(graph.objects(subject, _uri(f"{_XL}{xl}")), key=str)
    texts = [_literals(graph, node, (f"{_XL}literalForm",), language) for node in nodes]
    more = (text for its in texts for text in its)
    return list(dict.fromkeys((*_literals(graph, subject, properties, language), *more)))


def _literals(graph: Any, subject: Any, properties: Sequence[str], language: str) -> list[str]:
    """Texts in the language, then those without one, in the order of the properties."""
    found: list[tuple[bool, int, str]] = []
    for rank, name in enumerate(properties):
        for value in graph.objects(subject, _uri(name)):
            tag = (getattr(value, "language", None) or "").lower()
            if hasattr(value, "language") and (not tag or tag.split("-")[0] == language):
                found.append((not tag, rank, str(value).strip()))
    return list(dict.fromkeys(text for _, _, text in sorted(found) if text))


def _graph(path: Path) -> Any:
    try:
        import rdflib
    except ImportError:
        raise needs("rdflib", "RDF files") from None
    name = Path(path.stem) if path.suffix.lower() in (".gz", ".bz2", ".xz") else path
    syntax = _SYNTAX.get(name.suffix.lower(), "turtle")
    graph = rdflib.Graph()
    try:
        with open_bytes(path) as file:
            graph.parse(
                source=cast(BinaryIO, file), format=syntax, publicID=path.absolute().as_uri()
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except Exception as error:  # whatever its parsers meet
        raise InputError(f"{path}: not RDF as {syntax} ({reason(error)}); check it") from None
    return graph


def _uri(address: Any) -> Any:
    from rdflib import URIRef

    return URIRef(address)
