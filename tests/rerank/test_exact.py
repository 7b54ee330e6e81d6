"""The cascade against reading everything, and what must not change a link."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from entlink.corpus.shards import LinkOptions, Setup
from entlink.decide import Decision
from entlink.linker import Linker
from entlink.records import Document, LinkedDocument, Mention
from entlink.scoring import Scored
from tests.rerank.test_cross_encoder import Recording
from tests.tiny import ENTITIES

TEXTS = [
    "On that day Jordan met Paris Hilton in Chicago, far from Georgia.",
    "The river Amazon and the shop Amazon; we saw Georgia, then France.",
    "Twin and Twin, MJ and the Bulls, Munich and Apple",
]


def variant(linker: Linker, *, exact: bool = False, decision: Decision | None = None) -> Linker:
    return Linker(
        linker.bundle,
        linker.kb,
        linker.retriever,
        linker.reranker,
        decision or linker.decision,
        exact=exact,
    )


def mentions(linker: Linker) -> list[tuple[str, Mention]]:
    return [(d.text, link.mention) for d in linker.link(TEXTS) for link in d.links]


def probabilities(linked: list[LinkedDocument]) -> list[list[tuple[str, float]]]:
    return [
        [(c.entity_id, c.probability) for c in link.candidates] for d in linked for link in d.links
    ]


def test_a_cascade_that_reads_everything_is_exact_reading(linker: Linker) -> None:
    n = len(ENTITIES)
    exact = variant(linker, exact=True).link(TEXTS, n_candidates=n)
    everything = replace(linker.decision, read_mass=2.0, max_pairs=100)
    assert exact == variant(linker, decision=everything).link(TEXTS, n_candidates=n)
    candidates = [c for d in exact for link in d.links for c in link.candidates]
    assert len(candidates) == n * sum(len(d.links) for d in exact) > 0
    assert all(c.reranker_score is not None for c in candidates)
    assert exact != linker.link(TEXTS, n_candidates=n)  # which reads a part


def test_exact_is_an_option_of_load(linker: Linker) -> None:
    loaded = Linker.load(linker.bundle, device="cpu", exact=True)
    assert loaded.link(TEXTS) == variant(linker, exact=True).link(TEXTS)


def test_exact_reaches_the_processes_that_link_a_corpus(linker: Linker) -> None:
    options = LinkOptions(backend="torch", exact=True)
    setup = Setup(str(linker.bundle.path), linker.bundle.digest, "cpu", 1, options)
    there = Setup.parse(setup.dump()).load()
    documents = [Document(str(i), text) for i, text in enumerate(TEXTS)]
    assert list(there.stream(documents)) == variant(linker, exact=True).link(documents)


@pytest.mark.parametrize("exact", [False, True])
def test_the_order_of_the_candidates_does_not_matter(linker: Linker, exact: bool) -> None:
    chosen = variant(linker, exact=exact)
    some = mentions(linker)
    rows = np.arange(len(ENTITIES))
    expected = chosen.score(some, candidates=[rows] * len(some))
    for seed in range(3):
        generator = np.random.default_rng(seed)
        found = chosen.score(some, candidates=[generator.permutation(rows) for _ in some])
        for a, b in zip(expected, found, strict=True):
            assert best(a) == best(b)
            np.testing.assert_allclose(by_row(a), by_row(b), atol=1e-6)


def best(scored: Scored) -> int:
    return int(scored.retrieved.rows[scored.order()[0]])


def by_row(scored: Scored) -> list[float]:
    """Probabilities in the order of the KB, NIL last."""
    order = np.argsort(scored.retrieved.rows)
    return [*scored.probabilities[:-1][order].tolist(), float(scored.probabilities[-1])]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_batch_size_does_not_matter(linker: Linker, exact: bool, batch_size: int) -> None:
    chosen = variant(linker, exact=exact)
    expected = probabilities(chosen.link(TEXTS))
    found = probabilities(chosen.link(TEXTS, batch_size=batch_size))
    for a, b in zip(expected, found, strict=True):
        assert [id for id, _ in a] == [id for id, _ in b]
        assert [p for _, p in b] == pytest.approx([p for _, p in a], abs=1e-4)


def test_pairs_of_several_documents_are_read_together_by_length(linker: Linker) -> None:
    recording = Recording(linker.reranker)  # type: ignore[arg-type]
    chosen = variant(linker, exact=True)
    chosen.reranker = recording
    chosen.link([Document(str(i), text) for i, text in enumerate(TEXTS)])
    lengths = [n for batch in recording.batches for n in batch]
    assert lengths == sorted(lengths) and len(set(lengths)) > 5
    assert all(len(batch) == recording.batch_size for batch in recording.batches[:-1])
