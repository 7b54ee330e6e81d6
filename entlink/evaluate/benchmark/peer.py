"""What a system must offer to be measured beside entlink, and how a user's own are found."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from entlink.errors import InputError, reason
from entlink.kb.store import KnowledgeBase
from entlink.records import Document

MAX_CANDIDATES = 100


class Kind(Enum):
    """What a system is given."""

    GIVEN = "given"  # the gold mentions
    SAMPLED = "sampled"  # of them a fixed sample, since each takes it long
    FINDS = "finds"  # bare texts: it finds the mentions itself, counted are the gold ones


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system says of one mention."""

    rows: NDArray[np.int64]  # (k,) KB rows of what it retrieved, best first, k <= MAX_CANDIDATES
    top: str | None  # the id of its best entity after all stages; None: it has none
    n_pairs: int = 0  # mention and entity pairs that a cross-encoder read


class Peer(Protocol):
    """A system, made cheaply; what is slow is done in ``prepare``, when its results are needed."""

    @property
    def name(self) -> str:
        """As the report calls it; its results lie in a folder of that name."""
        ...

    @property
    def about(self) -> str:
        """What it is, in some words."""
        ...

    @property
    def kind(self) -> Kind:
        """What it is given."""
        ...

    @property
    def is_retriever(self) -> bool:
        """Is it measured where only retrieval is, over the larger KB?"""
        ...

    @property
    def is_timed(self) -> bool:
        """False for answers that were recorded elsewhere."""
        ...

    @property
    def sets(self) -> Collection[str] | None:
        """The sets for which it has answers; None: all."""
        ...

    def settings(self) -> Mapping[str, object]:
        """JSON values that tell its results from those of other settings, weights or code."""
        ...

    def prepare(self, kb: KnowledgeBase) -> None:
        """Get ready to answer over ``kb``. Raises EntlinkError if something that it needs lacks."""
        ...

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        """For each document the answers for its mentions, in their order."""
        ...


def load_peers(module: str, *, device: str, threads: int) -> list[Peer]:
    """What ``peers(device=..., threads=...)`` of a module gives; the working folder is searched.

    Raises InputError if there is no such module or function, or two peers have one name.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        made: list[Peer] = list(
            importlib.import_module(module).peers(device=device, threads=threads)
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"module {module!r} of peers cannot be imported ({reason(error)}); run where it can be "
            "found, with what it needs installed"
        ) from error
    except AttributeError as error:
        raise InputError(
            f"module {module!r} gives no peers ({reason(error)}); write in it a function "
            "peers(*, device, threads) that returns them"
        ) from error
    names = [peer.name for peer in made]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"module {module!r}: two peers are called {min(twice)!r}; rename one")
    return made
