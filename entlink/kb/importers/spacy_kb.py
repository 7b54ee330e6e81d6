"""spaCy's InMemoryLookupKB, as its `to_disk` writes it: ids, frequencies, aliases with priors."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from entlink.errors import InputError, reason
from entlink.kb.importers.records import OnBad, Records, Uses
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

_USES = 100  # it has shares of uses, not numbers: as many uses of each alias are assumed


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Its entities, then the uses of its aliases.

    It knows no names: an entity's name is the alias that means it most surely (of equal ones the
    longest), and its id where it has no alias.
    """
    kb = _open(path)
    names: dict[str, list[tuple[float, str]]] = defaultdict(list)
    uses: dict[str, dict[str, int]] = {}
    for alias in sorted(kb.get_alias_strings()):
        shares = {c.entity_: float(c.prior_prob) for c in kb.get_alias_candidates(alias)}
        for id, share in shares.items():
            names[id].append((share, alias))
        uses[alias] = {id: round(_USES * share) for id, share in sorted(shares.items())}
        if rest := _USES - sum(uses[alias].values()):
            uses[alias][""] = max(0, rest)  # uses that mean none of its entities
    frequencies = {c.entity_: c.entity_freq for a in uses for c in kb.get_alias_candidates(a)}
    for id in sorted(kb.get_entity_strings()):
        ranked = sorted(names[id], key=lambda item: (-item[0], -len(item[1]), item[1]))
        own = [alias for _, alias in ranked] or [id]
        frequency = frequencies.get(id, 0.0)
        popularity = round(math.log10(1 + frequency), 3) if frequency > 0 else None
        yield f"{path}: {id}", Entity(id, own[0], tuple(own[1:]), popularity=popularity)
    for alias, counts in uses.items():
        yield f"{path}: {alias}", Uses(alias, counts)


def _open(path: Path) -> Any:
    from spacy.kb import InMemoryLookupKB
    from spacy.vocab import Vocab

    if not (path / "contents").is_file():
        raise InputError(
            f"{path}: not a folder of spaCy's InMemoryLookupKB; name the one that its to_disk() "
            "wrote (in a pipeline: entity_linker/kb)"
        )
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    try:
        kb.from_disk(path)
    except Exception as error:  # whatever its own reader meets
        raise InputError(
            f"{path}: not a readable InMemoryLookupKB ({reason(error)}); write it again"
        ) from None
    return kb
