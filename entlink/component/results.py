"""What a doc carries of its links: plain data, from which the Link is made when asked for.

So it survives `Doc.to_bytes`, DocBin (with `store_user_data=True`) and other processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any, Final

from spacy.tokens import Doc, Span, SpanGroup

from entlink.errors import ConfigError
from entlink.records import NIL, Candidate, Link, Mention

UNLABELLED: Final = "ENTITY"  # a mention that no recogniser labelled; spaCy needs some label


def annotate_ents(doc: Doc, linked: Iterable[tuple[Span, Link]], *, nil: str) -> None:
    """Write the links of entities that stand in `doc.ents` already; the others stay as they are."""
    ents = [_with_id(span, link, nil) for span, link in linked]
    doc.set_ents(ents, default="unmodified")


def replace_ents(
    doc: Doc, linked: Iterable[tuple[Span, Link]], *, nil: str, kept: Iterable[Span]
) -> None:
    """Make these the doc's entities, beside those ``kept`` that overlap none of them."""
    ents = [_with_id(span, link, nil) for span, link in linked]
    doc.set_ents(beside(ents, kept))


def annotate_group(
    doc: Doc, key: str, spans: Sequence[Span], links: Iterable[tuple[Span, Link]], *, nil: str
) -> None:
    """Rebuild the span group with the links' ids, in its order; entities that are one get it too.

    Rebuilt, since what is written to a member of a group does not persist.
    """
    found = {(span.start, span.end): (span, link) for span, link in links}
    rebuilt = []
    for span in spans:
        link = found.get((span.start, span.end))
        rebuilt.append(_with_id(span, link[1], nil) if link else span)
    attrs = doc.spans[key].attrs if key in doc.spans else {}
    doc.spans[key] = SpanGroup(doc, name=key, attrs=attrs, spans=rebuilt)
    same = [
        (ent, found[ent.start, ent.end][1]) for ent in doc.ents if (ent.start, ent.end) in found
    ]
    annotate_ents(doc, same, nil=nil)


def beside(ents: Sequence[Span], others: Iterable[Span]) -> list[Span]:
    """The entities and, of the others, those that share no token with them; by position."""
    taken = {i for ent in ents for i in range(ent.start, ent.end)}
    kept = [other for other in others if taken.isdisjoint(range(other.start, other.end))]
    return sorted((*ents, *kept), key=lambda ent: ent.start)


def _with_id(span: Span, link: Link, nil: str) -> Span:
    kb_id = nil if link.entity_id == NIL else link.entity_id
    return Span(span.doc, span.start, span.end, label=span.label, kb_id=kb_id, span_id=span.id)


def _key(start: int, end: int) -> tuple[str, str, int, int]:
    """Where spaCy keeps a span extension's value: what joins and cuts docs then moves it along."""
    return "._.", "entlink", start, end


def store(doc: Doc, link: Link) -> None:
    """Keep the link with the doc, by the mention's offsets."""
    user_data: dict[Any, Any] = doc.user_data
    user_data[_key(link.mention.start, link.mention.end)] = [
        link.mention.label,
        link.entity_id,
        link.name,
        link.probability,
        [list(astuple(candidate)) for candidate in link.candidates],
    ]


def stored_link(span: Span) -> Link | None:
    """The Link of a span, None if it was not linked."""
    start, end = span.start_char, span.end_char
    user_data: dict[Any, Any] = span.doc.user_data
    stored = user_data.get(_key(start, end))
    if stored is None:
        return None
    label, entity_id, name, probability, candidates = stored
    return Link(
        mention=Mention(start, end, span.text, label),
        entity_id=entity_id,
        name=name,
        probability=probability,
        candidates=tuple(Candidate(*candidate) for candidate in candidates),
    )


def kb_ents(span: Span) -> list[tuple[str, float]]:
    """The (id, probability) of a span's candidates, best first; empty if it was not linked."""
    link = stored_link(span)
    return [(c.entity_id, c.probability) for c in link.candidates] if link else []


def set_extensions() -> None:
    """Register `span._.entlink` and `span._.kb_ents` once; ConfigError if another owns the name."""
    for name, getter in (("entlink", stored_link), ("kb_ents", kb_ents)):
        if not Span.has_extension(name):
            Span.set_extension(name, getter=getter)
        elif Span.get_extension(name)[2] is not getter:
            raise ConfigError(
                f"span._.{name} is in use by another component; remove that extension "
                f"(Span.remove_extension({name!r})) before adding entlink"
            )
