"""End to end: spans that were found, and their links, against the gold ones. Strict spans only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from entlink.evaluate.formats.gold import GoldDocument
from entlink.evaluate.metrics import SpanCounts
from entlink.records import NIL

Spans = Mapping[tuple[int, int], str]  # (start, end) -> entity id, or NIL


def count_spans(gold: GoldDocument, found: Spans, *, in_kb: Callable[[str], bool]) -> SpanCounts:
    """Compare what was found in one document with its gold mentions.

    Links on gold spans whose entity is outside the KB (NIL and spans without an answer too) are
    neither right nor wrong, for every system alike: what the KB lacks cannot be answered.
    """
    entity_of = {(m.start, m.end): m.entity for m in gold.mentions}
    reachable = {
        span: entity
        for span, entity in entity_of.items()
        if entity is not None and entity != NIL and in_kb(entity)
    }
    links = {span: entity for span, entity in found.items() if entity != NIL}
    left_out = sum(span in entity_of and span not in reachable for span in links)
    return SpanCounts(
        doc=gold.id,
        n_gold=len(entity_of),
        n_found=len(found),
        n_right=len(entity_of.keys() & found.keys()),
        n_gold_links=len(reachable),
        n_links=len(links) - left_out,
        n_right_links=sum(reachable.get(span) == entity for span, entity in links.items()),
        n_linked=len(reachable.keys() & links.keys()),
        n_left_out=left_out,
    )
