"""All peers, for ``entlink benchmark --peers tests.peers.systems``."""

from __future__ import annotations

from tests.peers import light
from tests.peers.base import Base
from tests.peers.blink import Blink, BlinkBiEncoder
from tests.peers.recorded import recorded_peers
from tests.peers.spacy_linker import SpacyLinker
from tests.peers.zero_shot import ZeroShot


def peers(*, device: str, threads: int) -> list[Base]:
    """The quick ones first."""
    return [
        *light.peers(device=device, threads=threads),
        *recorded_peers(),
        SpacyLinker(device=device),
        ZeroShot(device=device),
        BlinkBiEncoder(device=device),
        Blink(device=device),
    ]
