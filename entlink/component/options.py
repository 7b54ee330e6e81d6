"""What may be said of linking in the config and again at each call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from entlink.errors import ConfigError
from entlink.records import NIL, Entity, Link


@dataclass(frozen=True, slots=True)
class Options:
    """Checked when made; ConfigError says in one sentence what cannot work."""

    where: str  # for messages
    threshold: float | None  # the least probability of a link; None: the bundle's
    types: frozenset[str]  # ids or names of types, of which an entity needs one; empty: any
    n_candidates: int  # kept for each mention

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"{self.where}: threshold is {self.threshold}; it is a probability, from 0 to 1"
            )
        if self.n_candidates < 1:
            raise ConfigError(
                f"{self.where}: n_candidates is {self.n_candidates}; it must be at least 1"
            )

    def changed(
        self,
        *,
        threshold: float | None = None,
        types: Collection[str] | None = None,
        n_candidates: int | None = None,
    ) -> Options:
        """The same with what is given (None: as it is)."""
        if isinstance(types, str):
            raise ConfigError(f"{self.where}: types is {types!r}; give a list, [{types!r}]")
        return Options(
            self.where,
            self.threshold if threshold is None else threshold,
            self.types if types is None else frozenset(types),
            self.n_candidates if n_candidates is None else n_candidates,
        )

    def allows(self, entity: Entity) -> bool:
        """Is it of one of the types?"""
        return not self.types.isdisjoint((*entity.types, *entity.type_names))


def restricted(
    links: Sequence[Link],
    options: Options,
    *,
    entities: Callable[[Sequence[str]], Sequence[Entity]],
    threshold: float,
) -> list[Link]:
    """The links if only entities of the allowed types can be meant.

    ``links`` carry all their candidates. Those of other types are left out, and what they were
    given is shared out among the others and NIL: the probability given that it is none of them.
    """
    ids = sorted({c.entity_id for link in links for c in link.candidates})
    allowed = {entity.id for entity in entities(ids) if options.allows(entity)}
    return [_restricted(link, allowed, options.n_candidates, threshold) for link in links]


def _restricted(link: Link, allowed: Collection[str], n: int, threshold: float) -> Link:
    nil = max(0.0, 1 - sum(c.probability for c in link.candidates))
    kept = [c for c in link.candidates if c.entity_id in allowed]
    total = nil + sum(c.probability for c in kept)
    if not kept or total <= 0:
        return Link(link.mention, NIL, "", 1.0, ())
    shared = tuple(replace(c, probability=c.probability / total) for c in kept)
    best = shared[0]
    if best.probability >= threshold:
        return Link(link.mention, best.entity_id, best.name, best.probability, shared[:n])
    return Link(link.mention, NIL, "", nil / total, shared[:n])
