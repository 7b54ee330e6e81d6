"""Pairs: what is cut, in which order it is read, and that neither padding nor batches matter."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch import Tensor

from entlink.errors import BundleError, ConfigError
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig, PairTokenizer, pad_pairs
from tests.tiny import bert, cross_encoder, tokenizer

WORDS = [f"w{i}" for i in range(60)]


@cache
def one_token_a_word() -> Tokenizer:
    return tokenizer(WORDS)


def ids(made: Tokenizer, *tokens: str) -> list[int]:
    found = [made.token_to_id(token) for token in tokens]
    assert None not in found
    return [int(token) for token in found if token is not None]


lists = st.lists(st.sampled_from(WORDS), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    left=lists,
    span=st.lists(st.sampled_from(WORDS), min_size=1, max_size=20),
    right=lists,
    context=st.integers(1, 40),
    data=st.data(),
)
def test_contexts_lose_what_is_farthest_from_the_mention(
    left: list[str], span: list[str], right: list[str], context: int, data: st.DataObject
) -> None:
    n_span = data.draw(st.integers(1, context))
    made = one_token_a_word()
    pairs = PairTokenizer(
        made, PairConfig(context_tokens=context, span_tokens=n_span, entity_tokens=9, name_tokens=3)
    )
    (half,) = pairs.mentions([(" ".join(left), " ".join(span), " ".join(right))])
    tokens = [made.id_to_token(i) or "" for i in half]
    begin, end = tokens.index("[unused0]"), tokens.index("[unused1]")
    kept_left, kept, kept_right = tokens[1:begin], tokens[begin + 1 : end], tokens[end + 1 : -1]
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
    assert kept == span[:n_span]
    assert kept_left == left[len(left) - len(kept_left) :]
    assert kept_right == right[: len(kept_right)]
    room = context - len(kept)
    assert len(kept_left) + len(kept_right) == min(room, len(left) + len(right))
    for mine, whole, other in (
        (kept_left, left, kept_right),
        (kept_right, right, kept_left),
    ):  # a side is cut only if it has its half of the room
        assert len(mine) == len(whole) or len(mine) >= room // 2 >= len(other) - 1


@settings(max_examples=100, deadline=None)
@given(name=lists, description=lists, entity=st.integers(1, 40), data=st.data())
def test_descriptions_lose_their_end(
    name: list[str], description: list[str], entity: int, data: st.DataObject
) -> None:
    n_name = data.draw(st.integers(1, entity))
    made = one_token_a_word()
    pairs = PairTokenizer(made, PairConfig(entity_tokens=entity, name_tokens=n_name))
    (half,) = pairs.entities([(" ".join(name), " ".join(description))])
    kept = name[:n_name]
    expected = [*kept, "[unused2]", *description[: entity - len(kept)], "[SEP]"]
    assert half == ids(made, *expected)


def test_text_cannot_forge_a_mark() -> None:
    made = one_token_a_word()
    (half,) = PairTokenizer(made, PairConfig()).mentions([("[SEP] [unused0]", "w1", "[CLS]")])
    tokens = [made.id_to_token(i) for i in half]
    assert tokens.count("[SEP]") == tokens.count("[unused0]") == tokens.count("[CLS]") == 1


def test_a_pair_is_never_longer_than_it_says() -> None:
    config = PairConfig(context_tokens=10, entity_tokens=7, span_tokens=3, name_tokens=2)
    pairs = PairTokenizer(one_token_a_word(), config)
    long = " ".join(WORDS)
    (a,), (b,) = pairs.mentions([(long, long, long)]), pairs.entities([(long, long)])
    assert len(a) + len(b) == config.longest


@pytest.mark.parametrize(
    "budget",
    [
        {"span_tokens": 0},
        {"span_tokens": 41},
        {"name_tokens": 37},
        {"context_tokens": 3},
        {"entity_tokens": 0},
    ],
)
def test_budgets_that_cannot_work_are_refused(budget: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least 1 and at most"):
        PairConfig(**budget)


def test_pairs_that_do_not_fit_the_model_are_refused() -> None:
    made = one_token_a_word()
    config = PairConfig(context_tokens=60, entity_tokens=60)
    with pytest.raises(ConfigError, match="pairs of 126 tokens do not fit a model of 125"):
        CrossEncoder(bert(made.get_vocab_size(), positions=125), PairTokenizer(made, config))
    CrossEncoder(bert(made.get_vocab_size(), positions=126), PairTokenizer(made, config))


def test_a_vocabulary_without_the_marks_is_refused() -> None:
    plain = json.loads(one_token_a_word().to_str())
    del plain["model"]["vocab"]["[unused2]"]
    with pytest.raises(BundleError, match=r"lacks \[unused2\]"):
        PairTokenizer(Tokenizer.from_str(json.dumps(plain)), PairConfig())


CONTEXTS = [("the river", "jordan", "flows"), ("", "paris", ""), ("a " * 99, "x " * 30, "b " * 99)]
TEXTS = [("jordan", "country in asia"), ("", ""), ("paris " * 20, "city " * 99), ("القدس", "😀")]
PAIRS = [(m, e) for m in range(3) for e in range(4)]


@pytest.fixture(scope="module")
def encoder() -> CrossEncoder:
    return cross_encoder(seed=1)


def test_every_pair_has_the_logit_that_it_has_alone(encoder: CrossEncoder) -> None:
    """Neither padding, nor the other pairs, nor their order matter."""
    pairs = [*PAIRS, PAIRS[3], *reversed(PAIRS)]
    logits = encoder.score(CONTEXTS, TEXTS, pairs)
    assert logits.shape == (len(pairs),) and logits.dtype == np.float32
    for pair, logit in zip(pairs, logits, strict=True):
        (a,) = encoder.pairs.mentions([CONTEXTS[pair[0]]])
        (b,) = encoder.pairs.entities([TEXTS[pair[1]]])
        with torch.inference_mode():  # without any padding
            alone = encoder.model(
                torch.tensor([a + b]),
                torch.tensor([[0] * len(a) + [1] * len(b)]),
                torch.ones(1, len(a) + len(b), dtype=torch.bool),
            )
        assert logit == pytest.approx(float(alone[0]), abs=1e-5)
    assert len(set(logits.round(4).tolist())) == len(PAIRS)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 1000])
def test_the_batch_size_does_not_matter(encoder: CrossEncoder, batch_size: int) -> None:
    expected = encoder.score(CONTEXTS, TEXTS, PAIRS)
    found = encoder.score(CONTEXTS, TEXTS, PAIRS, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_equal_pairs_have_equal_logits_to_the_last_bit(encoder: CrossEncoder) -> None:
    contexts, texts = CONTEXTS * 7, TEXTS * 5
    pairs = [(m, e) for m in range(len(contexts)) for e in range(len(texts))]
    logits = encoder.score(contexts, texts, pairs, batch_size=3).reshape(7, 3, 5, 4)
    assert (logits == logits[:1, :, :1]).all()


class Recording(CrossEncoder):
    """Keeps the lengths of the pairs in each batch that it reads."""

    def __init__(self, encoder: CrossEncoder) -> None:
        super().__init__(encoder.model, encoder.pairs)
        self.batches: list[list[int]] = []
        self.widths: list[int] = []

    def logits(self, ids: Tensor, segments: Tensor, is_token: Tensor) -> Tensor:
        self.batches.append(is_token.sum(dim=1).tolist())
        self.widths.append(ids.shape[1])
        return super().logits(ids, segments, is_token)


def test_pairs_are_read_once_and_by_length(encoder: CrossEncoder) -> None:
    recording = Recording(encoder)
    contexts, texts = CONTEXTS * 4, TEXTS * 3
    pairs = [(m, e) for m in range(len(contexts)) for e in range(len(texts))]
    recording.score(contexts, texts, pairs * 2, batch_size=5)
    assert [len(batch) for batch in recording.batches] == [5, 5, 2]  # of 3 contexts and 4 texts
    lengths = [n for batch in recording.batches for n in batch]
    assert lengths == sorted(lengths)
    apart = [
        len(a) + len(b)
        for a in encoder.pairs.mentions(CONTEXTS)
        for b in encoder.pairs.entities(TEXTS)
    ]
    assert lengths == sorted(apart)
    longest = encoder.pairs.config.longest
    rounded = [min(-(-max(batch) // 8) * 8, longest) for batch in recording.batches]
    assert recording.widths == rounded  # few shapes


class Counting:
    """A tokenizer that keeps what it was given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.texts: list[str] = []

    def encode_batch(self, texts: list[str], **options: bool) -> object:
        self.texts += texts
        return self.tokenizer.encode_batch(texts, **options)

    def __getattr__(self, name: str) -> object:
        return getattr(self.tokenizer, name)


def test_texts_are_tokenised_once_and_only_if_read(encoder: CrossEncoder) -> None:
    counting = Counting(encoder.pairs.tokenizer)
    made = CrossEncoder(
        encoder.model, PairTokenizer(cast(Tokenizer, counting), encoder.pairs.config)
    )
    contexts = [("a", "jordan", "b"), ("a", "paris", "c"), ("never", "read", "at all")]
    texts = [("jordan", "country"), ("jordan", "river"), ("unread", "x"), ("jordan", "country")]
    pairs = [(0, 0), (0, 1), (1, 0), (1, 3), (0, 0)]
    found = made.score(contexts, texts, pairs)
    assert sorted(counting.texts) == sorted(
        ["a", "jordan", "b", "paris", "c", "jordan", "country", "river"]
    )
    assert found.tolist() == encoder.score(contexts, texts, pairs).tolist()


def test_no_pairs(encoder: CrossEncoder) -> None:
    assert encoder.score(CONTEXTS, TEXTS, []).shape == (0,)
    assert encoder.score([], [], []).shape == (0,)


def test_padding_is_marked() -> None:
    tokens, segments, is_token = pad_pairs([[1, 2], [3]], [[4], [5, 6, 7]])
    assert tokens.tolist() == [[1, 2, 4, 0], [3, 5, 6, 7]]
    assert segments.tolist() == [[0, 0, 1, 0], [0, 1, 1, 1]]
    assert is_token.tolist() == [[True, True, True, False], [True] * 4]


def test_a_saved_cross_encoder_gives_the_same_logits(encoder: CrossEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    loaded = CrossEncoder.load(tmp_path)
    assert loaded.pairs.config == encoder.pairs.config == PairConfig(24, 20, 8, 8)
    expected = encoder.score(CONTEXTS, TEXTS, PAIRS)
    np.testing.assert_allclose(loaded.score(CONTEXTS, TEXTS, PAIRS), expected, atol=0.01)
    loaded.save(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "pair.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_transformers_reads_the_tokenizer(encoder: CrossEncoder, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    encoder.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "Jordan, a COUNTRY in Asia"
    words = encoder.pairs.tokenizer
    expected = words.encode(text, add_special_tokens=False).ids
    assert theirs(text, add_special_tokens=False)["input_ids"] == expected
    assert theirs(text)["input_ids"] == [2, *expected, 3]
    pair = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text, text)
    assert pair.ids == [2, *expected, 3, *expected, 3]
    assert sum(pair.type_ids) == len(expected) + 1


@pytest.mark.parametrize("damage", ["tokenizer", "missing", "pair", "key", "budget"])
def test_a_damaged_folder_is_one_line(encoder: CrossEncoder, tmp_path: Path, damage: str) -> None:
    encoder.save(tmp_path)
    if damage == "missing":
        (tmp_path / "tokenizer.json").unlink()
    elif damage == "tokenizer":
        (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    else:
        values = {
            "pair": "[",
            "key": '{"colour": 1}',
            "budget": json.dumps(asdict(PairConfig()) | {"context_tokens": 900}),
        }
        (tmp_path / "pair.json").write_text(values[damage], encoding="utf-8")
    with pytest.raises((BundleError, ConfigError)) as caught:
        CrossEncoder.load(tmp_path)
    assert "\n" not in str(caught.value)
