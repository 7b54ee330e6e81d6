"""The dual encoder against a forward pass written out in NumPy, and the properties it promises."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from entlink.encode import saved
from entlink.encode.config import INPUTS, SHARING
from entlink.encode.dual import DualEncoder, DualEncoderConfig, join_mentions
from entlink.encode.features import featurise
from entlink.errors import BundleError, ConfigError
from entlink.inputs import EntityInput, MentionInput
from entlink.train.loop import LoopConfig, fit
from entlink.train.losses import in_batch_softmax
from tests.encode.inputs import ENTITIES, MENTIONS
from tests.tiny import encoder

Array = NDArray[np.float32]


def gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))), dtype=np.float64)


class Plain:
    """The towers from their weights, one input at a time, in double precision."""

    def __init__(self, model: DualEncoder) -> None:
        self.config = model.config
        self.weights = {n: t.double().numpy() for n, t in model.state_dict().items()}
        self.tower = "mentions"

    def linear(self, name: str, x: Array) -> Array:
        bias = self.weights.get(f"{self.tower}.{name}.bias", 0.0)
        return np.asarray(self.weights[f"{self.tower}.{name}.weight"] @ x + bias)

    def text(self, name: str, text: str, *, chars: bool = False) -> Array:
        lengths = self.config.char_lengths if chars else ()
        bags = featurise([text], rows=self.config.table_rows, chars=lengths)
        table = self.weights[f"{self.tower}.embedder.table.weight"]
        means = [
            table[bag.ids].mean(axis=0) if len(bag.ids) else np.zeros(table.shape[1])
            for bag in bags.kinds()
        ]
        return gelu(self.linear(f"{name}.layer", np.concatenate(means)))

    def sparse(self, name: str, ids: tuple[str, ...]) -> Array:
        table = self.weights[f"{self.tower}.{name}.table.weight"]
        rows = [zlib.crc32(i.encode("utf-8", "surrogatepass")) % len(table) for i in ids if i]
        mean = table[rows].mean(axis=0) if rows else np.zeros(table.shape[1])
        return gelu(self.linear(f"{name}.layer", mean))

    def compound(self, name: str, *parts: Array) -> Array:
        hidden = gelu(self.linear(f"{name}.first", np.concatenate(parts)))
        return self.linear(f"{name}.second", hidden)

    def unit(self, mixed: Array, name: Array) -> Array:
        vector = mixed + self.linear("name_path", name)
        return np.asarray(vector / np.linalg.norm(vector))

    def mention(self, m: MentionInput) -> Array:
        self.tower = "mentions"
        contexts = [self.text("context_text", t) for t in (m.left, m.right, m.sentence)]
        context = gelu(self.compound("context", *contexts))
        span = self.text("name_text", m.span, chars=True)
        label = self.sparse("labels", (m.label,))
        return self.unit(self.compound("mention", context, span, label), span)

    def entity(self, e: EntityInput) -> Array:
        self.tower = "entities"
        numbers = [
            (e.popularity or 0.0) / 4,
            float(e.popularity is not None),
            math.log(1 + e.degree) / 4,
        ]
        description = self.text("description_text", e.description)
        types = self.sparse("types", e.types)
        content = gelu(self.compound("content", description, types, np.asarray(numbers)))
        name = self.text("name_text", e.name, chars=True)
        return self.unit(self.compound("entity", content, name), name)


SMALL = DualEncoderConfig(table_rows=1 << 12, embedding=12, text=16, hidden=24, vector=16, sparse=6)

# which parts of both towers are the same weights, by scheme (Dong et al. 2022, table 1)
ALIKE = {
    ("embedder.table", "embedder.table"): {"deer", "sde", "ade-ste", "ade-fte"},
    ("name_text.layer", "name_text.layer"): {"deer", "sde"},
    ("context_text.layer", "description_text.layer"): {"sde"},
    ("mention.second", "entity.second"): {"sde", "ade-spl"},
    ("name_path", "name_path"): {"deer", "sde", "ade-spl"},
}


@pytest.mark.parametrize("sharing", SHARING)
def test_towers_share_what_the_scheme_says(sharing: str, tmp_path: Path) -> None:
    """Before and after training, saved and loaded; a shared weight is one and not two alike."""
    torch.manual_seed(6)
    model = DualEncoder(replace(SMALL, sharing=sharing))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    m, e = model.mention_features(MENTIONS[:2]), model.entity_features(ENTITIES[:2])
    ids = torch.arange(2)

    def loss_at(step: int) -> torch.Tensor:
        scores = model.mention_vectors(m) @ model.entity_vectors(e).T
        return in_batch_softmax(scores, ids, ids)

    fit(model, loss_at, LoopConfig(n_steps=3, learning_rate=0.01), title="sharing")
    model.save(tmp_path)
    for trained in (model, DualEncoder.load(tmp_path)):
        state = trained.state_dict()
        for (ours, theirs), schemes in ALIKE.items():
            a, b = state[f"mentions.{ours}.weight"], state[f"entities.{theirs}.weight"]
            assert (a.data_ptr() == b.data_ptr()) == (sharing in schemes), ours
            assert a.shape != b.shape or torch.equal(a, b) == (sharing in schemes), ours
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert ("mentions.embedder.table.weight" in moved) == (sharing != "ade-fte")
    assert "entities.description_text.layer.weight" in moved


@pytest.mark.parametrize("sharing", SHARING)
def test_both_towers_equal_the_formulas(sharing: str) -> None:
    torch.manual_seed(3)
    model = DualEncoder(replace(SMALL, sharing=sharing)).eval()
    plain = Plain(model)
    mentions = np.stack([plain.mention(m) for m in MENTIONS])
    entities = np.stack([plain.entity(e) for e in ENTITIES])
    np.testing.assert_allclose(model.encode_mentions(MENTIONS), mentions, atol=2e-5)
    np.testing.assert_allclose(model.encode_entities(ENTITIES), entities, atol=2e-5)


def test_vectors_have_length_one_and_inputs_matter() -> None:
    model = encoder()
    vectors = np.concatenate([model.encode_mentions(MENTIONS), model.encode_entities(ENTITIES)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    first = MENTIONS[0]
    for change in ("span", "left", "right", "sentence", "label"):
        other = replace(first, **{change: "something else"})
        a, b = model.encode_mentions([first, other])
        assert np.abs(a - b).max() > 1e-4, change
    entity = ENTITIES[0]
    for changed in (
        replace(entity, name="Jordania"),
        replace(entity, description="a river"),
        replace(entity, types=("Q6256",)),
        replace(entity, popularity=None),
        replace(entity, degree=3),
    ):
        a, b = model.encode_entities([entity, changed])
        assert np.abs(a - b).max() > 1e-5, changed


def test_a_batch_equals_one_by_one() -> None:
    model = encoder()
    mentions, entities = model.encode_mentions(MENTIONS), model.encode_entities(ENTITIES)
    for i, mention in enumerate(MENTIONS):
        np.testing.assert_allclose(model.encode_mentions([mention])[0], mentions[i], atol=1e-5)
    for i, entity in enumerate(ENTITIES):
        np.testing.assert_allclose(model.encode_entities([entity])[0], entities[i], atol=1e-5)


def test_nothing_gives_no_vectors() -> None:
    model = encoder(vector=16)
    assert model.encode_mentions([]).shape == (0, 16)
    assert model.encode_entities([]).shape == (0, 16)
    assert len(model.mention_features([])) == 0
    assert model.entity_features([]).numbers.shape == (0, 3)


def test_features_can_be_joined_and_taken() -> None:
    model = encoder()
    joined = join_mentions(
        [model.mention_features(MENTIONS[:2]), model.mention_features(MENTIONS[2:])]
    )
    order = np.asarray([4, 0, 3, 3])
    with torch.inference_mode():
        vectors = model.mention_vectors(joined.take(order)).numpy()
        entities = model.entity_vectors(model.entity_features(ENTITIES).take(np.asarray([3, 1])))
    np.testing.assert_allclose(vectors, model.encode_mentions(MENTIONS)[order], atol=1e-5)
    np.testing.assert_allclose(entities.numpy(), model.encode_entities(ENTITIES)[[3, 1]], atol=1e-5)


def test_a_saved_model_gives_nearly_the_same_vectors(tmp_path: Path) -> None:
    model = encoder(seed=5)
    model.save(tmp_path / "a")
    loaded = DualEncoder.load(tmp_path / "a")
    assert loaded.config == model.config
    assert not loaded.training
    before, after = model.encode_mentions(MENTIONS), loaded.encode_mentions(MENTIONS)
    assert (before * after).sum(axis=1).min() > 0.998  # matrices are kept in eight bits
    for name, kept in loaded.state_dict().items():
        tensor = model.state_dict()[name]
        if tensor.dim() == 2:
            step = tensor.abs().amax(dim=1, keepdim=True) / 127
            assert ((tensor - kept).abs() <= 0.52 * step).all(), name
        else:
            assert torch.equal(tensor, kept), name
    files = sorted((tmp_path / "a").iterdir())
    assert [file.name for file in files] == ["config.json", "weights.safetensors"]
    assert len({file.stat().st_mode for file in files}) == 1  # weights are as readable as the rest


@pytest.mark.parametrize("width", [95, 96, 7])
def test_a_table_of_four_bits_is_near_and_a_quarter_of_a_byte_more(width: int) -> None:
    torch.manual_seed(0)
    table = torch.randn(50, width) * torch.logspace(-3, 1, 50)[:, None]
    table[7] = 0.0
    packed, scales = saved.pack(table)
    assert packed.shape == (50, -(-width // 2)) and packed.dtype == torch.uint8
    assert scales.shape == (50, -(-width // 48)) and scales.dtype == torch.half
    again = saved.unpack(packed, scales, width=width)
    assert again.shape == table.shape
    assert torch.equal(again[7], table[7])
    for row in range(50):  # a plain double loop over what was stored
        for column in range(width):
            byte = int(packed[row, column // 2])
            number = (byte >> 4 if column % 2 else byte & 15) - 8
            assert float(again[row, column]) == number * float(scales[row, column // 48])
    step = table.abs().amax(dim=1, keepdim=True) / 6.9
    assert ((again - table).norm(dim=1) <= 0.5 * (step * width**0.5)[:, 0]).all()
    assert (again - table).norm() < 0.12 * table.norm()


def test_a_table_can_be_saved_in_four_bits(tmp_path: Path) -> None:
    model = encoder(seed=5)
    model.config = replace(model.config, saved_bits=4)
    model.save(tmp_path)
    loaded = DualEncoder.load(tmp_path)
    assert loaded.config.saved_bits == 4
    before, after = model.encode_mentions(MENTIONS), loaded.encode_mentions(MENTIONS)
    assert (before * after).sum(axis=1).min() > 0.97
    loaded.save(tmp_path / "again")  # nothing more is lost
    again = DualEncoder.load(tmp_path / "again")
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=2e-3, atol=1e-6)


def test_other_bits_of_a_table_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"saved_bits is 5; it must be 4 or 8"):
        DualEncoderConfig(saved_bits=5)


@pytest.mark.parametrize("damage", ["config", "keys", "weights", "cut", "missing", "shape"])
def test_a_folder_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    encoder().save(tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "weights.safetensors"
    if damage == "config":
        config.write_text("{", encoding="utf-8")
    elif damage == "keys":
        config.write_text('{"char_lengths": [3], "colour": 1}', encoding="utf-8")
    elif damage == "weights":
        weights.write_bytes(b"\x00" * 100)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif damage == "missing":
        weights.unlink()
    else:
        values = json.loads(config.read_text(encoding="utf-8")) | {"hidden": 25}
        config.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BundleError, match="not a retriever of this version") as caught:
        DualEncoder.load(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and "\n" not in message and len(message) < 500


@pytest.mark.parametrize(
    "sizes", [{"table_rows": 1000}, {"table_rows": 0}, {"char_lengths": (2, 3)}]
)
def test_sizes_that_cannot_work_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(sizes))):
        replace(DualEncoderConfig(), **sizes)  # type: ignore[arg-type]


def test_character_features_can_be_left_out() -> None:
    model = DualEncoder(
        DualEncoderConfig(
            table_rows=64, embedding=4, text=4, hidden=4, vector=4, sparse=2, char_lengths=()
        )
    )
    assert model.encode_mentions(MENTIONS).shape == (5, 4)


def memorise(
    n_steps: int, **changes: str
) -> tuple[DualEncoder, list[MentionInput], list[EntityInput]]:
    """Train on 50 mentions of the same name, which only their contexts tell apart."""
    torch.manual_seed(1)
    sizes = DualEncoderConfig(
        table_rows=1 << 10, embedding=16, text=16, hidden=32, vector=16, sparse=4, dropout=0.0
    )
    model = DualEncoder(replace(sizes, **changes))  # type: ignore[arg-type]
    mentions = [
        MentionInput("Jordan", f"a{i} b{i % 7}", f"c{i}", f"a{i} Jordan c{i}", "PER")
        for i in range(50)
    ]
    entities = [EntityInput("Jordan", f"d{i} e{i % 5}", (f"t{i % 3}",), None, i) for i in range(50)]
    m, e = model.mention_features(mentions), model.entity_features(entities)
    ids = torch.arange(50)

    def loss_at(step: int) -> torch.Tensor:
        scores = model.mention_vectors(m) @ model.entity_vectors(e).T * model.log_scale.exp()
        return in_batch_softmax(scores, ids, ids)

    fit(model, loss_at, LoopConfig(n_steps=n_steps, learning_rate=0.01), title="memorise")
    return model, mentions, entities


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = memorise(4)[0].state_dict(), memorise(4)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("sharing", SHARING)
def test_fifty_mentions_can_be_learnt_by_heart(sharing: str) -> None:
    n_steps = 240 if sharing == "ade-fte" else 90  # frozen embeddings leave the layers to learn
    model, mentions, entities = memorise(n_steps, sharing=sharing)
    scores = model.encode_mentions(mentions) @ model.encode_entities(entities).T
    assert (scores.argmax(axis=1) == np.arange(50)).mean() == 1.0


def test_scored_by_inner_product_vectors_keep_their_length() -> None:
    by_cosine = encoder(seed=4)
    by_dot = DualEncoder(replace(by_cosine.config, scoring="dot"))
    by_dot.load_state_dict(by_cosine.state_dict())
    for long, unit in (
        (by_dot.encode_mentions(MENTIONS), by_cosine.encode_mentions(MENTIONS)),
        (by_dot.encode_entities(ENTITIES), by_cosine.encode_entities(ENTITIES)),
    ):
        lengths = np.linalg.norm(long, axis=1, keepdims=True)
        assert lengths.max() > 1.1 * lengths.min()
        np.testing.assert_allclose(long / lengths, unit, atol=1e-5)
    with pytest.raises(ConfigError, match="scoring is 'sum'"):
        replace(by_dot.config, scoring="sum")


OF_DEER = {  # what a folder of the first version holds; later ones must go on to read it
    "embedder.table.weight": (4096, 12),
    "name_text.layer.weight": (16, 36),
    "name_text.layer.bias": (16,),
    "context_text.layer.weight": (16, 24),
    "context_text.layer.bias": (16,),
    "description_text.layer.weight": (16, 24),
    "description_text.layer.bias": (16,),
    "labels.table.weight": (64, 6),
    "labels.layer.weight": (6, 6),
    "labels.layer.bias": (6,),
    "types.table.weight": (4096, 6),
    "types.layer.weight": (6, 6),
    "types.layer.bias": (6,),
    "context.first.weight": (24, 48),
    "context.first.bias": (24,),
    "context.second.weight": (16, 24),
    "context.second.bias": (16,),
    "mention.first.weight": (24, 38),
    "mention.first.bias": (24,),
    "mention.second.weight": (16, 24),
    "mention.second.bias": (16,),
    "content.first.weight": (24, 25),
    "content.first.bias": (24,),
    "content.second.weight": (16, 24),
    "content.second.bias": (16,),
    "entity.first.weight": (24, 32),
    "entity.first.bias": (24,),
    "entity.second.weight": (16, 24),
    "entity.second.bias": (16,),
    "name_path.weight": (16, 16),
    "log_scale": (),
}


def test_a_folder_of_the_first_version_loads(tmp_path: Path) -> None:
    """And what is like it is written as it was then, so that the first version reads it too."""
    encoder().save(tmp_path)
    state = load_file(tmp_path / "weights.safetensors")
    scales = {n: tuple(t.shape) for n, t in state.items() if n.endswith(".scale")}
    shapes = {n: tuple(t.shape) for n, t in state.items() if n not in scales}
    assert shapes == OF_DEER
    assert scales == {f"{n}.scale": shape[:1] for n, shape in OF_DEER.items() if len(shape) == 2}
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    first = ("char_lengths", "dropout", "embedding", "hidden", "sparse", "sparse_rows")
    assert sorted(config) == [*first, "table_rows", "text", "vector"]


def test_weights_of_another_scheme_are_refused(tmp_path: Path) -> None:
    encoder().save(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(values | {"sharing": "ade"})
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"weights do not fit, for example entities\.embedder"):
        DualEncoder.load(tmp_path)


@pytest.mark.parametrize("without", INPUTS)
def test_an_input_that_is_hidden_changes_nothing(without: str) -> None:
    model = encoder()
    blind = DualEncoder(replace(model.config, without=(without,)))
    blind.load_state_dict(model.state_dict())
    mention, entity = MENTIONS[0], ENTITIES[0]
    changes = {"types": ("T",), "popularity": None, "degree": 3}
    value = changes.get(without, "something else")
    if without in ("left", "right", "sentence", "label"):
        other = replace(mention, **{without: value})  # type: ignore[arg-type]
        a, b = model.encode_mentions([mention, other])
        x, y = blind.encode_mentions([mention, other])
    else:
        changed = replace(entity, **{without: value})  # type: ignore[arg-type]
        a, b = model.encode_entities([entity, changed])
        x, y = blind.encode_entities([entity, changed])
    assert not np.array_equal(a, b)
    np.testing.assert_allclose(x, y, atol=1e-7)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("sharing", "all"),
        ("mention_encoder", "rnn"),
        ("entity_encoder", "bert"),  # and the other a bag: then nothing can be shared
        ("views", ()),
        ("views", ("nickname",)),
        ("without", ("span",)),
    ],
)
def test_choices_that_cannot_be_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=r"must be one of|name at least one|share nothing"):
        replace(DualEncoderConfig(), **{setting: value})  # type: ignore[arg-type]
