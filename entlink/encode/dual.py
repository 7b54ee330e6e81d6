"""The dual encoder: a mention tower and an entity tower that meet only in a cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import Bert
from entlink.encode import saved
from entlink.encode.bag import N_LABELS, N_NUMBERS, BagEntities, BagMentions, bag_towers
from entlink.encode.batches import (
    BagWords,
    EntityFeatures,
    MentionFeatures,
    Words,
    join_mentions,
)
from entlink.encode.compound import hash_ids
from entlink.encode.config import BertReading, DualEncoderConfig
from entlink.encode.contextual import ContextReader
from entlink.encode.reader import Base, BertEntities, BertMentions, bert_towers, check_sizes
from entlink.inputs import EntityInput, MentionInput, entity_inputs, entity_numbers
from entlink.records import Entity

__all__ = [
    "BertReading",
    "DualEncoder",
    "DualEncoderConfig",
    "EntityFeatures",
    "MentionFeatures",
    "join_mentions",
]


class DualEncoder(nn.Module):
    """Mentions and entities to unit vectors whose inner product is their cosine."""

    def __init__(self, config: DualEncoderConfig, *, base: Base | None = None) -> None:
        """With fresh weights; those of BERT towers, and their tokenizer, come from ``base``.

        Without it the folder that the config names is read.
        """
        super().__init__()
        self.config = config
        if config.has_bert and base is None:
            base = Base.of(config)
        self.base = base
        self.mentions: BagMentions | BertMentions
        self.entities: BagEntities | BertEntities
        bags = bag_towers(config) if "bag" in _kinds(config) else None
        berts = None if base is None or "bert" not in _kinds(config) else bert_towers(config, base)
        for tower, kind in enumerate(_kinds(config)):
            pair = bags if kind == "bag" else berts
            assert pair is not None
            self.add_module(("mentions", "entities")[tower], pair[tower])
        self.reader: ContextReader | None = None
        if config.reads and base is not None:
            check_sizes(config, base.sizes)
            trunk = base.trunk if base.trunk is not None else Bert(base.sizes)
            marks = base.words.marks[2], base.words.marks[3]
            self.reader = ContextReader(trunk, marks=marks, vector=config.vector)
        # of the score, in training; inner products are of the order of one by themselves
        self.log_scale = nn.Parameter(torch.tensor(3.0 if config.scoring == "cosine" else 0.0))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_scale.device

    @property
    def mention_words(self) -> Words:
        """What makes texts ready for the mention tower."""
        return self._words(self.config.mention_kind)

    @property
    def entity_words(self) -> Words:
        """What makes texts ready for the entity tower."""
        return self._words(self.config.entity_encoder)

    def _words(self, kind: str) -> Words:
        if kind == "bag":
            return BagWords(self.config.table_rows, self.config.char_lengths)
        assert self.base is not None
        return self.base.words

    def mention_features(
        self, mentions: Sequence[MentionInput], *, read: bool = True
    ) -> MentionFeatures:
        """Hash or tokenise the texts; no learnt part, so it can be done once before training.

        Not to ``read`` leaves out what only a context reader needs.
        """
        hidden = {name: "" for name in self.config.without if name in _MENTION_TEXTS}
        if hidden:
            mentions = [replace(m, **hidden) for m in mentions]
        words = self.mention_words
        is_bag = self.config.mention_kind == "bag"  # the sequence of a BERT is left to right
        contexts = None
        if read and self.reader is not None and self.base is not None:
            contexts = self.base.words.contexts(mentions)
        return MentionFeatures(
            span=words.names([m.span for m in mentions]),
            left=words.prose([m.left for m in mentions]),
            right=words.prose([m.right for m in mentions]),
            sentence=words.prose([m.sentence if is_bag else "" for m in mentions]),
            label=hash_ids([[m.label] for m in mentions], rows=N_LABELS),
            context=contexts,
        )

    def entity_features(self, entities: Sequence[EntityInput]) -> EntityFeatures:
        """The same for entities."""
        hidden = self.config.without
        words = self.entity_words
        numbers = np.asarray([entity_numbers(e) for e in entities], dtype=np.float32)
        numbers = numbers.reshape(-1, N_NUMBERS)
        if "popularity" in hidden:
            numbers[:, :2] = 0.0
        if "degree" in hidden:
            numbers[:, 2] = 0.0
        return EntityFeatures(
            name=words.names([e.name for e in entities]),
            description=words.prose(
                ["" if "description" in hidden else e.description for e in entities]
            ),
            types=hash_ids(
                [() if "types" in hidden else e.types for e in entities],
                rows=self.config.sparse_rows,
            ),
            numbers=numbers,
        )

    def inputs_of(self, entity: Entity) -> list[EntityInput]:
        """One input for each vector that the entity is to have."""
        return entity_inputs(entity, self.config.views)

    def mention_vectors(self, features: MentionFeatures) -> Tensor:
        """(n mentions) -> (n, vector), unit length; with what was read, where that is given."""
        if self.reader is not None and features.context is not None:
            return self._bag_and_read(features)[1]
        vectors: Tensor = self.mentions(features)
        return vectors

    def _bag_and_read(self, features: MentionFeatures) -> tuple[Tensor, Tensor]:
        """The bag's unit vectors, and those with what the context reader adds."""
        assert isinstance(self.mentions, BagMentions)
        assert self.reader is not None and features.context is not None
        raw = self.mentions.raw(features)
        read = raw + self.reader(features.context)
        return functional.normalize(raw, dim=1), functional.normalize(read, dim=1)

    def entity_vectors(self, features: EntityFeatures) -> Tensor:
        """(n surfaces of entities) -> (n, vector), unit length."""
        vectors: Tensor = self.entities(features)
        return vectors

    def encode_mentions(self, mentions: Sequence[MentionInput]) -> NDArray[np.float32]:
        """Unit vectors of mentions, (n, vector), in evaluation mode."""
        return self.query_vectors(mentions)[1]

    @torch.inference_mode()
    def query_vectors(
        self, mentions: Sequence[MentionInput]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit vectors of mentions to search with, and those to rank with, (n, vector) each.

        In evaluation mode. They are the same, unless there is a context reader: search goes without
        what it adds.
        """
        self.eval()
        if not mentions:
            nothing = np.zeros((0, self.config.vector), dtype=np.float32)
            return nothing, nothing
        features = self.mention_features(mentions)
        if self.reader is None:
            vectors = np.asarray(self.mention_vectors(features).cpu().numpy())
            return vectors, vectors
        bag, read = self._bag_and_read(features)
        return np.asarray(bag.cpu().numpy()), np.asarray(read.cpu().numpy())

    @torch.inference_mode()
    def encode_entities(self, entities: Sequence[EntityInput]) -> NDArray[np.float32]:
        """Unit vectors of entities, (n, vector), in evaluation mode."""
        self.eval()
        if not entities:
            return np.zeros((0, self.config.vector), dtype=np.float32)
        return np.asarray(self.entity_vectors(self.entity_features(entities)).cpu().numpy())

    def count_tokens(self, entities: Sequence[EntityInput]) -> None:
        """Learn how rare each token is among these entities, for lexical enrichment.

        Where the entity tower is a bag, there is nothing to learn.
        """
        if isinstance(self.entities, BertEntities):
            self.entities.count_tokens(self.entity_features(entities))

    def save(self, folder: Path) -> None:
        """Write config.json and weights.safetensors; matrices as int8 with one scale a row.

        With a BERT tower also bert.json and tokenizer.json; its weights are kept in half precision.
        """
        saved.write(folder, self, self.config)
        if self.base is not None:
            saved.write_base(folder, self.base)

    @classmethod
    def load(cls, folder: Path) -> DualEncoder:
        """Read what ``save`` wrote, now or before; BundleError if it does not fit."""
        with saved.as_bundle_error(folder):
            config = saved.read_config(folder)
            base = saved.read_base(folder, config) if config.has_bert else None
            model = cls(config, base=base)
            saved.read_weights(folder, model, config)
        return model.eval()


def _kinds(config: DualEncoderConfig) -> tuple[str, str]:
    return config.mention_kind, config.entity_encoder


_MENTION_TEXTS = ("left", "right", "sentence", "label")
