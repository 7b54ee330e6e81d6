"""NIF 2 in Turtle (Hellmann et al., 2013), the format of GERBIL; reading needs rdflib.

A text is a ``nif:Context`` with ``nif:isString``; its address is the id. A mention is a
``nif:Phrase``, or has ``itsrdf:taIdentRef``, the entity; without one it has no answer. Further
``nif:referenceContext``, ``nif:beginIndex``, ``nif:endIndex``, and ``nif:anchorOf``, which is
compared. Wikidata's addresses become bare QIDs, other addresses are ids as they are, those of
``aksw.org/notInWiki`` are NIL. ``itsrdf:taClassRef`` is the label (of several the first by order).

Turtle has no order: documents come sorted by id, numbers within ids by size. What is no address is
written as ``urn:entlink:...`` and read back. Not carried: further triples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from entlink.errors import InputError, reason
from entlink.evaluate.formats.files import read_lines, write_lines
from entlink.evaluate.formats.gold import (
    GoldDocument,
    GoldMention,
    Located,
    gold_document,
    gold_mention,
    reader,
)
from entlink.nif import CORE, ITS, OURS, PREFIXES, Phrase, statements
from entlink.records import NIL

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node

_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_MENTION_TYPES = (f"{CORE}Phrase", f"{CORE}EntityOccurrence")
_WIKIDATA_ADDRESS = re.compile(r"https?://www\.wikidata\.org/(?:entity|wiki)/(Q[1-9][0-9]*)")
_NOT_IN_WIKI = re.compile(r"https?://aksw\.org/notInWiki/.*")
_NUMBER = re.compile(r"([0-9]+)")
_WHY = re.compile(r"Bad syntax \((.*?)\) at \^")  # rdflib goes on with an excerpt


@reader
def read(path: Path) -> Iterator[Located]:
    """The contexts of a file, plain or gzipped; InputError without rdflib (extra ``formats``)."""
    source = "\n".join(line for _, line in read_lines(path))
    triples = _Triples(path, source, _parse(path, source))
    texts: dict[str, str] = {
        context: triples.only(context, "nif:isString", text) for context, text in triples.texts()
    }
    mentions: dict[str, list[GoldMention]] = {context: [] for context in texts}
    for phrase in triples.phrases():
        where = triples.where(phrase)
        context = triples.value(phrase, f"{CORE}referenceContext")
        if context not in texts:
            raise InputError(
                f"{where}: belongs to <{context}>, which has no nif:isString; add that text"
            )
        mentions[context].append(triples.mention(phrase, texts[context]))
    for context in sorted(texts, key=_natural):
        id_ = _id(context)
        yield triples.where(context), gold_document(id_, texts[context], mentions[context])


def _parse(path: Path, source: str) -> Graph:
    try:
        from rdflib import Graph
        from rdflib.plugins.parsers.notation3 import BadSyntax
    except ImportError:
        raise InputError(
            f"{path}: reading NIF needs rdflib; install it with: pip install 'entlink[formats]'"
        ) from None
    try:
        return Graph().parse(data=source, format="turtle")
    except BadSyntax as error:
        line = error.lines + 1  # it counts from 0
        told = _WHY.search(error.message)
        why = told[1] if told else reason(error)
        raise InputError(f"{path}:{line}: not valid Turtle ({why}); mend the line") from None
    except Exception as error:  # what its parser stumbles over in other ways
        raise InputError(f"{path}: not valid Turtle ({reason(error)}); check the file") from None


class _Triples:
    """The triples of a file, and where their subjects stand in it."""

    def __init__(self, path: Path, source: str, graph: Graph) -> None:
        self._path = path
        self._source = source
        self._values: dict[str, dict[str, list[str]]] = {}
        for subject, predicate, object_ in graph:
            of_subject = self._values.setdefault(_str(subject), {})
            of_subject.setdefault(_str(predicate), []).append(_str(object_))

    def where(self, subject: str) -> str:
        """ "path:line" of the subject, if the file writes it in full."""
        at = self._source.find(f"<{subject}>")
        line = f":{self._source.count(chr(10), 0, at) + 1}" if at >= 0 else ""
        return f"{self._path}{line}: <{subject}>"

    def texts(self) -> Iterator[tuple[str, list[str]]]:
        for subject, values in self._values.items():
            if texts := values.get(f"{CORE}isString"):
                yield subject, texts

    def phrases(self) -> Iterator[str]:
        for subject, values in sorted(self._values.items()):
            if f"{CORE}isString" in values or f"{CORE}referenceContext" not in values:
                continue
            types = values.get(_TYPE, [])
            if f"{ITS}taIdentRef" in values or any(t in types for t in _MENTION_TYPES):
                yield subject

    def only(self, subject: str, name: str, found: list[str]) -> str:
        if len(found) > 1:
            raise InputError(f"{self.where(subject)}: has {len(found)} values of {name}; keep one")
        return found[0]

    def value(self, subject: str, predicate: str) -> str | None:
        found = self._values[subject].get(predicate)
        name = predicate.replace(CORE, "nif:").replace(ITS, "itsrdf:")
        return self.only(subject, name, found) if found else None

    def mention(self, phrase: str, text: str) -> GoldMention:
        where = self.where(phrase)
        offsets = [self.value(phrase, f"{CORE}{name}") for name in ("beginIndex", "endIndex")]
        start, end = (int(o) if o and o.isdecimal() else o for o in offsets)
        labels = self._values[phrase].get(f"{ITS}taClassRef", [])
        return gold_mention(
            text,
            start,
            end,
            where=where,
            entity=_entity(self.value(phrase, f"{ITS}taIdentRef")),
            label=_id(min(labels)) if labels else "",
            surface=self.value(phrase, f"{CORE}anchorOf"),
        )


def _str(node: Node) -> str:
    return str(node)


def _natural(address: str) -> list[tuple[int, str]]:
    """Sorts "d9" before "d10"."""
    parts = _NUMBER.split(unquote(address))
    return [(int(part), part) if i % 2 else (0, part) for i, part in enumerate(parts)]


def _id(address: str) -> str:
    if address.startswith(OURS):
        return unquote(address.removeprefix(OURS).partition(":")[2])
    return address


def _entity(address: str | None) -> str | None:
    if address is None:
        return None
    if _NOT_IN_WIKI.fullmatch(address):
        return NIL
    wikidata = _WIKIDATA_ADDRESS.fullmatch(address)
    return wikidata[1] if wikidata else _id(address)


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write Turtle; gzipped if the name ends in ``.gz``. Needs no rdflib."""
    write_lines(documents, path, _statements, head=PREFIXES)


def _statements(doc: GoldDocument, *, where: str) -> Iterator[str]:
    phrases = (Phrase(m.start, m.end, m.label, m.entity) for m in doc.mentions)
    return statements(doc.id, doc.text, phrases)
