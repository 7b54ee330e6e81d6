"""What is added to the cosine: a sparse score and the alias prior (Luan et al. 2021, section 6).

    score = cosine + bm25 * BM25(span, names and description) + prior * P(entity | span)

An optional file ``retrieval.json`` of a bundle sets the weights; they are to be tuned on dev.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from entlink.config import from_mapping
from entlink.errors import BundleError, ConfigError, reason
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.sparse import Bm25

FILE = "retrieval.json"


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How candidates are found and put in order."""

    bm25: float = 0.0  # weight; 0: candidates come from vectors (and names) alone
    prior: float = 0.0  # weight of the share of this name's uses that mean the entity
    aliases: bool = True  # are those that bear the very name always among the candidates?

    def __post_init__(self) -> None:
        for name in ("bm25", "prior"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more")

    @property
    def is_plain(self) -> bool:
        """Is the score just the cosine?"""
        return not self.bm25 and not self.prior

    def save(self, folder: Path) -> None:
        """Write retrieval.json."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> RetrievalConfig:
        """What ``save`` wrote; the usual where there is no such file. BundleError for another."""
        path = folder / FILE
        if not path.exists():
            return cls()
        try:
            return from_mapping(cls, json.loads(path.read_text(encoding="utf-8")), where=FILE)
        except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
            raise BundleError(
                f'{path}: not the settings of a retriever ({reason(error)}); write {{"bm25": 0.01}}'
            ) from error


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The weights, and the index that they need."""

    config: RetrievalConfig
    bm25: Bm25 | None = None

    @classmethod
    def of(cls, config: RetrievalConfig, kb: KnowledgeBase) -> Hybrid:
        """With an index in memory, if one is needed."""
        return cls(config, Bm25.of_kb(kb) if config.bm25 else None)

    @classmethod
    def open(cls, config: RetrievalConfig, kb: KnowledgeBase, cache: Path) -> Hybrid:
        """With an index that is made once for a knowledge base and kept in the cache folder."""
        if not config.bm25:
            return cls(config)
        folder = cache / f"bm25-{kb.base.digest[:32]}"
        if not folder.is_dir():
            _make(folder, kb)
        try:
            return cls(config, Bm25.open(folder))
        except BundleError:  # damaged
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, kb)
            return cls(config, Bm25.open(folder))


def _make(folder: Path, kb: KnowledgeBase) -> None:
    """In a folder of our own, then renamed: of two processes that start at once, one wins."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        Bm25.of_kb(kb).save(made)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
