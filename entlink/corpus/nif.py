"""Links as NIF 2 in Turtle (Hellmann et al., 2013), as `entlink convert` and GERBIL read it.

Wikidata's ids become its addresses, other ids that are no addresses ``urn:entlink:...``. The
probability is ``itsrdf:taConfidence``. Carried columns have no place here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO
from urllib.parse import quote

from entlink.corpus.writers import Linked
from entlink.records import NIL, LinkedDocument

_XSD = "http://www.w3.org/2001/XMLSchema#"
_PREFIXES = (
    "@prefix itsrdf: <http://www.w3.org/2005/11/its/rdf#> .\n"
    "@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .\n"
)
_NIL = "http://aksw.org/notInWiki/NIL"
_WIKIDATA = "http://www.wikidata.org/entity/"
_WIKIDATA_ID = re.compile(r"Q[1-9][0-9]*")
_OURS = "urn:entlink:"
_ADDRESS = re.compile(r"(?:https?|urn):[^\x00-\x20<>\"{}|^`\\]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'[\\"\x00-\x1f\x7f]')


def write_nif(documents: Iterable[Linked], stream: BinaryIO) -> None:
    """Write Turtle."""
    stream.write(_PREFIXES.encode())
    for document, _ in documents:
        stream.write("".join(_statements(document)).encode())


def _statements(document: LinkedDocument) -> Iterator[str]:
    context = _address(document.id, "document")
    yield (
        f"\n<{context}> a nif:Context, nif:OffsetBasedString ;\n"
        f"    nif:beginIndex {_number(0)} ;\n    nif:endIndex {_number(len(document.text))} ;\n"
        f"    nif:isString {_literal(document.text)} .\n"
    )
    base = context.partition("#")[0]
    for number, link in enumerate(document.links):
        m = link.mention
        # numbered, for two mentions may have the same offsets
        yield (
            f"\n<{base}#offset_{m.start}_{m.end}_{number}> a nif:OffsetBasedString, nif:Phrase ;\n"
            f"    nif:anchorOf {_literal(m.text)} ;\n"
            f"    nif:beginIndex {_number(m.start)} ;\n    nif:endIndex {_number(m.end)} ;\n"
        )
        if m.label:
            yield f"    itsrdf:taClassRef <{_address(m.label, 'label')}> ;\n"
        yield (
            f"    itsrdf:taConfidence {_double(link.probability)} ;\n"
            f"    itsrdf:taIdentRef <{_entity(link.entity_id)}> ;\n"
            f"    nif:referenceContext <{context}> .\n"
        )


def _entity(entity_id: str) -> str:
    if entity_id == NIL:
        return _NIL
    if _WIKIDATA_ID.fullmatch(entity_id):
        return _WIKIDATA + entity_id
    return _address(entity_id, "entity")


def _address(id_: str, kind: str) -> str:
    if _ADDRESS.fullmatch(id_) and not id_.startswith(_OURS):
        return id_
    return f"{_OURS}{kind}:{quote(id_, safe='')}"


def _literal(text: str) -> str:
    escaped = _ESCAPED.sub(lambda c: _ESCAPES.get(c[0], f"\\u{ord(c[0]):04X}"), text)
    return f'"{escaped}"'


def _number(value: int) -> str:
    return f'"{value}"^^<{_XSD}nonNegativeInteger>'


def _double(value: float) -> str:
    return f'"{value}"^^<{_XSD}double>'
