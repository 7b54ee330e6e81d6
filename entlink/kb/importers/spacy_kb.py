"""spaCy's InMemoryLookupKB, as its `to_disk` writes it: ids, frequencies, aliases with priors."""

from __future__ import annotations

import math
import struct
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
    kb, frequencies = _open(path)
    try:
        yield from _records(path, kb, frequencies)
    except (KeyError, ValueError, OverflowError) as error:  # a number that means none of its texts
        raise _damaged(path, error) from None


def _records(path: Path, kb: Any, frequencies: dict[int, float]) -> Records:
    names: dict[str, list[tuple[float, str]]] = defaultdict(list)
    uses: dict[str, dict[str, int]] = {}
    for alias in sorted(kb.get_alias_strings()):
        shares = {c.entity_: float(c.prior_prob) for c in kb.get_alias_candidates(alias)}
        for id, share in shares.items():
            names[id].append((share, alias))
        uses[alias] = {id: round(_USES * share) for id, share in sorted(shares.items())}
        if rest := _USES - sum(uses[alias].values()):
            uses[alias][""] = max(0, rest)  # uses that mean none of its entities
    for id in sorted(kb.get_entity_strings()):
        ranked = sorted(names[id], key=lambda item: (-item[0], -len(item[1]), item[1]))
        own = [alias for _, alias in ranked] or [id]
        frequency = frequencies[kb.vocab.strings[id]]
        popularity = round(math.log10(1 + frequency), 3) if frequency > 0 else None
        yield f"{path}: {id}", Entity(id, own[0], tuple(own[1:]), popularity=popularity)
    for alias, counts in uses.items():
        yield f"{path}: {alias}", Uses(alias, counts)


def _open(path: Path) -> tuple[Any, dict[int, float]]:
    from spacy.kb import InMemoryLookupKB
    from spacy.vocab import Vocab

    if not (path / "contents").is_file():
        raise InputError(
            f"{path}: not a folder of spaCy's InMemoryLookupKB; name the one that its to_disk() "
            "wrote (in a pipeline: entity_linker/kb)"
        )
    try:
        frequencies = _frequencies((path / "contents").read_bytes())
    except (struct.error, ValueError, OSError) as error:
        raise _damaged(path, error) from None
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    try:
        kb.from_disk(path)
    except Exception as error:  # whatever its own reader meets
        raise _damaged(path, error) from None
    return kb, frequencies


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable InMemoryLookupKB ({reason(error)}); write it again")


def _frequencies(data: bytes) -> dict[int, float]:
    """The frequency of each entity by its hash; spaCy itself tells those that have an alias alone.

    Raises ValueError or struct.error where lengths or places do not fit: spaCy trusts them.

    The file is: numbers of entities and of a vector's elements; vectors; a hash, a frequency and
    the place of a vector for each entity; a number of aliases; for each a hash and a number of
    candidates, and for each of those the place of an entity, from 1, and a probability.
    """
    n_entities, n_elements = struct.unpack_from("=qq", data)
    entries = 16 + 4 * n_entities * n_elements
    at = entries + 16 * n_entities
    if not 0 <= n_entities <= len(data) or n_elements < 0 or at + 8 > len(data):
        raise ValueError(f"'contents' has {len(data):,} bytes, too few for its entities")
    frequencies: dict[int, float] = {}
    for hash, frequency, vector in struct.iter_unpack("=Qfi", data[entries:at]):
        frequencies[hash] = frequency
        if not math.isfinite(frequency) or not 0 <= vector < n_entities:
            raise ValueError("'contents' holds a frequency or a place that cannot be")
    (n_aliases,) = struct.unpack_from("=q", data, at)
    at += 8
    for _ in range(n_aliases):
        _, n_candidates = struct.unpack_from("=Qq", data, at)
        at, start = at + 16 + 12 * n_candidates, at + 16
        if n_candidates < 0 or at > len(data):
            raise ValueError("'contents' ends before its aliases do")
        for place, share in struct.iter_unpack("=qf", data[start:at]):
            if not 1 <= place <= n_entities or not 0 <= share <= 1.001:
                raise ValueError("'contents' holds a candidate or a probability that cannot be")
    if n_aliases < 0 or at != len(data):
        raise ValueError(f"'contents' has {len(data) - at:,} bytes more than it says")
    return frequencies
