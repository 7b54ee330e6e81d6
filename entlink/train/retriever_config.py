"""The config file of ``entlink train retriever``."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

from entlink.encode.config import DualEncoderConfig
from entlink.errors import ConfigError

LOSSES = ("softmax", "triplet")


def is_hidden(id: str, one_in: int) -> bool:
    """Is this entity one of those that are unknown in training? Always the same ones are."""
    return one_in > 0 and zlib.crc32(id.encode()) % one_in == 0


@dataclass(frozen=True, slots=True)
class RetrieverTraining:
    """What to train on, for how long, and what the encoder is like."""

    kb: Path
    out: Path
    mentions: tuple[Path, ...]
    dev: tuple[Path, ...] = ()
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts, to learn from both
    questions: tuple[Path, ...] = ()  # files whose texts ask for their entity, without its span
    detector: Path | None = None  # labels the mentions as they will be in use
    relations: Path | None = None
    relation_sources: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()  # texts in which names beside related ones are found
    n_distant: int = 0  # so many of these mentions, drawn
    n_composed: int = 80_000
    n_aliases: int = 80_000
    noise: bool = True  # typing errors and other case in composed sentences and aliases
    n_matches: int = 0  # reports of matches, composed of the teams in relations
    n_adjectives: int = 0  # sentences with adjectives of countries
    n_folds: int = 0  # with leave_out: train without that fold of the documents
    leave_out: int = -1
    hidden: int = 0  # one entity in so many is unknown to it, as if it had been added afterwards
    rounds: int = 3  # the first without hard negatives
    first_epochs: int = 2
    round_epochs: int = 1
    patience: int = 0  # stop after so many evaluations (one an epoch) without gain; 0: never
    batch_size: int = 384
    n_negatives: int = 4  # hard ones of a mention in a batch, of its ten nearest wrong entities
    only_above: bool = False  # of which only those count that are nearer than the gold one
    loss: str = "softmax"  # or "triplet"
    margin: float = 0.2  # of the triplet loss, in cosines
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    bf16: bool = False
    device: str = "auto"  # a GPU if there is one
    embeddings: Path | None = None  # a trained retriever; its token embeddings are begun with
    keep_rounds: bool = False  # also write each round's encoder, to out.round0 and so on
    seed: int = 0
    encoder: DualEncoderConfig = field(default_factory=DualEncoderConfig)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ConfigError(f"loss is {self.loss!r}; it must be one of {', '.join(LOSSES)}")
        if self.patience and not self.dev:
            raise ConfigError("patience needs mentions to stop by; name files in dev")
        if self.patience < 0:
            raise ConfigError(f"patience is {self.patience}; it must be 0 or more")
