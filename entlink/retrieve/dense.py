"""The retriever: the entities nearest to a mention, with the holders of its very name among them.

An entity has one vector for each of its surfaces (ME, Luan et al. 2021); its score is their best.
To that a sparse score and the prior of its name may be added (hybrid.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from entlink.decide import Evidence
from entlink.encode.dual import DualEncoder
from entlink.inputs import MentionInput
from entlink.kb.demonyms import countries_of, may_be_country
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.retrieve.sparse import Found, scores_at
from entlink.retrieve.sparse import best as best_rows
from entlink.retrieve.surfaces import Surfaces, SurfaceVectors
from entlink.retrieve.words import NameMatch

__all__ = ["Retrieved", "Retriever", "SurfaceVectors", "Surfaces"]

_DOUBT = 2.0  # uses of a name that mean none of the known entities, assumed beside those counted


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates of one mention: distinct entities, by falling score, ties by row."""

    rows: NDArray[np.int64]  # (k,) rows of the KB
    scores: NDArray[np.float32]  # (k,) the cosine, and what a hybrid adds to it
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
    words: Found | None  # entities that share words with it; None: not asked for


class Retriever:
    """Mentions in, the nearest entities of the KB out."""

    def __init__(
        self,
        kb: KnowledgeBase,
        encoder: DualEncoder,
        surfaces: Surfaces,
        *,
        within: NDArray[np.bool_] | None = None,
        hybrid: Hybrid | None = None,
    ) -> None:
        self._hybrid = hybrid or Hybrid(RetrievalConfig())
        self._config = self._hybrid.config
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

    @property
    def part(self) -> NDArray[np.bool_] | None:
        """(n_rows,) the entities that may be found; None: all."""
        return self._within

    def within(self, rows: NDArray[np.bool_]) -> Retriever:
        """The same retriever that finds only the rows, (n_rows,), that are set.

        Entities that are added later are none of them.
        """
        kept = self._kb, self._encoder, self._surfaces
        return Retriever(*kept, within=rows, hybrid=self._hybrid)

    def retrieve(self, mentions: Sequence[MentionInput], *, k: int = 100) -> list[Retrieved]:
        """The k best entities of each mention, fewer only where the KB has fewer.

        Those that bear the mention's very name are always among them (of more than k, the k first),
        unless the bundle says otherwise.
        """
        searched, queries = self._encoder.query_vectors(mentions)
        nearest = self._nearest(searched, k)
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

    def entity_vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (n, d) of entities under their own names, each of length one."""
        positions = self._surfaces.positions_of(np.unique(rows))
        distinct, first = np.unique(self._surfaces.rows_at(positions), return_index=True)
        vectors = self._surfaces.vectors(positions[first])
        return vectors[np.searchsorted(distinct, rows)]

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
            words = None if self._hybrid.bm25 is None else self._hybrid.bm25.scores(span)
            hits[span] = _Hits(span, {hit.row: hit for hit in bearers[span]}, best, words)
        return hits

    def _countries(self, bearers: Mapping[str, Sequence[AliasHit]]) -> dict[str, int]:
        """The most popular entity of the country's very name; one that is a country, if any is."""
        rows = sorted({hit.row for hits in bearers.values() for hit in hits})
        known = dict(zip(rows, self._kb.by_rows(rows), strict=True))
        found = {}
        for country, hits in bearers.items():
            named = [hit.row for hit in hits if known[hit.row].name == country]
            named = [row for row in named if may_be_country(known[row])] or named
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
        sure = list(dict.fromkeys([*country, *hits.bearers]))[:k] if self._config.aliases else []
        bearers = np.asarray(sorted(sure), dtype=np.int64)
        known = bearers if hits.words is None else np.union1d(bearers, self._with_words(hits, k))
        if self._encoder.config.reads:  # by another vector another of its names may be the nearest
            known = np.union1d(known, self._surfaces.rows_at(nearest))
        positions = np.union1d(nearest, self._surfaces.positions_of(known))
        found = self._retrieved(query, positions, hits)
        is_kept = np.isin(found.rows, bearers)
        is_kept |= np.cumsum(~is_kept) <= k - int(is_kept.sum())
        return found.only(is_kept)

    def _with_words(self, hits: _Hits, k: int) -> NDArray[np.int64]:
        """The rows that are best by words alone, of those that may be found."""
        assert hits.words is not None
        rows, scores = hits.words
        kept = np.ones(len(rows), dtype=np.bool_)
        if isinstance(self._kb, LiveKnowledgeBase):
            kept = ~np.isin(rows, sorted(self._kb.refresh().gone_rows))
        if self._within is not None:
            kept &= self._within[rows]
        return best_rows((rows[kept], scores[kept]), k=k)

    def _scores(
        self, rows: NDArray[np.int64], cosines: NDArray[np.float32], hits: _Hits
    ) -> NDArray[np.float32]:
        """The cosines and what is added to them, (n,)."""
        scores = cosines
        if hits.words is not None:
            scores = scores + np.float32(self._config.bm25) * scores_at(hits.words, rows)
        if self._config.prior:
            found = [hits.bearers.get(row) for row in rows.tolist()]
            priors = np.asarray([hit.prior if hit else 0.0 for hit in found], dtype=np.float32)
            scores = scores + np.float32(self._config.prior) * priors
        return scores

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
        rows, cosines = rows[best], cosines[best]
        scores = self._scores(rows, cosines, hits)
        order = np.lexsort((rows, -scores))  # as they are, where nothing was added
        rows, scores, cosines = rows[order], scores[order], cosines[order]
        known = [hits.bearers.get(row) for row in rows.tolist()]
        return Retrieved(
            rows=rows,
            scores=scores,
            cosines=cosines,
            priors=np.asarray([hit.prior if hit else 0.0 for hit in known], np.float32),
            counts=np.asarray([hit.count if hit else 0 for hit in known], np.int32),
            is_alias=np.asarray([hit is not None for hit in known], dtype=np.bool_),
            is_country=np.asarray([row == hits.country for row in rows.tolist()], np.bool_),
            match=match.only(np.searchsorted(distinct, rows)),
        )
