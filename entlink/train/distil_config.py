"""The settings of distillation."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

from entlink.encode.dual import DualEncoderConfig
from entlink.errors import ConfigError
from entlink.train.distil_losses import LOSSES
from entlink.train.distil_scores import BACKENDS
from entlink.train.distil_student import SCORINGS
from entlink.train.reranker_config import RerankerTraining

NONE = "none"  # the loss of a student that learns from labels alone


@dataclass(frozen=True, slots=True)
class DistilTraining:
    """The config file of ``entlink distill``."""

    kb: Path
    teacher: Path  # the folder of a reranker
    retrievers: tuple[Path, ...]  # find the candidates; number i was trained without fold i
    mentions: tuple[Path, ...]
    out: Path  # the student, a retriever's folder
    scores: Path  # a folder where candidates and the teacher's scores are kept
    student: Path | None = None  # the retriever that goes on learning; None: a fresh ``encoder``
    reader: Path | None = None  # a BERT that the student gets, to read contexts (bag+bert)
    embeddings: Path | None = None  # a retriever whose token embeddings a fresh one begins with
    dev: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()  # measured beside dev, and used for nothing else
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts, to learn from both
    calibration: Path | None = None  # config of ``train calibration``, for accuracy at the end
    detector: Path | None = None  # labels the mentions as they will be in use
    loss: str = "m3se"  # or mse, margin_mse, softmax, rankdistil_b, none
    weight: float = 0.5  # of the teacher in the loss; the rest is the labels'
    temperature: float = 4.0  # the teacher's scores are divided by it
    scoring: str = "cosine"  # or dot, mlp
    backend: str = "auto"  # what computes the teacher: torch, bf16, openvino
    relations: Path | None = None  # of these, mentions are composed
    relation_sources: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()  # texts in which ambiguous names are looked for
    n_labelled: int = 0  # so many of the mentions, drawn; 0: all
    n_distant: int = 0
    n_ambiguous: int = 0
    n_matches: int = 0
    n_adjectives: int = 0
    n_rivals: int = 0
    n_reports: int = 0
    n_composed: int = 40_000  # further mentions for the ordinary loss alone
    n_aliases: int = 40_000
    hold_out: int = 16  # one document in so many is left for calibration
    pool: int = 24  # candidates that the teacher scores
    n_candidates: int = 16  # of them the student learns from so many, and from the true one
    nil_share: float = 0.2
    leave_out_entities: int = 0  # one entity in so many is never trained on
    batch_size: int = 96  # lists
    others: int = 96  # and so many mentions for the ordinary loss alone
    epochs: float = 2.0
    learning_rate: float = 1e-3
    reader_rate: float = 1e-4  # the learning rate of the reader's BERT
    unread: float = 0.2  # share of the lists whose context is not read: search goes without
    bf16: bool = False  # the reader's products in bfloat16
    weight_decay: float = 0.0
    checkpoint_every: int = 200  # steps
    n_probed: int = 2000  # mentions of training and as many of held-out documents are measured
    device: str = "auto"  # of the student: a GPU if there is one
    seed: int = 0
    encoder: DualEncoderConfig = field(default_factory=DualEncoderConfig)

    def __post_init__(self) -> None:
        known = {"loss": (NONE, *LOSSES), "scoring": SCORINGS, "backend": BACKENDS}
        for name, allowed in known.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}"
                )
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"weight is {self.weight}; it must be from 0 to 1")
        for name in ("temperature", "pool", "n_candidates", "batch_size"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be greater than 0")


def mining_of(config: DistilTraining) -> RerankerTraining:
    """The candidates are mined as for the reranker's training."""
    return RerankerTraining(
        kb=config.kb,
        base=config.teacher,
        retrievers=config.retrievers,
        mentions=config.mentions,
        out=config.out,
        relations=config.relations,
        relation_sources=config.relation_sources,
        unlabelled=config.unlabelled,
        n_labelled=config.n_labelled,
        n_distant=config.n_distant,
        n_ambiguous=config.n_ambiguous,
        n_matches=config.n_matches,
        n_adjectives=config.n_adjectives,
        n_rivals=config.n_rivals,
        n_reports=config.n_reports,
        hold_out=config.hold_out,
        pool=config.pool,
        nil_share=config.nil_share,
    )  # its seed is always the same, so that students of all seeds share the scores


def is_left_out(entity: str, one_in: int) -> bool:
    """Is it one of the entities that are never trained on?"""
    return one_in > 0 and zlib.crc32(entity.encode()) % one_in == 0
