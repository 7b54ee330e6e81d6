"""Towers that are a BERT: one sequence a mention, one a surface of an entity.

To what the BERT makes of the text comes what is no text, the label or types and popularity, through
a layer that begins at zero: before training the vectors are the base model's own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import Bert, BertConfig, load_bert
from entlink.encode.bag import N_LABELS, N_NUMBERS
from entlink.encode.batches import EntityFeatures, MentionFeatures
from entlink.encode.compound import SparseEncoder
from entlink.encode.config import DualEncoderConfig
from entlink.encode.tokens import N_MARKS, BertWords, padded
from entlink.errors import ConfigError

_GROUP = 64  # sequences of like length that are read together


@dataclass(frozen=True, slots=True)
class Base:
    """What BERT towers are made from: sizes, weights if there are any, and the tokenizer."""

    sizes: BertConfig
    words: BertWords
    trunk: Bert | None = None

    @classmethod
    def of(cls, config: DualEncoderConfig) -> Base:
        """From the Hugging Face folder that the config names."""
        folder = config.bert.base
        if folder is None:
            raise ConfigError("bert.base is missing; name the Hugging Face folder to begin with")
        trunk = load_bert(folder)
        return cls(trunk.config, BertWords.read(folder, config.bert), trunk)


class TokenWeights(nn.Module):
    """How much each token counts in lexical enrichment: its IDF over the knowledge base."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.idf = nn.Parameter(torch.ones(n), requires_grad=False)

    def count(self, sequences: Sequence[Sequence[int]], *, marks: Sequence[int]) -> None:
        """Set them to log(n / (1 + df)) over the sequences, at least zero; marks to zero."""
        df = np.zeros(len(self.idf), dtype=np.int64)
        for ids in sequences:
            df[list(set(ids))] += 1
        idf = np.maximum(0.0, np.log(max(1, len(sequences)) / (1.0 + df)))
        idf[list(marks)] = 0.0
        self.idf.copy_(torch.from_numpy(idf))


class BertText(nn.Module):
    """Sequences of tokens to vectors: pooled and projected."""

    def __init__(
        self, bert: Bert, project: nn.Module, weights: TokenWeights, *, pooling: str
    ) -> None:
        super().__init__()
        self.bert = bert
        self.project = project
        self.weights = weights
        self._pooling = pooling

    def forward(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(n sequences) -> (n, vector). Padding changes nothing; like lengths go together."""
        device = self.weights.idf.device
        order = np.argsort([len(ids) for ids in sequences], kind="stable")
        parts = []
        for begin in range(0, len(order), _GROUP):
            some = [sequences[i] for i in order[begin : begin + _GROUP]]
            ids, is_token = (torch.from_numpy(array).to(device) for array in padded(some))
            parts.append(self._pooled(ids, is_token))
        back = torch.from_numpy(np.argsort(order)).to(device)
        return cast(Tensor, self.project(torch.cat(parts)[back]))

    def _pooled(self, ids: Tensor, is_token: Tensor) -> Tensor:
        segments = torch.zeros_like(ids)
        if self._pooling == "cls":
            return cast(Tensor, self.bert(ids, segments, is_token, n_asked=1)[:, 0])
        found = self.bert(ids, segments, is_token) * is_token[:, :, None]
        return cast(Tensor, found.sum(dim=1) / is_token.sum(dim=1, keepdim=True))

    def lexical(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """The IDF-weighted sums of the tokens' own embeddings, projected: (n, vector)."""
        idf = self.weights.idf
        ids = torch.tensor([i for sequence in sequences for i in sequence], device=idf.device)
        starts = np.cumsum([0, *(len(sequence) for sequence in sequences)])[:-1]
        embeddings = self.bert.embeddings.word_embeddings
        summed = functional.embedding_bag(
            ids,
            embeddings.weight,
            torch.from_numpy(starts).to(idf.device),
            mode="sum",
            per_sample_weights=idf[ids],
        )
        return cast(Tensor, self.project(summed))


class _BertTower(nn.Module):
    def __init__(self, text: BertText, words: BertWords, side: nn.Linear, *, lam: float) -> None:
        super().__init__()
        self.text = text
        self.side = side
        nn.init.zeros_(side.weight)
        self._words = words
        self._lambda = lam

    def _unit(self, sequences: list[list[int]], beside: Tensor) -> Tensor:
        """Unit vectors; with enrichment e' = e + lambda * s (Ram et al. 2022), made unit again.

        s is the normalised IDF-weighted sum of the input's token embeddings.
        """
        vectors = functional.normalize(self.text(sequences) + self.side(beside), dim=1)
        if not self._lambda:
            return vectors
        lexical = functional.normalize(self.text.lexical(sequences), dim=1)
        return functional.normalize(vectors + self._lambda * lexical, dim=1)


class BertMentions(_BertTower):
    """Mentions to unit vectors."""

    def __init__(self, text: BertText, words: BertWords, c: DualEncoderConfig) -> None:
        side = nn.Linear(c.sparse, c.vector, bias=False)
        super().__init__(text, words, side, lam=c.bert.enrichment)
        self.labels = SparseEncoder(rows=N_LABELS, dim=c.sparse, out=c.sparse)

    def forward(self, features: MentionFeatures) -> Tensor:
        """(n mentions) -> (n, vector), unit length."""
        sequences = self._words.mention_sequences(features)
        return self._unit(sequences, self.labels(features.label))


class BertEntities(_BertTower):
    """Surfaces of entities to unit vectors."""

    def __init__(self, text: BertText, words: BertWords, c: DualEncoderConfig) -> None:
        side = nn.Linear(c.sparse + N_NUMBERS, c.vector, bias=False)
        super().__init__(text, words, side, lam=c.bert.enrichment)
        self.types = SparseEncoder(rows=c.sparse_rows, dim=c.sparse, out=c.sparse)

    def forward(self, features: EntityFeatures) -> Tensor:
        """(n surfaces of entities) -> (n, vector), unit length."""
        numbers = torch.from_numpy(features.numbers).to(self.side.weight.device)
        beside = torch.cat([self.types(features.types), numbers], dim=1)
        return self._unit(self._words.entity_sequences(features), beside)

    def count_tokens(self, features: EntityFeatures) -> None:
        """Learn from these entities which tokens are rare."""
        sequences = self._words.entity_sequences(features)
        self.text.weights.count(sequences, marks=self._words.marks)


def bert_towers(c: DualEncoderConfig, base: Base) -> tuple[BertMentions, BertEntities]:
    """Both towers from one base; what they share stands in both as the same module."""
    check_sizes(c, base.sizes)
    first = base.trunk if base.trunk is not None else Bert(base.sizes)
    second = first if c.sharing in ("deer", "sde") else copy.deepcopy(first)
    if c.sharing in ("ade-ste", "ade-fte"):
        shared = first.embeddings.word_embeddings
        second.embeddings.word_embeddings = shared
        shared.requires_grad_(c.sharing == "ade-ste")
    projections = [_projection(c, base.sizes) for _ in range(2)]
    if c.sharing in ("sde", "ade-spl"):
        projections[1] = projections[0]
    elif c.bert.project:  # both begin alike, so that before training like texts are near
        projections[1].load_state_dict(projections[0].state_dict())
    weights = TokenWeights(base.sizes.vocab_size)
    texts = [
        BertText(bert, project, weights, pooling=c.bert.pooling)
        for bert, project in zip((first, second), projections, strict=True)
    ]
    return BertMentions(texts[0], base.words, c), BertEntities(texts[1], base.words, c)


def _projection(c: DualEncoderConfig, sizes: BertConfig) -> nn.Module:
    if not c.bert.project:
        return nn.Identity()
    layer = nn.Linear(sizes.hidden_size, c.vector, bias=False)
    nn.init.normal_(layer.weight, std=1 / math.sqrt(sizes.hidden_size))  # keeps cosines, roughly
    return layer


def check_sizes(c: DualEncoderConfig, sizes: BertConfig) -> None:
    """ConfigError if the BERT is too small for the sequences, or for vectors of its own size."""
    n_entity = 0 if c.reads else c.bert.entity_tokens
    longest = max(c.bert.mention_tokens, n_entity) + N_MARKS
    if longest > sizes.max_position_embeddings:
        raise ConfigError(
            f"sequences of {longest} tokens do not fit a BERT of {sizes.max_position_embeddings}; "
            "give a smaller bert.mention_tokens and bert.entity_tokens"
        )
    if not c.reads and not c.bert.project and c.vector != sizes.hidden_size:
        raise ConfigError(
            f"vector is {c.vector}, but without bert.project it is BERT's own size; "
            f"write {sizes.hidden_size}"
        )
