"""Our BERT against Hugging Face's, on random weights, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from entlink.errors import BundleError
from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, pad_pairs
from tests.tiny import bert, cross_encoder

transformers: Any = pytest.importorskip("transformers")
Batch = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Pairs of very unequal lengths, padded."""
    generator = np.random.default_rng(0)
    lengths = [(3, 2), (20, 31), (1, 1), (40, 9)]
    first = [generator.integers(5, 90, size=a).tolist() for a, _ in lengths]
    second = [generator.integers(5, 90, size=b).tolist() for _, b in lengths]
    return pad_pairs(first, second)


def theirs(model: Any, batch: Batch) -> Tensor:
    ids, segments, is_token = batch
    with torch.inference_mode():
        found = model.eval()(input_ids=ids, token_type_ids=segments, attention_mask=is_token.long())
    logits: Tensor = found.logits[:, 0]
    return logits


def ours(model: BertClassifier, batch: Batch) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(*batch)
    return logits


def test_what_we_save_they_read(tmp_path: Path, batch: Batch) -> None:
    bert(100, seed=4).save(tmp_path)
    loaded = BertClassifier.load(tmp_path)
    reference = transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    expected = theirs(reference.float(), batch)
    torch.testing.assert_close(ours(loaded, batch), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.01  # the pairs do differ
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


@pytest.mark.parametrize("eps", [1e-12, 1e-2])
def test_what_they_save_we_read(tmp_path: Path, batch: Batch, eps: float) -> None:
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=64,
        layer_norm_eps=eps,
        num_labels=1,
        initializer_range=0.3,
    )
    reference = transformers.BertForSequenceClassification(config)
    reference.save_pretrained(tmp_path)
    loaded = BertClassifier.load(tmp_path)
    torch.testing.assert_close(ours(loaded, batch), theirs(reference, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["BertModel", "BertForPreTraining"])
def test_a_base_model_gets_a_fresh_classifier(tmp_path: Path, batch: Batch, kind: str) -> None:
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=40,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    base = getattr(transformers, kind)(config).eval()
    base.save_pretrained(tmp_path)
    loaded = BertClassifier.load(tmp_path)
    ids, segments, is_token = batch
    encoder = base if kind == "BertModel" else base.bert
    with torch.inference_mode():
        pooled = encoder(
            input_ids=ids, token_type_ids=segments, attention_mask=is_token.long()
        ).pooler_output
        expected = pooled @ loaded.classifier.weight[0] + loaded.classifier.bias
    torch.testing.assert_close(ours(loaded, batch), expected, atol=1e-5, rtol=1e-5)
    assert 0 < loaded.classifier.weight.std() < 0.1


def test_sentence_transformers_scores_alike(tmp_path: Path) -> None:
    """Plain pairs through its own tokenizer, and our marked pairs as ids."""
    library: Any = pytest.importorskip(
        "sentence_transformers", reason="needs sentence-transformers, of the extra dev"
    )
    made = cross_encoder(seed=2)
    made.save(tmp_path)
    pairs = [("jordan scored", "michael jordan, a player"), ("x", "y"), ("the river", "jordan")]
    loaded = library.CrossEncoder(
        str(tmp_path), device="cpu", model_kwargs={"dtype": torch.float32}
    )
    expected = loaded.predict(pairs, activation_fn=torch.nn.Identity())
    words = made.pairs.tokenizer
    plain = [words.encode_batch(list(pair), add_special_tokens=False) for pair in pairs]
    cls, sep = 2, 3  # tests.tiny.SPECIAL
    batch = pad_pairs([[cls, *a.ids, sep] for a, _ in plain], [[*b.ids, sep] for _, b in plain])
    found = ours(BertClassifier.load(tmp_path), batch)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert np.std(expected) > 0.01
    contexts, texts = [("the river", "Jordan", "flows")], [("Jordan", "river"), ("MJ", "player")]
    (a,) = made.pairs.mentions(contexts)
    marked = pad_pairs([a, a], made.pairs.entities(texts))
    saved = CrossEncoder.load(tmp_path).score(contexts, texts, [(0, 0), (0, 1)])
    np.testing.assert_allclose(theirs(loaded.model, marked), saved, atol=1e-5)


def test_dropout_is_off_when_loaded_and_on_in_training(batch: Batch) -> None:
    model = bert(100)
    torch.testing.assert_close(ours(model, batch), ours(model, batch), atol=0, rtol=0)
    model.train()
    assert not torch.equal(ours(model, batch), ours(model, batch))


@pytest.mark.parametrize(
    "damage",
    ["config", "list", "model_type", "activation", "cut", "missing", "labels", "layers", "absent"],
)
def test_another_folder_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "bert"
    if damage != "absent":
        bert(50).save(folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    changes: dict[str, dict[str, Any]] = {
        "model_type": {"model_type": "roberta"},
        "activation": {"hidden_act": "relu"},
        "layers": {"num_hidden_layers": 3},
    }
    if damage == "config":
        config.write_text("{", encoding="utf-8")
    elif damage == "list":
        config.write_text("[1]", encoding="utf-8")
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-5])
    elif damage == "missing":
        weights.unlink()
    elif damage == "labels":
        state = load_file(weights) | {"classifier.weight": torch.zeros(2, 32)}
        save_file(state, weights)
    elif damage in changes:
        values = json.loads(config.read_text(encoding="utf-8")) | changes[damage]
        config.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BundleError, match="not a BERT folder that can be read") as caught:
        BertClassifier.load(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message and len(message) < 600
