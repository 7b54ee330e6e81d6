"""RDF through rdflib, which reads a file as a whole: graphs, and texts in a language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from entlink.errors import InputError, reason
from entlink.kb.importers import needs
from entlink.kb.importers.files import open_bytes

SKOS = "http://www.w3.org/2004/02/skos/core#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
OWL = "http://www.w3.org/2002/07/owl#"
DC = "http://purl.org/dc/terms/"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_SYNTAX = {
    ".ttl": "turtle",
    ".nt": "nt",
    ".rdf": "xml",
    ".xml": "xml",
    ".jsonld": "json-ld",
    ".n3": "n3",
}
_XML = re.compile(rb"(\xef\xbb\xbf)?\s*<([?!]|[\w.-]+:RDF\b)")


def _syntax_of(path: Path) -> str:
    """What rdflib calls the file's syntax: told by its name, else by how it begins."""
    name = Path(path.stem) if path.suffix.lower() in (".gz", ".bz2", ".xz") else path
    if found := _SYNTAX.get(name.suffix.lower()):
        return found
    with open_bytes(path) as file:
        return "xml" if _XML.match(file.read(4096)) else "turtle"


def read_graph(path: Path) -> Any:
    """The graph of a plain or packed file; InputError if it cannot be read."""
    try:
        import rdflib
    except ImportError:
        raise needs("rdflib", "RDF files") from None
    graph, syntax = rdflib.Graph(), "RDF"
    try:
        syntax = _syntax_of(path)
        with open_bytes(path) as file:
            graph.parse(
                source=cast(BinaryIO, file), format=syntax, publicID=path.absolute().as_uri()
            )
    except InputError:
        raise
    except Exception as error:  # whatever its parsers meet
        raise InputError(f"{path}: not readable as {syntax} ({reason(error)}); check it") from None
    return graph


def literals(graph: Any, subject: Any, properties: Sequence[str], language: str) -> list[str]:
    """Texts in the language, then those without one, in the order of the properties."""
    found: list[tuple[bool, int, str]] = []
    for rank, name in enumerate(properties):
        for value in graph.objects(subject, uri(name)):
            tag = (getattr(value, "language", None) or "").lower()
            if hasattr(value, "language") and (not tag or tag.split("-")[0] == language):
                found.append((not tag, rank, str(value).strip()))
    return list(dict.fromkeys(text for _, _, text in sorted(found) if text))


def uri(address: Any) -> Any:
    """An address as rdflib's kind of node."""
    from rdflib import URIRef

    return URIRef(address)
