"""The retriever: the entities nearest to a mention, with the holders of its very name among them.

An entity has one vector for each of its surfaces (ME, Luan et al. 2021); its score is their best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from entlink.decide import Evidence
from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, reason
from entlink.inputs import MentionInput, entity_inputs
from entlink.kb.demonyms import countries_of
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.retrieve.index import VectorIndex, open_index
from entlink.retrieve.words import NameMatch, NameWords

_ENCODE_BATCH = 2048  # entities encoded at a time
_DOUBT = 2.0  # uses of a name that mean none of the known entities, assumed beside those counted


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates of one mention: distinct entities, by falling cosine, ties by row."""

    rows: NDArray[np.int64]  # (k,) rows of the KB
    cosines: NDArray[np.float32]  # (k,)
    priors: NDArray[np.float32]  # (k,) share of this surface's uses that mean it; 0 if unknown
    counts: NDArray[np.int32]  # (k,) the uses on which that rests: those that mean this entity
    is_alias: NDArray[np.bool_]  # (k,) does the KB know the surface as a name of it?
    is_country: NDArray[np.bool_]  # (k,) is the surface the adjective of this country?
    match: NameMatch  # how much of the surface the entity's names have

    def only(self, chosen: NDArray[np.bool_]) -> Retrieved:
        """The chosen candidates, in the same order."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "match"}
        kept = {name: values[chosen] for name, values in arrays.items()}
        return Retrieved(**kept, match=self.match.only(chosen))


@dataclass(frozen=True, slots=True)
class _Hits:
    """What the KB knows of one surface."""

    span: str
    bearers: dict[int, AliasHit]  # by row, the likeliest first
    country: int | None  # the row of the country of which it is the adjective


@dataclass(frozen=True, slots=True)
class SurfaceVectors:
    """The index over all surfaces of all entities, and whose each vector is."""

    index: VectorIndex
    rows: NDArray[np.int32]  # (n_surfaces,) KB row of each vector, ascending
    words: NameWords  # of each surface

    @classmethod
    def build(cls, kb: KnowledgeBase, encoder: DualEncoder) -> SurfaceVectors:
        """Encode the whole KB as it was built, a batch of entities at a time."""
        vectors: list[NDArray[np.float32]] = []
        rows: list[int] = []
        names: list[str] = []
        row = 0
        for entities in kb.base.iterate(batch_size=_ENCODE_BATCH):
            items = [entity_inputs(entity) for entity in entities]
            for surfaces in items:
                rows += [row] * len(surfaces)
                names += [surface.name for surface in surfaces]
                row += 1
            vectors.append(encoder.encode_entities([item for many in items for item in many]))
        joined = np.concatenate(vectors) if vectors else encoder.encode_entities([])
        words = NameWords.of(names)
        return cls(VectorIndex.build(joined), np.asarray(rows, dtype=np.int32), words)

    def save(self, folder: Path) -> None:
        """Write index.faiss, rows.npy and the words."""
        self.index.save(folder / "index.faiss")
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        self.words.save(folder)

    @classmethod
    def open(cls, folder: Path) -> SurfaceVectors:
        """Map what ``save`` wrote. Raises BundleError if it is not whole."""
        index = open_index(folder)
        try:
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            words = NameWords.open(folder)
        except (OSError, ValueError, EOFError) as error:
            raise BundleError(
                f"{folder}: cannot be read ({reason(error)}); delete it and it is made again"
            ) from error
        if rows.shape != (len(index),) or rows.dtype != np.int32 or len(words) != len(index):
            raise BundleError(f"{folder}: its files do not fit; delete it and it is made again")
        return cls(index, rows, words)

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Positions of the k nearest surfaces of each query, (n, k), best first; -1 where fewer.

        Only among the positions that are ``allowed``, (n_surfaces,).
        """
        return self.index.search(queries, k=k, allowed=allowed)[1]

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The KB row of each position."""
        return self.rows[positions].astype(np.int64)

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of all surfaces of these entities."""
        rows = rows.astype(self.rows.dtype)  # else all of them would be turned into the other
        starts = np.searchsorted(self.rows, rows)
        ends = np.searchsorted(self.rows, rows, side="right")
        ranges = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *ranges])

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d)."""
        return self.index.vectors(positions)

    def match(self, surface: str, positions: NDArray[np.int64]) -> NameMatch:
        """How the surface's words lie in the names at these positions."""
        return self.words.match(surface, positions)


class Surfaces(Protocol):
    """What the retriever asks of vectors; `SurfaceVectors` has it, and what edits put beside it."""

    def __len__(self) -> int: ...

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]: ...

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]: ...

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]: ...

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]: ...

    def match(self, surface: str, positions: NDArray[np.int64]) -> NameMatch: ...


class Retriever:
    """Mentions in, the nearest entities of the KB out."""

    def __init__(
        self,
        kb: KnowledgeBase,
        encoder: DualEncoder,
        surfaces: Surfaces,
        *,
        within: NDArray[np.bool_] | None = None,
    ) -> None:
        self._kb = kb
        self._encoder = encoder
        self._surfaces = surfaces
        self._within = within  # (n_rows,) the entities that may be found; None: all
        self._allowed: NDArray[np.bool_] | None = None  # (n_surfaces,) their surfaces
        if within is not None:
            self._allowed = within[surfaces.rows_at(np.arange(len(surfaces)))]

    @property
    def encoder(self) -> DualEncoder:
        """What makes the vectors."""
        return self._encoder

    def within(self, rows: NDArray[np.bool_]) -> Retriever:
        """The same retriever that finds only the rows, (n_rows,), that are set.

        Entities that are added later are none of them.
        """
        return Retriever(self._kb, self._encoder, self._surfaces, within=rows)

    def retrieve(self, mentions: Sequence[MentionInput], *, k: int = 100) -> list[Retrieved]:
        """The k best entities of each mention, fewer only where the KB has fewer.

        Those that bear the mention's very name are always among them (of more than k, the k first).
        """
        queries = self._encoder.encode_mentions(mentions)
        nearest = self._nearest(queries, k)
        hits = self._hits([mention.span for mention in mentions])
        return [
            self._merge(query, positions, hits[mention.span], k)
            for mention, query, positions in zip(mentions, queries, nearest, strict=True)
        ]

    def rank(
        self, mentions: Sequence[MentionInput], candidates: Sequence[NDArray[np.int64]]
    ) -> list[Retrieved]:
        """The candidates given for each mention, as rows of the KB, in place of the nearest."""
        queries = self._encoder.encode_mentions(mentions)
        hits = self._hits([mention.span for mention in mentions])
        return [
            self._retrieved(query, self._surfaces.positions_of(np.unique(rows)), hits[m.span])
            for m, query, rows in zip(mentions, queries, candidates, strict=True)
        ]

    def evidence(self, found: Retrieved) -> Evidence:
        """What the decision's first model looks at. A prior that rests on few uses counts less."""
        n_uses = found.counts / np.maximum(found.priors, 1e-6)
        return Evidence(
            cosines=found.cosines,
            is_alias=found.is_alias,
            priors=(found.counts / (n_uses + _DOUBT)).astype(np.float32),
            popularity=self._kb.popularity[found.rows],
            degree=self._kb.degree[found.rows],
            is_country=found.is_country,
            words_found=found.match.found,
            part_of_name=found.match.share,
            begins_name=found.match.begins,
        )

    def _hits(self, spans: Sequence[str]) -> dict[str, _Hits]:
        """Who bears each surface, and of which country it is the adjective."""
        countries = {span: countries_of(span) for span in dict.fromkeys(spans)}
        names = {name for many in countries.values() for name in many}
        bearers = self._kb.by_aliases([*countries, *sorted(names - countries.keys())])
        if self._within is not None:
            bearers = {n: [h for h in hits if self._admits(h.row)] for n, hits in bearers.items()}
        country_of = self._countries({name: bearers[name] for name in sorted(names)})
        hits = {}
        for span, many in countries.items():
            rows = [country_of[name] for name in many if name in country_of]
            best = max(rows, key=self._popularity, default=None)  # France, not its kingdoms
            hits[span] = _Hits(span, {hit.row: hit for hit in bearers[span]}, best)
        return hits

    def _countries(self, bearers: Mapping[str, Sequence[AliasHit]]) -> dict[str, int]:
        """The most popular entity that has the country's very name."""
        rows = sorted({hit.row for hits in bearers.values() for hit in hits})
        names = dict(zip(rows, (e.name for e in self._kb.by_rows(rows)), strict=True))
        found = {}
        for country, hits in bearers.items():
            named = [hit.row for hit in hits if names[hit.row] == country]
            if named:
                found[country] = max(named, key=self._popularity)
        return found

    def _popularity(self, row: int) -> tuple[float, int]:
        """For comparisons; unknown is least, and of equals the first is greatest."""
        return float(np.nan_to_num(self._kb.popularity[row], nan=-1.0)), -row

    def _admits(self, row: int) -> bool:
        return self._within is None or (row < len(self._within) and bool(self._within[row]))

    def _nearest(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """The positions of each query's nearest surfaces, so many that k entities have one."""
        surfaces, allowed = self._surfaces, self._allowed
        n = len(surfaces) if allowed is None else int(allowed.sum())
        n_fetch = min(2 * k + 20, n)  # enough for nearly all: few have over two surfaces
        found = surfaces.search(queries, k=n_fetch, allowed=allowed)
        nearest = [positions[positions >= 0] for positions in found]
        while n_fetch < n:
            short = [
                i
                for i, positions in enumerate(nearest)
                if len(positions) == n_fetch  # else there are no more
                and len(np.unique(surfaces.rows_at(positions))) < k
            ]
            if not short:
                break
            n_fetch = min(4 * n_fetch, n)
            found = surfaces.search(queries[short], k=n_fetch, allowed=allowed)
            for i, positions in zip(short, found, strict=True):
                nearest[i] = positions[positions >= 0]
        return nearest

    def _merge(
        self, query: NDArray[np.float32], nearest: NDArray[np.int64], hits: _Hits, k: int
    ) -> Retrieved:
        country = [] if hits.country is None else [hits.country]
        sure = list(dict.fromkeys([*country, *hits.bearers]))[:k]
        bearers = np.asarray(sorted(sure), dtype=np.int64)
        positions = np.union1d(nearest, self._surfaces.positions_of(bearers))
        found = self._retrieved(query, positions, hits)
        is_kept = np.isin(found.rows, bearers)
        is_kept |= np.cumsum(~is_kept) <= k - int(is_kept.sum())
        return found.only(is_kept)

    def _retrieved(
        self, query: NDArray[np.float32], positions: NDArray[np.int64], hits: _Hits
    ) -> Retrieved:
        """The entities at these positions, each once: its best cosine, its best name."""
        rows = self._surfaces.rows_at(positions)
        # Row by row and not by BLAS: equal vectors get equal cosines, wherever in the KB they stand
        # and however many mentions are linked at once, so that their order is always the same.
        cosines = (self._surfaces.vectors(positions) * query).sum(axis=1)
        match = self._surfaces.match(hits.span, positions).best_of(rows)
        order = np.lexsort((rows, -cosines))
        rows, cosines = rows[order], cosines[order]
        distinct, first = np.unique(rows, return_index=True)
        best = np.sort(first)
        rows = rows[best]
        known = [hits.bearers.get(row) for row in rows.tolist()]
        return Retrieved(
            rows=rows,
            cosines=cosines[best],
            priors=np.asarray([hit.prior if hit else 0.0 for hit in known], np.float32),
            counts=np.asarray([hit.count if hit else 0 for hit in known], np.int32),
            is_alias=np.asarray([hit is not None for hit in known], dtype=np.bool_),
            is_country=np.asarray([row == hits.country for row in rows.tolist()], np.bool_),
            match=match.only(np.searchsorted(distinct, rows)),
        )
