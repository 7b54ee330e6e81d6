"""What `spacy train` teaches the link models, and from what: entities with a gold `kb_id_`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from spacy.training import Example
from spacy.util import registry

from entlink.detect.given import mention_of
from entlink.errors import ConfigError, InputError
from entlink.inputs import with_full_names
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Mention

_LOOKED_AT: Final = 200  # examples that are checked before training


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Settings of the block `fine_tuning` in the config of `entlink`."""

    retriever_rate: float = 1e-4  # learning rate; 0 leaves the retriever as it is
    reranker_rate: float = 2e-5  # learning rate; 0 leaves the reranker as it is
    n_wrong: int = 5  # wrong candidates beside each gold entity
    pool: int = 24  # they are drawn from so many of the retriever's best
    hide_label: float = 0.3  # share of the mentions whose label is hidden: a user may have none
    warmup: int = 20  # steps until the rates are reached
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("retriever_rate", "reranker_rate"):
            if getattr(self, name) < 0:
                raise ConfigError(f"fine_tuning: {name} is {getattr(self, name)}; give 0 or more")
        if not 1 <= self.n_wrong <= self.pool:
            raise ConfigError(
                f"fine_tuning: n_wrong is {self.n_wrong}; it must be from 1 to pool, {self.pool}"
            )
        if not 0 <= self.hide_label <= 1:
            raise ConfigError(
                f"fine_tuning: hide_label is {self.hide_label}; it is a share, 0 to 1"
            )


def make_fine_tuning(
    retriever_rate: float = 1e-4,
    reranker_rate: float = 2e-5,
    n_wrong: int = 5,
    pool: int = 24,
    hide_label: float = 0.3,
    warmup: int = 20,
    seed: int = 0,
) -> FineTuning:
    """See FineTuning."""
    return FineTuning(retriever_rate, reranker_rate, n_wrong, pool, hide_label, warmup, seed)


@dataclass(frozen=True, slots=True)
class GoldLink:
    """A mention in its text and the entity that it means."""

    text: str
    mention: Mention
    gold: str  # an id, perhaps of another knowledge base, or records.NIL


def gold_links(example: Example, *, nil: str, spans_key: str) -> Iterator[GoldLink]:
    """The entities of the reference that have a `kb_id_`, and the members of the span group."""
    doc = example.reference
    group = doc.spans.get(spans_key, ())
    linked = {(s.start, s.end): s for s in chain(group, doc.ents) if s.kb_id_}
    spans = [linked[place] for place in sorted(linked)]
    mentions = with_full_names([mention_of(span) for span in spans])
    for span, mention in zip(spans, mentions, strict=True):
        yield GoldLink(doc.text, mention, NIL if span.kb_id_ == nil else span.kb_id_)


def check_gold(
    get_examples: Callable[[], Iterable[Example]],
    kb: KnowledgeBase,
    *,
    nil: str,
    spans_key: str,
    where: str,
) -> None:
    """InputError if the first examples have gold links, but none to an entity of the KB."""
    ids = {
        link.gold
        for example in islice(get_examples(), _LOOKED_AT)
        for link in gold_links(example, nil=nil, spans_key=spans_key)
        if link.gold != NIL
    }
    if ids and not kb.rows_of(sorted(ids)):
        raise InputError(
            f"{where}: none of the {len(ids)} ids that the examples link to is in the knowledge "
            f"base, for example {min(ids)!r}; give the bundle of the knowledge base that was used "
            "to label them"
        )


registry.misc("entlink.FineTuning.v1", func=make_fine_tuning)
