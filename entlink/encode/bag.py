"""Towers of bags of n-grams: the compound encoders of Gillick et al. (2019), nested.

contexts -> context; context + span + label -> mention; description + types + popularity -> content;
content + name -> entity. Both towers add a straight path from the name, so that a name which is
spelt alike is near from the first step of training.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from entlink.encode.batches import EntityFeatures, MentionFeatures
from entlink.encode.compound import CompoundEncoder, Embedder, SparseEncoder, TextEncoder
from entlink.encode.config import DualEncoderConfig
from entlink.encode.features import Bags

N_LABELS = 64  # rows for the recogniser's labels
N_NUMBERS = 3  # what inputs.entity_numbers gives


class BagMentions(nn.Module):
    """Mentions to unit vectors."""

    def __init__(
        self,
        embedder: Embedder,
        name_text: TextEncoder,
        context_text: TextEncoder,
        labels: SparseEncoder,
        context: CompoundEncoder,
        mention: CompoundEncoder,
        name_path: nn.Linear,
        *,
        is_unit: bool,
    ) -> None:
        super().__init__()
        self.embedder = embedder
        self.name_text = name_text
        self.context_text = context_text
        self.labels = labels
        self.context = context
        self.mention = mention
        self.name_path = name_path
        self.is_unit = is_unit

    def forward(self, features: MentionFeatures) -> Tensor:
        """(n mentions) -> (n, vector), unit length unless scored by inner product."""
        vectors = self.raw(features)
        return functional.normalize(vectors, dim=1) if self.is_unit else vectors

    def raw(self, features: MentionFeatures) -> Tensor:
        """The same with its own length."""
        f = features
        texts = [cast(Bags, t) for t in (f.span, f.left, f.right, f.sentence)]
        name, *contexts = self.embedder(texts)
        span = self.name_text(name)
        context = self.context([self.context_text(means) for means in contexts])
        mixed = self.mention([functional.gelu(context), span, self.labels(f.label)])
        vectors: Tensor = mixed + self.name_path(span)
        return vectors


class BagEntities(nn.Module):
    """Surfaces of entities to unit vectors."""

    def __init__(
        self,
        embedder: Embedder,
        name_text: TextEncoder,
        description_text: TextEncoder,
        types: SparseEncoder,
        content: CompoundEncoder,
        entity: CompoundEncoder,
        name_path: nn.Linear,
        *,
        is_unit: bool,
    ) -> None:
        super().__init__()
        self.embedder = embedder
        self.name_text = name_text
        self.description_text = description_text
        self.types = types
        self.content = content
        self.entity = entity
        self.name_path = name_path
        self.is_unit = is_unit

    def forward(self, features: EntityFeatures) -> Tensor:
        """(n surfaces of entities) -> (n, vector), unit length unless scored by inner product."""
        f = features
        texts = [cast(Bags, t) for t in (f.name, f.description)]
        name_means, description_means = self.embedder(texts)
        name = self.name_text(name_means)
        numbers = torch.from_numpy(f.numbers).to(name.device, non_blocking=True)
        description = self.description_text(description_means)
        content = self.content([description, self.types(f.types), numbers])
        mixed = self.entity([functional.gelu(content), name])
        vectors = mixed + self.name_path(name)
        return functional.normalize(vectors, dim=1) if self.is_unit else vectors


def bag_towers(c: DualEncoderConfig) -> tuple[BagMentions, BagEntities]:
    """Both towers with fresh weights; what they share stands in both as the same module."""

    def text(kinds: int) -> TextEncoder:
        return TextEncoder(dim=c.embedding, kinds=kinds, out=c.text)

    def compound(parts: int, out: int) -> CompoundEncoder:
        return CompoundEncoder(parts=parts, hidden=c.hidden, out=out, dropout=c.dropout)

    def name_text() -> TextEncoder:
        return text(3 if c.char_lengths else 2)

    # what both may have comes first and each part is drawn in one fixed order, so that a seed gives
    # the same weights whatever is added to the other schemes
    embedder = Embedder(rows=c.table_rows, dim=c.embedding)
    names = name_text()
    context_text = text(2)
    description_text = context_text if c.sharing == "sde" else text(2)
    labels = SparseEncoder(rows=N_LABELS, dim=c.sparse, out=c.sparse)
    types = SparseEncoder(rows=c.sparse_rows, dim=c.sparse, out=c.sparse)
    context = compound(3 * c.text, c.text)
    mention = compound(2 * c.text + c.sparse, c.vector)
    content = compound(c.text + c.sparse + N_NUMBERS, c.text)
    entity = compound(2 * c.text, c.vector)
    path = nn.Linear(c.text, c.vector, bias=False)
    is_ade = c.sharing.startswith("ade")
    if c.sharing in ("sde", "ade-spl"):
        entity.second = mention.second
    own_embedder = c.sharing in ("ade", "ade-spl")
    is_unit = c.scoring == "cosine"
    own_path = is_ade and c.sharing != "ade-spl"
    if c.sharing == "ade-fte":
        embedder.requires_grad_(False)
    entity_embedder = Embedder(rows=c.table_rows, dim=c.embedding) if own_embedder else embedder
    entity_names = name_text() if is_ade else names
    entity_path = nn.Linear(c.text, c.vector, bias=False) if own_path else path
    own = (embedder, names, context_text, labels, context, mention, path)
    its = (entity_embedder, entity_names, description_text, types, content, entity, entity_path)
    return BagMentions(*own, is_unit=is_unit), BagEntities(*its, is_unit=is_unit)
