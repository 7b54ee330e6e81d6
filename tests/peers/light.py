"""The peers that need no weights, for ``entlink benchmark --peers tests.peers.light``."""

from __future__ import annotations

from tests.peers.base import Base
from tests.peers.names import name_peers
from tests.peers.sparse import Bm25, CharacterTfidf


def peers(*, device: str, threads: int) -> list[Base]:
    """Baselines of names, letters and words."""
    return [*name_peers(), CharacterTfidf(), Bm25(threads=threads)]
