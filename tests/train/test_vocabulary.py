"""A pruned model reads what is left of its words exactly as before."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig, PairTokenizer
from entlink.train.vocabulary import prune_vocabulary, shorten
from tests.tiny import SPECIAL, bert, tokenizer

COMMON = ["river", "singer", "paris", "song", "water"]
RARE = [f"rare{c}" for c in "abcdefghij"]
TEXTS = [*COMMON * 5, "river paris"]


def made() -> tuple[BertClassifier, Tokenizer]:
    words = tokenizer([*RARE, *COMMON])
    words.enable_truncation(7)
    words.enable_padding()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return bert(words.get_vocab_size(), seed=3), words


def logit(model: BertClassifier, ids: list[int]) -> float:
    batch = torch.tensor([ids])
    with torch.inference_mode():
        found: torch.Tensor = model(batch, torch.zeros_like(batch), torch.ones_like(batch).bool())
    return float(found[0])


def n_letters(words: Tokenizer) -> int:
    return sum(len(piece.removeprefix("##")) == 1 for piece in words.get_vocab())


def test_words_that_stay_give_the_same_logits() -> None:
    model, words = made()
    texts = ["river song", "PARIS, water!", "x singer +y"]
    before = [logit(model, words.encode(t, add_special_tokens=False).ids) for t in texts]
    size = len(COMMON) + 13 + n_letters(words)
    model, pruned = prune_vocabulary(model, words, TEXTS, size=size)
    after = [logit(model, pruned.encode(t, add_special_tokens=False).ids) for t in texts]
    assert after == pytest.approx(before, abs=1e-6)
    assert pruned.get_vocab_size() == size == model.config.vocab_size
    assert model.bert.embeddings.word_embeddings.weight.shape[0] == size
    assert model.bert.embeddings.word_embeddings.weight.requires_grad
    kept = pruned.get_vocab()
    assert set(COMMON) <= kept.keys() and not set(RARE) & kept.keys()
    assert sorted(kept.values()) == list(range(size))


def test_words_that_go_are_spelt_out() -> None:
    model, words = made()
    _, pruned = prune_vocabulary(model, words, TEXTS, size=len(COMMON) + 13 + n_letters(words))
    assert words.encode("rarea", add_special_tokens=False).tokens == ["rarea"]
    assert pruned.encode("rarea").tokens == ["r", "##a", "##r", "##e", "##a"]


def test_marks_and_letters_stay_even_if_there_is_no_room() -> None:
    model, words = made()
    n = n_letters(words)
    model, pruned = prune_vocabulary(model, words, TEXTS, size=10)
    kept = pruned.get_vocab()
    assert len(kept) == n + 5 + 8
    assert set(SPECIAL[:13]) <= kept.keys() and not set(SPECIAL[13:]) & kept.keys()
    CrossEncoder(model, PairTokenizer(pruned, PairConfig()))  # it has all that pairs need


def test_the_most_used_stay() -> None:
    model, words = made()
    texts = iter(["rarec rarec rarec", "rareb rareb", "river"])
    size = 13 + n_letters(words) + 2
    _, pruned = prune_vocabulary(model, words, texts, size=size)
    assert {"rarec", "rareb"} <= pruned.get_vocab().keys()
    assert "river" not in pruned.get_vocab()


def test_many_texts_are_counted_whole() -> None:
    model, words = made()
    texts = (["rarea"] * 1500) + ["rareb"] * 1600 + ["rarec"] * 1400
    size = 13 + n_letters(words) + 2
    _, pruned = prune_vocabulary(model, words, texts, size=size)
    assert {"rarea", "rareb"} <= pruned.get_vocab().keys()
    assert "rarec" not in pruned.get_vocab()


def test_special_tokens_keep_their_meaning() -> None:
    model, words = made()
    words.add_special_tokens(["[CLS]", "[SEP]", "[unused2]"])
    _, pruned = prune_vocabulary(model, words, TEXTS, size=13 + n_letters(words) + 5)
    for token in ("[CLS]", "[SEP]", "[unused2]", "river"):
        (piece,) = pruned.encode(token).ids
        assert pruned.id_to_token(piece) == token


def test_nothing_is_cut_or_padded_any_more() -> None:
    model, words = made()
    _, pruned = prune_vocabulary(model, words, TEXTS, size=500)
    assert len(pruned.encode("river " * 20).ids) == 20
    assert json.loads(pruned.to_str())["post_processor"] is None
    assert [len(e.ids) for e in pruned.encode_batch(["river", "a b c"])] == [1, 3]


def test_fewer_positions_change_nothing_but_the_limit() -> None:
    model = bert(60, seed=1)
    before = logit(model, [5, 6, 7, 8])
    shorter = shorten(model, positions=20)
    assert shorter.config.max_position_embeddings == 20
    assert logit(shorter, [5, 6, 7, 8]) == pytest.approx(before, abs=1e-7)
    with pytest.raises(IndexError):
        logit(shorter, [5] * 21)
    assert shorten(shorter, positions=400).config.max_position_embeddings == 20
