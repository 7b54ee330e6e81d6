"""What the rate of pairs is measured on, and that the measurement counts what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from entlink.rerank.cross_encoder import CrossEncoder
from tests.corpus.pairs import PAIRS_A_MENTION, compose, measure
from tests.tiny import make_bundle


@pytest.fixture
def encoder(tmp_path: Path) -> CrossEncoder:
    return CrossEncoder.load(make_bundle(tmp_path).path / "reranker")


def test_every_pair_is_another_and_as_long_as_pairs_can_be(encoder: CrossEncoder) -> None:
    contexts, entities, pairs = compose(encoder, 40)
    assert len(set(pairs)) == len(pairs) == 40
    assert [sum(m == n for m, _ in pairs) for n in range(5)] == [PAIRS_A_MENTION] * 5
    first, second = encoder.pairs.mentions(contexts), encoder.pairs.entities(entities)
    assert {len(first[m]) + len(second[e]) for m, e in pairs} == {encoder.pairs.config.longest}


def test_the_pairs_are_always_the_same(encoder: CrossEncoder) -> None:
    assert compose(encoder, 16) == compose(encoder, 16) != compose(encoder, 16, seed=1)


def test_a_slower_reader_is_measured_as_slower(encoder: CrossEncoder) -> None:
    fast = measure(encoder, 32, repeat=1)
    assert (fast["n_pairs"], fast["tokens_of_a_pair"]) == (32, encoder.pairs.config.longest)

    class Twice(CrossEncoder):
        """Reads everything fifty times."""

        def logits(self, *batch):  # type: ignore[no-untyped-def]
            for _ in range(49):
                super().logits(*batch)
            return super().logits(*batch)

    slow = measure(Twice(encoder.model, encoder.pairs), 32, repeat=1)
    for rate in ("pairs_per_second", "model_alone"):
        assert float(str(slow[rate])) < float(str(fast[rate]))
