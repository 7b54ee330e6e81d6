"""A BERT that reads mentions in context and adds to the bag's vectors: against a plain pass."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from entlink.eightbit import EightBit, has_openvino
from entlink.encode.bag import BagMentions
from entlink.encode.batches import join_mentions
from entlink.encode.config import READS, BertReading, DualEncoderConfig
from entlink.encode.contextual import MIN_COSINE, compare_reader, export_reader
from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError
from entlink.inputs import pair_context_of
from entlink.train.distil import with_reader
from tests.encode.inputs import MENTIONS
from tests.tiny import ENTITIES, encoder, write_bert

READING = BertReading(mention_tokens=14, head_tokens=3, span_tokens=5)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a small BERT with random weights."""
    folder = tmp_path_factory.mktemp("base")
    write_bert(folder, (e.description or "" for e in ENTITIES), positions=40)
    return folder


@pytest.fixture(scope="module")
def model(base: Path) -> DualEncoder:
    """It adds something."""
    made = with_reader(encoder(seed=2), base, READING)
    assert made.reader is not None
    torch.manual_seed(3)
    torch.nn.init.normal_(made.reader.out.weight, std=0.5)
    return made.eval()


def test_it_begins_by_adding_nothing(base: Path) -> None:
    bag = encoder(seed=2)
    made = with_reader(bag, base, READING)
    np.testing.assert_allclose(
        made.encode_mentions(MENTIONS), bag.encode_mentions(MENTIONS), atol=1e-6
    )
    assert made.config.reads and not bag.config.reads


@torch.inference_mode()
def test_vectors_against_a_plain_pass(model: DualEncoder) -> None:
    reader, base = model.reader, model.base
    assert reader is not None and base is not None
    found = model.encode_mentions(MENTIONS)
    cls, sep, begin, end, _ = base.words.marks
    for item, vector in zip(MENTIONS, found, strict=True):
        parts = [
            base.words.tokenizer.encode(text, add_special_tokens=False).ids
            for text in pair_context_of(item)
        ]
        left, span, right = parts
        span = span[:5]
        room = 14 - len(span)
        head = min(3, room // 2)
        n_right = min(len(right), max((room - head) // 2, room - len(left)))
        n_left = min(len(left), room - n_right)
        if n_left < len(left):
            left = left[:head] + left[len(left) - (n_left - head) :]
        ids = [cls, *left, begin, *span, end, *right[:n_right], sep]
        tokens = torch.tensor([ids])
        x = reader.bert(tokens, torch.zeros_like(tokens), torch.ones_like(tokens).bool())[0]
        a, b = ids.index(begin), ids.index(end)
        joined = torch.cat([x[a : b + 1].mean(dim=0), x[0]])
        hidden = reader.hidden.weight @ joined + reader.hidden.bias
        gelu = torch.tensor([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden.tolist()])
        features = model.mention_features([item], read=False)
        assert isinstance(model.mentions, BagMentions)
        raw = model.mentions.raw(features)[0]
        expected = functional.normalize(raw + reader.out.weight @ gelu, dim=0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


def test_without_reading_it_is_the_bag(model: DualEncoder) -> None:
    bag = encoder(seed=2)
    unread = model.query_vectors(MENTIONS)[0]
    np.testing.assert_allclose(unread, bag.encode_mentions(MENTIONS), atol=1e-6)
    assert np.abs(model.encode_mentions(MENTIONS) - unread).max() > 0.01


def test_others_in_the_batch_change_nothing(model: DualEncoder) -> None:
    """Nor does a mention beside it that is not read."""
    together = model.encode_mentions(MENTIONS * 7)
    alone = np.concatenate([model.encode_mentions([item]) for item in MENTIONS] * 7)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    parts = [
        model.mention_features(MENTIONS[:1], read=False),
        model.mention_features(MENTIONS[1:]),
    ]
    with torch.inference_mode():
        mixed = model.mention_vectors(join_mentions(parts)).numpy()
    np.testing.assert_allclose(mixed[0], model.query_vectors(MENTIONS[:1])[0][0], atol=1e-5)
    np.testing.assert_allclose(mixed[1:], alone[1 : len(MENTIONS)], atol=1e-5)


def test_saved_and_loaded(model: DualEncoder, tmp_path: Path) -> None:
    """Matrices as bytes; what is loaded and saved again stays as it is."""
    model.save(tmp_path / "one")
    loaded = DualEncoder.load(tmp_path / "one")
    assert loaded.config.mention_encoder == READS and loaded.config.bert.head_tokens == 3
    vectors = model.encode_mentions(MENTIONS)
    assert (loaded.encode_mentions(MENTIONS) * vectors).sum(axis=1).min() > 0.99
    loaded.save(tmp_path / "two")
    again = DualEncoder.load(tmp_path / "two")
    np.testing.assert_allclose(
        again.encode_mentions(MENTIONS), loaded.encode_mentions(MENTIONS), atol=0.02
    )


def test_saved_in_four_bits(model: DualEncoder, tmp_path: Path) -> None:
    """Table and reader are; they are the same again, and a good deal smaller."""
    model.save(tmp_path / "eight")
    before = model.config
    model.config = replace(before, saved_bits=4)
    try:
        model.save(tmp_path / "four")
    finally:
        model.config = before
    loaded = DualEncoder.load(tmp_path / "four")
    vectors = model.encode_mentions(MENTIONS)
    assert (loaded.encode_mentions(MENTIONS) * vectors).sum(axis=1).min() > 0.9
    eight, four = (tmp_path / name / "weights.safetensors" for name in ("eight", "four"))
    kept = load_file(four)
    packed = [name for name, tensor in kept.items() if tensor.dtype == torch.uint8]
    assert any(name.endswith("embedder.table.weight") for name in packed)
    assert any(".layer." in name for name in packed if name.startswith("reader."))
    assert not any(name.startswith(("mention.", "entity.")) for name in packed)
    assert four.stat().st_size < 0.8 * eight.stat().st_size


def test_settings_that_do_not_go_together(base: Path) -> None:
    with pytest.raises(ConfigError, match="write entity_encoder = 'bag'"):
        DualEncoderConfig(mention_encoder=READS, entity_encoder="bert")
    with pytest.raises(ConfigError, match="'dot'"):
        DualEncoderConfig(mention_encoder=READS, scoring="dot")
    with pytest.raises(ConfigError, match="do not fit a BERT of 40"):
        with_reader(encoder(seed=2), base, replace(READING, mention_tokens=60))
    with pytest.raises(ConfigError, match="has a BERT already"):
        with_reader(with_reader(encoder(seed=2), base, READING), base, READING)
    with pytest.raises(ConfigError, match="head_tokens is -1"):
        replace(READING, head_tokens=-1)
    with pytest.raises(ConfigError, match=r"bert\.base is missing"):
        DualEncoder(replace(encoder(seed=2).config, mention_encoder=READS))


@pytest.mark.skipif(not has_openvino(), reason="pip install entlink[openvino]")
def test_eight_bits_are_near(model: DualEncoder, base: Path, tmp_path: Path) -> None:
    """Of a forked process, of which OpenVINO would be the end, PyTorch takes care."""
    reader = model.reader
    assert reader is not None
    export_reader(reader, tmp_path / "reader.xml")
    contexts = [pair_context_of(item) for item in MENTIONS]
    quick = EightBit(tmp_path / "reader.xml")
    found = compare_reader(model, quick, contexts)
    assert reader.quick is None and found.n_mentions == len(MENTIONS)
    assert MIN_COSINE <= found.min_cosine <= found.mean_cosine < 1 - 1e-7
    found.check()
    exact = model.encode_mentions(MENTIONS)
    reader.quick = quick
    try:
        eight = model.encode_mentions(MENTIONS)
        assert 1e-6 < np.abs(eight - exact).max() < 0.2
        with_gradient = model.mention_vectors(model.mention_features(MENTIONS))
        np.testing.assert_allclose(with_gradient.detach(), exact, atol=1e-5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("entlink.eightbit._used_by", -1)
            np.testing.assert_allclose(model.encode_mentions(MENTIONS), exact, atol=1e-6)
        pickled = pickle.loads(pickle.dumps(quick))
        assert pickled.file == quick.file
    finally:
        reader.quick = None
    other = with_reader(encoder(seed=2), base, READING)
    assert other.reader is not None
    torch.nn.init.normal_(other.reader.out.weight, std=0.5)
    with pytest.raises(ConfigError, match="too far from single precision"):
        compare_reader(other, quick, contexts).check()
