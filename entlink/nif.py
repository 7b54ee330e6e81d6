"""NIF 2 in Turtle (Hellmann et al., 2013), as it is written: for corpora and for gold files alike.

Wikidata's ids become its addresses, other ids that are no addresses ``urn:entlink:...``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from entlink.records import NIL

CORE = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
ITS = "http://www.w3.org/2005/11/its/rdf#"
OURS = "urn:entlink:"  # before what is no address
PREFIXES = f"@prefix itsrdf: <{ITS}> .\n@prefix nif: <{CORE}> .\n"

_XSD = "http://www.w3.org/2001/XMLSchema#"
_NIL = "http://aksw.org/notInWiki/NIL"
_WIKIDATA = "http://www.wikidata.org/entity/"
_WIKIDATA_ID = re.compile(r"Q[1-9][0-9]*")
_ADDRESS = re.compile(r"(?:https?|urn):[^\x00-\x20<>\"{}|^`\\]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'[\\"\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class Phrase:
    """A mention as it is written; what is None is left out."""

    start: int
    end: int
    label: str
    entity: str | None
    confidence: float | None = None


def statements(id_: str, text: str, phrases: Iterable[Phrase]) -> Iterator[str]:
    """The triples of one document."""
    context = _address(id_, "document")
    yield (
        f"\n<{context}> a nif:Context, nif:OffsetBasedString ;\n"
        f"    nif:beginIndex {_number(0)} ;\n    nif:endIndex {_number(len(text))} ;\n"
        f"    nif:isString {_literal(text)} .\n"
    )
    base = context.partition("#")[0]
    for number, p in enumerate(phrases):
        # numbered, for two mentions may have the same offsets
        yield (
            f"\n<{base}#offset_{p.start}_{p.end}_{number}> a nif:OffsetBasedString, nif:Phrase ;\n"
            f"    nif:anchorOf {_literal(text[p.start : p.end])} ;\n"
            f"    nif:beginIndex {_number(p.start)} ;\n    nif:endIndex {_number(p.end)} ;\n"
        )
        if p.label:
            yield f"    itsrdf:taClassRef <{_address(p.label, 'label')}> ;\n"
        if p.confidence is not None:
            yield f'    itsrdf:taConfidence "{p.confidence}"^^<{_XSD}double> ;\n'
        if p.entity is not None:
            yield f"    itsrdf:taIdentRef <{_entity_address(p.entity)}> ;\n"
        yield f"    nif:referenceContext <{context}> .\n"


def _entity_address(entity: str) -> str:
    if entity == NIL:
        return _NIL
    if _WIKIDATA_ID.fullmatch(entity):
        return _WIKIDATA + entity
    return _address(entity, "entity")


def _address(id_: str, kind: str) -> str:
    if _ADDRESS.fullmatch(id_) and not id_.startswith(OURS):
        return id_
    return f"{OURS}{kind}:{quote(id_, safe='')}"


def _literal(text: str) -> str:
    escaped = _ESCAPED.sub(lambda c: _ESCAPES.get(c[0], f"\\u{ord(c[0]):04X}"), text)
    return f'"{escaped}"'


def _number(value: int) -> str:
    return f'"{value}"^^<{_XSD}nonNegativeInteger>'
