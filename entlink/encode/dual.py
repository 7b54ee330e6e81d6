"""The compound dual encoder: a mention tower and an entity tower that meet only in a cosine.

Nested as in Gillick et al. (2019): contexts -> context; context + span + label -> mention;
description + types + popularity -> content; content + name -> entity. Both towers add a straight
path from the name, so that a name which is spelt alike is near from the first step of training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional

from entlink.encode.compound import (
    CompoundEncoder,
    Embedder,
    SparseEncoder,
    TextEncoder,
    hash_ids,
)
from entlink.encode.features import Bags, Ragged, featurise, join_bags, join_ragged
from entlink.errors import BundleError, ConfigError, reason
from entlink.inputs import EntityInput, MentionInput, entity_numbers

N_NUMBERS = 3  # what inputs.entity_numbers gives


@dataclass(frozen=True, slots=True)
class DualEncoderConfig:
    """Every size of the dual encoder."""

    table_rows: int = 1 << 17  # a power of two
    embedding: int = 96
    text: int = 200  # output of a text encoder
    hidden: int = 300
    vector: int = 128
    sparse_rows: int = 4096
    sparse: int = 50
    char_lengths: tuple[int, ...] = (3, 4)
    dropout: float = 0.1
    scoring: str = "cosine"  # or "dot": vectors keep their length

    def __post_init__(self) -> None:
        if self.table_rows < 1 or self.table_rows & (self.table_rows - 1):
            raise ConfigError(f"table_rows is {self.table_rows}; it must be a power of two")
        if any(length < 3 for length in self.char_lengths):
            raise ConfigError(f"char_lengths are {self.char_lengths}; each must be at least 3")
        if self.scoring not in ("cosine", "dot"):
            raise ConfigError(f"scoring is {self.scoring!r}; it must be 'cosine' or 'dot'")


@dataclass(frozen=True, slots=True)
class MentionFeatures:
    """The mention tower's input for n mentions."""

    span: Bags
    left: Bags
    right: Bags
    sentence: Bags
    label: Ragged

    def __len__(self) -> int:
        return len(self.span)

    def take(self, rows: NDArray[np.int64]) -> MentionFeatures:
        """The given mentions, in the given order."""
        return MentionFeatures(
            self.span.take(rows),
            self.left.take(rows),
            self.right.take(rows),
            self.sentence.take(rows),
            self.label.take(rows),
        )


def join_mentions(parts: Sequence[MentionFeatures]) -> MentionFeatures:
    """All mentions of the parts, one part after the other."""
    return MentionFeatures(
        join_bags([part.span for part in parts]),
        join_bags([part.left for part in parts]),
        join_bags([part.right for part in parts]),
        join_bags([part.sentence for part in parts]),
        join_ragged([part.label for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class EntityFeatures:
    """The entity tower's input for n (entity, surface) pairs."""

    name: Bags
    description: Bags
    types: Ragged
    numbers: NDArray[np.float32]  # (n, 3)

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: NDArray[np.int64]) -> EntityFeatures:
        """The given entities, in the given order."""
        return EntityFeatures(
            self.name.take(rows),
            self.description.take(rows),
            self.types.take(rows),
            self.numbers[rows],
        )


class DualEncoder(nn.Module):
    """Mentions and entities to unit vectors whose inner product is their cosine."""

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        c = self.config = config

        def text(kinds: int) -> TextEncoder:
            return TextEncoder(dim=c.embedding, kinds=kinds, out=c.text)

        def compound(parts: int, out: int) -> CompoundEncoder:
            return CompoundEncoder(parts=parts, hidden=c.hidden, out=out, dropout=c.dropout)

        self.embedder = Embedder(rows=c.table_rows, dim=c.embedding)
        self.name_text = text(3 if c.char_lengths else 2)  # of both towers
        self.context_text = text(2)
        self.description_text = text(2)
        self.labels = SparseEncoder(rows=64, dim=c.sparse, out=c.sparse)
        self.types = SparseEncoder(rows=c.sparse_rows, dim=c.sparse, out=c.sparse)
        self.context = compound(3 * c.text, c.text)
        self.mention = compound(2 * c.text + c.sparse, c.vector)
        self.content = compound(c.text + c.sparse + N_NUMBERS, c.text)
        self.entity = compound(2 * c.text, c.vector)
        self.name_path = nn.Linear(c.text, c.vector, bias=False)
        # of the score, in training; inner products are of the order of one by themselves
        self.log_scale = nn.Parameter(torch.tensor(3.0 if c.scoring == "cosine" else 0.0))

    def mention_features(self, mentions: Sequence[MentionInput]) -> MentionFeatures:
        """Hash the texts; no learnt part, so it can be done once before training."""
        rows, chars = self.config.table_rows, self.config.char_lengths
        return MentionFeatures(
            span=featurise([m.span for m in mentions], rows=rows, chars=chars),
            left=featurise([m.left for m in mentions], rows=rows),
            right=featurise([m.right for m in mentions], rows=rows),
            sentence=featurise([m.sentence for m in mentions], rows=rows),
            label=hash_ids([[m.label] for m in mentions], rows=64),
        )

    def entity_features(self, entities: Sequence[EntityInput]) -> EntityFeatures:
        """The same for entities."""
        rows, chars = self.config.table_rows, self.config.char_lengths
        return EntityFeatures(
            name=featurise([e.name for e in entities], rows=rows, chars=chars),
            description=featurise([e.description for e in entities], rows=rows),
            types=hash_ids([e.types for e in entities], rows=self.config.sparse_rows),
            numbers=np.asarray([entity_numbers(e) for e in entities], dtype=np.float32).reshape(
                -1, N_NUMBERS
            ),
        )

    def mention_vectors(self, features: MentionFeatures) -> Tensor:
        """(n mentions) -> (n, vector), unit length unless scored by inner product."""
        f = features
        name, *contexts = self.embedder([f.span, f.left, f.right, f.sentence])
        span = self.name_text(name)
        context = self.context([self.context_text(means) for means in contexts])
        mixed = self.mention([functional.gelu(context), span, self.labels(f.label)])
        return self._vectors(mixed + self.name_path(span))

    def entity_vectors(self, features: EntityFeatures) -> Tensor:
        """(n surfaces of entities) -> (n, vector), unit length unless scored by inner product."""
        f = features
        name_means, description_means = self.embedder([f.name, f.description])
        name = self.name_text(name_means)
        numbers = torch.from_numpy(f.numbers).to(name.device)
        description = self.description_text(description_means)
        content = self.content([description, self.types(f.types), numbers])
        mixed = self.entity([functional.gelu(content), name])
        return self._vectors(mixed + self.name_path(name))

    def _vectors(self, mixed: Tensor) -> Tensor:
        return functional.normalize(mixed, dim=1) if self.config.scoring == "cosine" else mixed

    @torch.inference_mode()
    def encode_mentions(self, mentions: Sequence[MentionInput]) -> NDArray[np.float32]:
        """Unit vectors of mentions, (n, vector), in evaluation mode."""
        self.eval()
        if not mentions:
            return np.zeros((0, self.config.vector), dtype=np.float32)
        return np.asarray(self.mention_vectors(self.mention_features(mentions)).cpu().numpy())

    @torch.inference_mode()
    def encode_entities(self, entities: Sequence[EntityInput]) -> NDArray[np.float32]:
        """Unit vectors of entities, (n, vector), in evaluation mode."""
        self.eval()
        if not entities:
            return np.zeros((0, self.config.vector), dtype=np.float32)
        return np.asarray(self.entity_vectors(self.entity_features(entities)).cpu().numpy())

    def save(self, folder: Path) -> None:
        """Write config.json and weights.safetensors; matrices as int8 with one scale a row."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=2, sort_keys=True)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        state: dict[str, Tensor] = {}
        for name, tensor in sorted(self.state_dict().items()):
            if tensor.dim() == 2:
                # 126.9 and not 127: the scale is rounded to a half before it divides
                scale = (tensor.abs().amax(dim=1) / 126.9).clamp_min(1e-7).half()
                rounded = (tensor / scale.float()[:, None]).round().clamp(-127, 127)
                state[name] = rounded.to(torch.int8).contiguous()
                state[name + _SCALE] = scale
            else:
                state[name] = tensor.float().contiguous()
        temporary = folder / ".weights.safetensors.tmp"
        temporary.write_bytes(to_bytes(state))  # with the usual mode; save_file lets only us read
        os.replace(temporary, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> DualEncoder:
        """Read what ``save`` wrote. Raises BundleError if it does not fit."""
        try:
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            raw["char_lengths"] = tuple(raw["char_lengths"])
            config = DualEncoderConfig(**raw)
            state = load_file(folder / "weights.safetensors")
            scales = {name: state.pop(name) for name in list(state) if name.endswith(_SCALE)}
            state = {name: tensor.float() for name, tensor in state.items()}
            for name, scale in scales.items():
                state[name.removesuffix(_SCALE)] *= scale.float()[:, None]
            model = cls(config)
            model.load_state_dict(state, assign=True)
        except (*_UNREADABLE, SafetensorError) as error:
            raise BundleError(
                f"{folder}: not a retriever of this version ({reason(error)}); make it again"
            ) from error
        return model.eval()


_UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError)
_SCALE = ".scale"  # after the name of a matrix
