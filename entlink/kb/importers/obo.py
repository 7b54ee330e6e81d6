"""OBO ontologies, a line at a time, so that errors can say in which line they are.

Terms become entities; `def` is the description, synonyms are aliases, `is_a` gives types and
their hierarchy, `relationship` relations, `alt_id` and `replaced_by` redirect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from entlink.kb.importers.files import read_lines
from entlink.kb.importers.records import (
    Located,
    OnBad,
    Parent,
    PropertyName,
    Records,
    Redirect,
    Relation,
    Skipped,
    bad,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "W": " ", "t": "\t"}
_REPEATED = ("synonym", "alt_id", "is_a", "relationship", "xref", "replaced_by")


@dataclass(slots=True)
class _Stanza:
    """One [Term] or [Typedef] with its tags."""

    kind: str
    where: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def first(self, tag: str) -> str:
        return self.values.get(tag, [""])[0]

    def all(self, tag: str) -> list[str]:
        return self.values.get(tag, [])


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The terms of an OBO file; obsolete ones are skipped, but what replaces them is known."""
    for stanza in _stanzas(path, on_bad):
        id, name = _bare(stanza.first("id")), _bare(stanza.first("name"))
        if stanza.kind == "Typedef":
            if id:
                yield stanza.where, PropertyName(id, name.replace("_", " ") or id)
            else:
                bad(f"{stanza.where}: a typedef without id; add 'id: ...'", on_bad)
        elif stanza.kind == "Term":
            if stanza.first("is_obsolete") == "true":
                yield stanza.where, Skipped("obsolete")
                for target in filter(None, stanza.all("replaced_by")):
                    yield stanza.where, Redirect(id, _bare(target))
            elif id and name:
                yield from _term(stanza, id, name, on_bad)
            else:
                lacks = "name" if id else "id"
                bad(f"{stanza.where}: a term without {lacks}; add '{lacks}: ...'", on_bad)
        else:
            yield stanza.where, Skipped(f"[{stanza.kind}], not [Term]")


def _term(stanza: _Stanza, id: str, name: str, on_bad: OnBad | None) -> Iterator[Located]:
    synonyms = [_quoted(line) for line in stanza.all("synonym")]
    if None in synonyms:
        bad(f'{stanza.where}: {id}: a synonym without quotes; write synonym: "..."', on_bad)
    parents = [_with_comment(line) for line in stanza.all("is_a")]
    if any(not parent for parent, _ in parents):
        bad(f"{stanza.where}: {id}: an is_a without a term; write is_a: ID", on_bad)
        parents = [(parent, comment) for parent, comment in parents if parent]
    extra = {"xref": [_bare(line) for line in stanza.all("xref")]} if stanza.all("xref") else {}
    yield (
        stanza.where,
        Entity(
            id=id,
            name=name,
            aliases=tuple(dict.fromkeys(s for s in synonyms if s and s != name)),
            description=_quoted(stanza.first("def")) or None,
            types=tuple(parent for parent, _ in parents),
            type_names=tuple(comment for _, comment in parents if comment),
            extra=extra,
        ),
    )
    for parent, _ in parents:
        yield stanza.where, Parent(id, parent)
    for other in filter(None, stanza.all("alt_id")):
        yield stanza.where, Redirect(_bare(other), id)
    for line in stanza.all("relationship"):
        words = _bare(line).split()
        if len(words) < 2:
            bad(f"{stanza.where}: {id}: relationship: {line!r} has no target", on_bad)
        else:
            yield stanza.where, Relation(id, words[0], words[0].replace("_", " "), words[1])


def _stanzas(path: Path, on_bad: OnBad | None) -> Iterator[_Stanza]:
    stanza = None
    for where, raw in read_lines(path):
        try:
            line = raw.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            bad(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8", on_bad)
            continue
        if not line or line.startswith("!"):
            continue
        if line.startswith("["):
            if stanza:
                yield stanza
            stanza = _Stanza(line.strip("[]"), where)
            continue
        tag, colon, value = line.partition(":")
        if not colon:
            bad(f"{where}: not 'tag: value' but {line[:80]!r}", on_bad)
        elif stanza:
            if tag in stanza.values and tag not in _REPEATED:
                if tag in ("id", "name", "def"):
                    bad(f"{where}: {tag!r} appears twice in a term; keep one", on_bad)
                continue
            stanza.values.setdefault(tag, []).append(value.strip())
    if stanza:
        yield stanza


def _quoted(value: str) -> str | None:
    found = _QUOTED.match(value)
    return _unescape(found.group(1)) if found else None


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda m: _ESCAPES.get(m.group(1), m.group(1)), text).strip()


def _bare(value: str) -> str:
    """A value without its trailing {qualifiers} and ! comment."""
    value = re.split(r"\s+!|\s+\{", value, maxsplit=1)[0]
    return _unescape(value)


def _with_comment(value: str) -> tuple[str, str]:
    """An id and the name that stands as a comment behind it, "" if none does."""
    _, _, comment = value.partition(" ! ")
    return "" if value.startswith("!") else _bare(value), comment.strip()
