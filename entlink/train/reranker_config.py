"""The settings of the reranker's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from entlink.rerank.cross_encoder import PairConfig
from entlink.train.student import StudentConfig


@dataclass(frozen=True, slots=True)
class RerankerTraining:
    """The config file of ``entlink train reranker``."""

    kb: Path
    base: Path  # a Hugging Face BERT folder
    retrievers: tuple[Path, ...]  # number i was trained without fold i of len(retrievers)
    mentions: tuple[Path, ...]
    out: Path
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts
    n_labelled: int = 0  # so many of the mentions, drawn; 0: all
    relations: Path | None = (
        None  # of these, mentions of ambiguous names are made (train/distant.py):
    )
    relation_sources: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()  # texts in which they are looked for
    n_distant: int = 0  # so many of those found, drawn; 0: all
    n_ambiguous: int = 0  # and so many that are composed
    n_matches: int = 0  # reports of matches, composed of the teams in relations
    n_adjectives: int = 0  # sentences with adjectives of countries
    n_rivals: int = 0  # mentions in texts where one name means two entities
    n_reports: int = 0  # mentions in whole news reports, composed (train/reports.py)
    hold_out: int = 16  # one document in so many is left for calibration
    vocabulary: int = 11_000
    positions: int = 128  # the longest pair in tokens
    n_wrong: int = 5  # wrong candidates in a list
    pool: int = 24  # they are drawn from so many of the best
    nil_share: float = 0.2  # lists without a right answer, for each list with one
    loss: str = "list"  # or "binary"
    batch_size: int = 8  # lists
    epochs: float = 1.0
    learning_rate: float = 6e-5
    bf16: bool = True
    device: str = "auto"  # a GPU if there is one
    seed: int = 0
    pair: PairConfig = field(default_factory=PairConfig)
    # not in repr(), so that checkpoints of runs without it go on
    student: StudentConfig | None = field(default=None, repr=False)
