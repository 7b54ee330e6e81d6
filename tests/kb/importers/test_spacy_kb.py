"""spaCy's InMemoryLookupKB against what was put into one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from spacy.kb import InMemoryLookupKB
from spacy.vocab import Vocab

from entlink.errors import InputError
from entlink.kb.build import build_from
from entlink.kb.importers import read_source
from entlink.kb.importers.records import Uses
from entlink.kb.scratch import Source
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity


def test_its_names_and_priors(tmp_path: Path) -> None:
    theirs = InMemoryLookupKB(Vocab(), entity_vector_length=3)
    for id, freq in (("Q1", 99), ("Q2", 9), ("Q3", 0), ("Q4", 999)):
        theirs.add_entity(entity=id, freq=freq, entity_vector=[1, 2, 3])
    theirs.add_alias(alias="Adams", entities=["Q1", "Q2"], probabilities=[0.5, 0.25])
    theirs.add_alias(alias="Douglas Adams", entities=["Q1"], probabilities=[1.0])
    theirs.to_disk(tmp_path / "spacy")
    found = list(read_source(tmp_path / "spacy"))
    assert [record for _, record in found] == [
        Entity("Q1", "Douglas Adams", ("Adams",), popularity=2.0),
        Entity("Q2", "Adams", popularity=1.0),
        Entity("Q3", "Q3"),
        Entity("Q4", "Q4", popularity=3.0),
        Uses("Adams", {"Q1": 50, "Q2": 25, "": 25}),
        Uses("Douglas Adams", {"Q1": 100}),
    ]
    build_from([Source(found)], tmp_path / "ours")
    with KnowledgeBase.open(tmp_path / "ours") as ours:
        for alias in theirs.get_alias_strings():
            priors = {c.entity_: c.prior_prob for c in theirs.get_alias_candidates(alias)}
            hits = ours.by_aliases([alias])[alias]
            assert {ours.by_rows([hit.row])[0].id: hit.prior for hit in hits} == priors


def test_no_kb(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder of spaCy's InMemoryLookupKB"):
        list(read_source(tmp_path, "spacy"))
    (tmp_path / "contents").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable InMemoryLookupKB"):
        list(read_source(tmp_path))


def test_contents_that_are_damaged(tmp_path: Path) -> None:
    theirs = InMemoryLookupKB(Vocab(), entity_vector_length=3)
    for id in ("Q1", "Q2"):
        theirs.add_entity(entity=id, freq=9, entity_vector=[1, 2, 3])
    theirs.add_alias(alias="Adams", entities=["Q1", "Q2"], probabilities=[0.5, 0.25])
    theirs.to_disk(tmp_path)
    path = tmp_path / "contents"
    sound = path.read_bytes()
    for n in range(len(sound)):  # cut short anywhere
        path.write_bytes(sound[:n])
        with pytest.raises(InputError, match="not a readable InMemoryLookupKB"):
            list(read_source(tmp_path))
    for n in range(len(sound)):  # any byte flipped: an error, or numbers that could be meant
        path.write_bytes(sound[:n] + bytes([sound[n] ^ 0xFF]) + sound[n + 1 :])
        with suppress(InputError):
            assert len(list(read_source(tmp_path))) == 3
