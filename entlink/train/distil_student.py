"""The student: a dual encoder, a scoring layer on top, and how a batch of mentions is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from entlink.encode.dual import DualEncoder, MentionFeatures, join_mentions
from entlink.encode.features import Ragged
from entlink.errors import ConfigError
from entlink.inputs import mention_input
from entlink.records import Entity
from entlink.train.candidates import Candidates, rows_of
from entlink.train.data import Example
from entlink.train.losses import in_batch_softmax
from entlink.train.tables import EntityTable, MentionTable

SCORINGS = ("cosine", "dot", "mlp")
_HIDDEN = 64  # of the small network
_CHUNK = 8192  # mentions hashed at a time
_EXACT = 0.7  # share of the mentions whose gold surface is the one that they spell
_SCALES = (0.1, 100.0)  # least and greatest at the start
_NO_POPULARITY = 0.3  # an own KB may know none


class ScoringLayer(nn.Module):
    """A score of each (mention, surface) pair, of the same order as the teacher's logits.

    "cosine", "dot": a s + b, with s the inner product of the two vectors, which in a cosine
    encoder are of unit length. "mlp": the same plus a small network over both vectors and their
    product, which no index can search: it can only rank what was found.
    """

    def __init__(self, kind: str, *, vector: int) -> None:
        super().__init__()
        if kind not in SCORINGS:
            raise ConfigError(f"scoring is {kind!r}; it must be one of {', '.join(SCORINGS)}")
        self.kind = kind
        self.log_scale = nn.Parameter(torch.tensor(0.0 if kind == "dot" else 3.0))
        self.bias = nn.Parameter(torch.tensor(0.0))
        self.net: nn.Sequential | None = None
        if kind == "mlp":
            last = nn.Linear(_HIDDEN, 1)
            nn.init.zeros_(last.weight)  # so that it begins as the cosine
            nn.init.zeros_(last.bias)
            self.net = nn.Sequential(nn.Linear(3 * vector, _HIDDEN), nn.GELU(), last)

    def forward(self, mentions: Tensor, entities: Tensor) -> Tensor:
        """(n, vector) and (n, vector), pair by pair -> (n,)"""
        inner = (mentions * entities).sum(dim=1)
        scores = self.log_scale.exp() * inner + self.bias
        if self.net is None:
            return scores
        joined = torch.cat([mentions, entities, mentions * entities], dim=1)
        return cast(Tensor, scores + self.net(joined).squeeze(1))


class Student(nn.Module):
    """A dual encoder that is taught, and its scoring layer."""

    def __init__(self, encoder: DualEncoder, scoring: str) -> None:
        super().__init__()
        if (encoder.config.scoring == "dot") != (scoring == "dot"):
            raise ConfigError(
                f"scoring is {scoring!r}, but the student's encoder scores by "
                f"{encoder.config.scoring}; set encoder.scoring, or start from another student"
            )
        self.encoder = encoder
        self.layer = ScoringLayer(scoring, vector=encoder.config.vector)

    def save(self, folder: Path) -> None:
        """The encoder as a retriever's folder; a network goes to scoring.safetensors beside it."""
        self.encoder.save(folder)
        if self.layer.net is not None:
            state = {name: t.detach().contiguous() for name, t in self.layer.state_dict().items()}
            folder.with_name(f"{folder.name}.scoring.safetensors").write_bytes(to_bytes(state))


@dataclass(frozen=True, slots=True)
class ListTable:
    """Mentions with candidates, ready for training; the true candidate comes first if there is one.

    An entity scores by its best surface, as in use, so a mention has one positive or none.
    """

    features: MentionFeatures
    gold: NDArray[np.int64]  # (n,) KB row, -1 for NIL
    exact: NDArray[np.int64]  # (n,) surface of the gold entity that the mention spells, or
    primary: NDArray[np.int64]  # (n,) its name; -1 for NIL
    rows: NDArray[np.int64]  # (n, k) KB rows of the candidates, -1 for padding
    teacher: NDArray[np.float32]  # (n, k) zero for padding

    def __len__(self) -> int:
        return len(self.gold)

    @classmethod
    def of(
        cls,
        model: DualEncoder,
        lists: Sequence[Candidates],
        logits: Sequence[NDArray[np.float32]],
        examples: Sequence[Example],
        entities: Sequence[Entity],
        *,
        width: int,
    ) -> ListTable:
        """``examples`` are those of the lists, perhaps labelled; at most ``width`` candidates."""
        n = len(lists)
        rows = np.full((n, width), -1, dtype=np.int64)
        teacher = np.zeros((n, width), dtype=np.float32)
        for i, (item, scores) in enumerate(zip(lists, logits, strict=True)):
            chosen = rows_of(item)[:width]
            rows[i, : len(chosen)] = chosen
            teacher[i, : len(chosen)] = scores[: len(chosen)]
        gold = np.asarray([c.gold for c in lists], dtype=np.int64)
        by_id = {entity.id: row for row, entity in enumerate(entities)}
        known = [e for c, e in zip(lists, examples, strict=True) if c.gold >= 0]
        surfaces = MentionTable.of(model, known, entities, by_id)
        exact, primary = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
        exact[gold >= 0], primary[gold >= 0] = surfaces.exact, surfaces.primary
        return cls(_features(model, examples), gold, exact, primary, rows, teacher)


def _features(model: DualEncoder, examples: Sequence[Example]) -> MentionFeatures:
    inputs = [mention_input(e.text, e.start, e.end, label=e.label) for e in examples]
    chunks = [inputs[i : i + _CHUNK] for i in range(0, max(1, len(inputs)), _CHUNK)]
    return join_mentions([model.mention_features(chunk) for chunk in chunks])


@dataclass(frozen=True, slots=True)
class Scores:
    """What the student says of a batch."""

    in_batch: Tensor  # the ordinary loss: softmax over all surfaces of the batch
    student: Tensor  # (n lists, k) scores of the candidates, an entity's best surface
    teacher: Tensor  # (n lists, k)
    is_candidate: Tensor  # (n lists, k)
    is_positive: Tensor  # (n lists, k)


def score_batch(
    student: Student,
    table: EntityTable,
    lists: ListTable,
    chosen: NDArray[np.int64],
    others: MentionTable | None,
    others_chosen: NDArray[np.int64],
    generator: np.random.Generator,
    *,
    unread: float = 0.0,
) -> Scores:
    """Score the chosen lists and, for the ordinary loss alone, some other mentions.

    The contexts of a share of the lists go ``unread``, and those of all the others.
    Every surface of every candidate is a column of the ordinary loss too: hard negatives.
    """
    batch = _gather(table, lists, chosen, others, others_chosen, generator)
    entity_features = table.take(batch.columns)
    hidden = generator.random(len(batch.columns)) < _NO_POPULARITY
    entity_features.numbers[hidden] = 0.0
    mentions = student.encoder.mention_vectors(
        read_in_part(batch.features, len(chosen), unread, generator)
    )
    entities = student.encoder.entity_vectors(entity_features)

    def there(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(mentions.device)

    known = batch.gold >= 0
    in_batch = mentions.sum() * 0.0
    if known.any():
        scores = student.encoder.log_scale.exp() * (mentions[there(known)] @ entities.T)
        owners = there(table.rows[batch.columns])
        in_batch = in_batch_softmax(scores, there(batch.gold[known]), owners)
    rows = lists.rows[chosen]
    pairs = student.layer(
        mentions[there(batch.where // rows.shape[1])], entities[there(batch.column)]
    )
    is_candidate = there(rows >= 0)
    return Scores(
        in_batch=in_batch,
        student=_best(pairs, there(batch.where), is_candidate),
        teacher=there(lists.teacher[chosen]),
        is_candidate=is_candidate,
        is_positive=there((rows >= 0) & (rows == lists.gold[chosen][:, None])),
    )


def read_in_part(
    features: MentionFeatures, n_lists: int, unread: float, generator: np.random.Generator
) -> MentionFeatures:
    """Of a share of the first mentions, and of all the others, no context is read."""
    if features.context is None:
        return features
    lengths = np.diff(features.context.offsets)
    kept = generator.random(len(features)) >= unread
    kept[n_lists:] = False
    offsets = np.concatenate(([0], np.cumsum(np.where(kept, lengths, 0))))
    ids = features.context.ids[np.repeat(kept, lengths)]
    return replace(features, context=Ragged(ids, offsets.astype(np.int64)))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Mentions, the surfaces that they are compared with, and the pairs of mention and surface."""

    features: MentionFeatures
    gold: NDArray[np.int64]  # (n,) KB row, -1 for NIL
    columns: NDArray[np.int64]  # surfaces: the gold ones of those that have one, then the rest
    where: NDArray[np.int64]  # (n pairs,) flat place of the candidate
    column: NDArray[np.int64]  # (n pairs,) its surface, as a place in ``columns``


def _gather(
    table: EntityTable,
    lists: ListTable,
    chosen: NDArray[np.int64],
    others: MentionTable | None,
    others_chosen: NDArray[np.int64],
    generator: np.random.Generator,
) -> _Batch:
    parts: list[tuple[ListTable | MentionTable, NDArray[np.int64]]] = [(lists, chosen)]
    if others is not None and len(others_chosen):
        parts.append((others, others_chosen))
    gold = np.concatenate([part.gold[some] for part, some in parts])
    exact = generator.random(len(gold)) < _EXACT
    spelt = np.concatenate([part.exact[some] for part, some in parts])
    primary = np.concatenate([part.primary[some] for part, some in parts])
    own = np.where(exact, spelt, primary)[gold >= 0]
    where, surfaces = surfaces_of(table, lists.rows[chosen])
    distinct, place = np.unique(surfaces, return_inverse=True)
    return _Batch(
        features=join_mentions([part.features.take(some) for part, some in parts]),
        gold=gold,
        columns=np.concatenate([own, distinct]),
        where=where,
        column=place + len(own),
    )


def surfaces_of(
    table: EntityTable, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All surfaces of all entities in ``rows`` (n, k): flat place of the entity, and surface."""
    places = np.flatnonzero(rows.ravel() >= 0)
    wanted = rows.ravel()[places]
    starts = np.searchsorted(table.rows, wanted)
    counts = np.searchsorted(table.rows, wanted, side="right") - starts
    firsts = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(firsts, counts)
    return np.repeat(places, counts), np.repeat(starts, counts) + within


def _best(pairs: Tensor, where: Tensor, is_candidate: Tensor) -> Tensor:
    """(n pairs,) scores of surfaces -> the greatest of each entity, zero for padding."""
    flat = pairs.new_full((is_candidate.numel(),), float("-inf"))
    best = flat.scatter_reduce(0, where, pairs, reduce="amax").view(is_candidate.shape)
    return best.masked_fill(~is_candidate, 0.0)


def level(student: Student, scores: Scores) -> Scores:
    """Scale and shift the student's scores so that they spread within a list as the teacher's do.

    And so that their mean is the teacher's: losses compare the two, and without this the first
    thousand steps would go into the scale alone. Done once, before the first step.
    """
    chosen = scores.is_candidate
    if not chosen.any():
        return scores
    layer = student.layer
    with torch.no_grad():
        ratio = _spread(scores.teacher, chosen) / _spread(scores.student, chosen).clamp_min(1e-6)
        scale = (layer.log_scale.exp() * ratio).clamp(*_SCALES)
        ratio = scale / layer.log_scale.exp()
        layer.log_scale.copy_(scale.log())
        before = layer.bias.clone()
        shift = (scores.teacher - ratio * (scores.student - before))[chosen].mean()
        layer.bias.copy_(shift)
    return replace(scores, student=ratio * (scores.student - before) + shift)


def _spread(values: Tensor, chosen: Tensor) -> Tensor:
    """Standard deviation of the chosen values of a row from that row's mean, over all rows."""
    kept = values.masked_fill(~chosen, 0.0)
    means = kept.sum(dim=1, keepdim=True) / chosen.sum(dim=1, keepdim=True).clamp_min(1)
    return (values - means)[chosen].square().mean().sqrt()
