"""Towers that are a BERT: against a pass written out plainly, and what padding may not do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from entlink.encode.config import SHARING, BertReading, DualEncoderConfig
from entlink.encode.dual import DualEncoder
from entlink.encode.reader import BertEntities, BertMentions
from entlink.encode.tokens import BertWords
from entlink.errors import BundleError, ConfigError
from entlink.inputs import EntityInput, MentionInput, entity_inputs, entity_numbers
from entlink.train.loop import LoopConfig, fit
from entlink.train.losses import in_batch_softmax
from entlink.train.retriever import begin_with
from tests.encode.inputs import ENTITIES, MENTIONS
from tests.tiny import ENTITIES as KB
from tests.tiny import write_bert

Array = NDArray[np.float64]
READING = BertReading(mention_tokens=12, span_tokens=5, entity_tokens=10, name_tokens=4)
SIZES = DualEncoderConfig(
    table_rows=256,
    embedding=4,
    text=6,
    hidden=8,
    vector=16,
    sparse=5,
    sparse_rows=32,
    mention_encoder="bert",
    entity_encoder="bert",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a small BERT with random weights."""
    folder = tmp_path_factory.mktemp("base")
    write_bert(folder, (e.description or "" for e in KB), positions=40)
    return folder


def encoder(
    base: Path, *, seed: int = 0, reading: BertReading = READING, **c: object
) -> DualEncoder:
    torch.manual_seed(seed)
    sizes = replace(SIZES, bert=replace(reading, base=base), **c)  # type: ignore[arg-type]
    model = DualEncoder(sizes)
    for tower in (model.mentions, model.entities):
        if isinstance(tower, BertMentions | BertEntities):
            torch.nn.init.normal_(tower.side.weight, std=0.3)  # zero before training
    model.count_tokens([i for e in KB for i in entity_inputs(e)])
    return model.eval()


class Plain:
    """A tower by itself: one sequence at a time, its parts put together in NumPy."""

    def __init__(self, model: DualEncoder) -> None:
        self.model = model
        self.state = {n: t.double().numpy() for n, t in model.state_dict().items()}
        assert model.base is not None
        self.tokenizer = model.base.words.tokenizer

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def mark(self, name: str) -> int:
        found = self.tokenizer.token_to_id(name)
        assert found is not None
        return found

    def mention(self, m: MentionInput) -> Array:
        reading = self.model.config.bert
        left, span, right = self.ids(m.left), self.ids(m.span), self.ids(m.right)
        span = span[: reading.span_tokens]
        room = reading.mention_tokens - len(span)
        while len(left) + len(right) > room:  # the longer side gives way, the right one of equals
            if len(left) > len(right):
                left = left[1:]
            else:
                right = right[:-1]
        begin, end = self.mark("[unused0]"), self.mark("[unused1]")
        ids = [*left, begin, *span, end, *right]
        label = self.sparse("mentions.labels", (m.label,))
        return self.vector("mentions", ids, label)

    def entity(self, e: EntityInput) -> Array:
        reading = self.model.config.bert
        name = self.ids(e.name)[: reading.name_tokens]
        text = self.ids(e.description)[: reading.entity_tokens - len(name)]
        beside = [self.sparse("entities.types", e.types), np.asarray(entity_numbers(e))]
        ids = [*name, self.mark("[unused2]"), *text]
        return self.vector("entities", ids, np.concatenate(beside))

    def sparse(self, name: str, ids: tuple[str, ...]) -> Array:
        from tests.encode.test_dual import Plain as Bags

        bags = Bags(self.model)
        bags.tower, part = name.split(".")
        return np.asarray(bags.sparse(part, ids), dtype=np.float64)

    def vector(self, tower: str, ids: list[int], beside: Array) -> Array:
        reading = self.model.config.bert
        whole = [self.mark("[CLS]"), *ids, self.mark("[SEP]")]
        text = getattr(self.model, tower).text
        with torch.inference_mode():
            tokens = torch.tensor([whole])
            found = text.bert(tokens, torch.zeros_like(tokens), torch.ones_like(tokens).bool())
        layers: Array = found[0].double().numpy()
        pooled = layers[0] if reading.pooling == "cls" else layers.mean(axis=0)
        vector = self.project(tower, pooled) + self.state[f"{tower}.side.weight"] @ beside
        vector = vector / np.linalg.norm(vector)
        if reading.enrichment:
            rare = self.state["mentions.text.weights.idf"]
            table = self.state[f"{tower}.text.bert.embeddings.word_embeddings.weight"]
            words = np.zeros(table.shape[1])
            for i in whole:
                words += rare[i] * table[i]
            projected = self.project(tower, words)
            length = float(np.linalg.norm(projected))
            vector = vector + reading.enrichment * projected / (length or 1.0)
            vector = vector / np.linalg.norm(vector)
        return np.asarray(vector)

    def project(self, tower: str, x: Array) -> Array:
        weight = self.state.get(f"{tower}.text.project.weight")
        return x if weight is None else np.asarray(weight @ x)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize(
    "changes",
    [{}, {"pooling": "mean", "enrichment": 0.7}],
    ids=["first token", "mean, enriched"],
)
def test_both_towers_equal_the_formulas(
    base: Path, sharing: str, changes: dict[str, object]
) -> None:
    reading = replace(READING, **changes)  # type: ignore[arg-type]
    model = encoder(base, seed=3, reading=reading, sharing=sharing)
    plain = Plain(model)
    mentions = np.stack([plain.mention(m) for m in MENTIONS])
    entities = np.stack([plain.entity(e) for e in ENTITIES])
    np.testing.assert_allclose(model.encode_mentions(MENTIONS), mentions, atol=2e-5)
    np.testing.assert_allclose(model.encode_entities(ENTITIES), entities, atol=2e-5)


def test_padding_changes_nothing(base: Path) -> None:
    """Alone a sequence has no padding; among longer ones it has."""
    model = encoder(base)
    assert len(model.entity_features(ENTITIES)) == len(ENTITIES)
    long = [replace(MENTIONS[0], left="a b c d " * 9), *MENTIONS]
    together = model.encode_mentions(long)
    for mention, vector in zip(long, together, strict=True):
        np.testing.assert_allclose(model.encode_mentions([mention])[0], vector, atol=1e-5)
    entities = [*ENTITIES, replace(ENTITIES[0], description="w " * 40)] * 30  # over one group
    together = model.encode_entities(entities)
    for entity, vector in zip(entities[:5], together, strict=False):
        np.testing.assert_allclose(model.encode_entities([entity])[0], vector, atol=1e-5)
    np.testing.assert_allclose(together[5:10], together[:5], atol=1e-5)


def shared(model: DualEncoder) -> dict[str, bool]:
    state = model.state_dict()
    words, layer = "bert.embeddings.word_embeddings", "bert.encoder.layer.0.output.dense"
    parts = {"words": words, "layers": layer, "projection": "project"}
    pairs = {
        part: [state[f"{tower}.text.{name}.weight"] for tower in ("mentions", "entities")]
        for part, name in parts.items()
    }
    return {part: a.data_ptr() == b.data_ptr() for part, (a, b) in pairs.items()}


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ("deer", (True, True, False)),
        ("sde", (True, True, True)),
        ("ade", (False, False, False)),
        ("ade-ste", (True, False, False)),
        ("ade-fte", (True, False, False)),
        ("ade-spl", (False, False, True)),
    ],
)
def test_towers_share_what_the_scheme_says(
    base: Path, tmp_path: Path, sharing: str, expected: tuple[bool, bool, bool]
) -> None:
    model = encoder(base, sharing=sharing)
    assert tuple(shared(model).values()) == expected
    first = model.state_dict()["mentions.text.bert.embeddings.word_embeddings.weight"].clone()
    learn(model, steps=2)
    words = model.state_dict()["mentions.text.bert.embeddings.word_embeddings.weight"]
    assert torch.equal(first, words) == (sharing == "ade-fte")
    model.save(tmp_path)
    loaded = DualEncoder.load(tmp_path)
    assert tuple(shared(loaded).values()) == expected
    same = (model.encode_mentions(MENTIONS) * loaded.encode_mentions(MENTIONS)).sum(axis=1)
    assert same.min() > 0.999  # BERT in half precision, other matrices in eight bits
    assert (loaded.encode_entities(ENTITIES) * model.encode_entities(ENTITIES)).sum(1).min() > 0.999
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert "base" not in json.loads(text)["bert"]  # a path of the machine that trained it


def learn(model: DualEncoder, *, steps: int) -> tuple[list[MentionInput], list[EntityInput]]:
    """Fit 50 mentions of one name that only their contexts tell apart."""
    generator = np.random.default_rng(0)
    letters = ["".join(generator.choice(list("abcdefghij"), 3)) for _ in range(50)]
    mentions = [MentionInput("Jordan", w, f"{w[::-1]} .", "", "PER") for w in letters]
    entities = [
        EntityInput("Jordan", f"{w} {i % 7}", (f"t{i % 3}",), None, i)
        for i, w in enumerate(letters)
    ]
    m, e = model.mention_features(mentions), model.entity_features(entities)
    ids = torch.arange(50)

    def loss_at(step: int) -> torch.Tensor:
        scores = model.mention_vectors(m) @ model.entity_vectors(e).T * model.log_scale.exp()
        return in_batch_softmax(scores, ids, ids)

    fit(model, loss_at, LoopConfig(n_steps=steps, learning_rate=3e-3), title="learn")
    return mentions, entities


def test_fifty_mentions_can_be_learnt_by_heart_and_again_the_same(base: Path) -> None:
    models = [encoder(base, sharing="ade-spl", seed=5) for _ in range(2)]
    for module in models[0].modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    mentions, entities = learn(models[0], steps=60)
    scores = models[0].encode_mentions(mentions) @ models[0].encode_entities(entities).T
    assert (scores.argmax(axis=1) == np.arange(50)).mean() == 1.0
    first, second = encoder(base, seed=5), encoder(base, seed=5)
    learn(first, steps=2)
    torch.rand(3)
    learn(second, steps=2)
    others = second.state_dict()
    assert all(torch.equal(t, others[n]) for n, t in first.state_dict().items())


@pytest.mark.parametrize("kinds", [("bag", "bert"), ("bert", "bag")])
def test_towers_may_be_of_different_kinds(
    base: Path, tmp_path: Path, kinds: tuple[str, str]
) -> None:
    model = encoder(base, mention_encoder=kinds[0], entity_encoder=kinds[1], sharing="ade")
    learn(model, steps=1)
    model.save(tmp_path)
    loaded = DualEncoder.load(tmp_path)
    for a, b in (
        (model.encode_mentions(MENTIONS), loaded.encode_mentions(MENTIONS)),
        (model.encode_entities(ENTITIES), loaded.encode_entities(ENTITIES)),
    ):
        assert a.shape[1] == 16
        assert (a * b).sum(axis=1).min() > 0.998
    kinds_of = {type(loaded.mentions).__name__, type(loaded.entities).__name__}
    assert kinds_of == (
        {"BagMentions", "BertEntities"} if kinds[0] == "bag" else {"BertMentions", "BagEntities"}
    )


def test_rare_tokens_count_more(base: Path) -> None:
    model = encoder(base)
    tower = model.entities
    assert isinstance(tower, BertEntities) and model.base is not None
    entities = [EntityInput("a", "b", (), None, 0), EntityInput("a", "c a", (), None, 0)] * 3
    model.count_tokens(entities)
    idf = tower.text.weights.idf.detach().numpy()
    ids = {t: model.base.words.tokenizer.token_to_id(t) for t in ("a", "b", "z", "[CLS]")}
    assert idf[ids["a"]] == 0.0  # in all six
    assert idf[ids["b"]] == pytest.approx(np.log(6 / (1 + 3)))
    assert idf[ids["z"]] == pytest.approx(np.log(6))
    assert idf[ids["[CLS]"]] == 0.0


def test_without_projection_vectors_have_the_size_of_the_base(base: Path) -> None:
    reading = replace(READING, project=False)
    model = encoder(base, reading=reading, vector=32)
    plain = Plain(model)
    expected = np.stack([plain.mention(m) for m in MENTIONS])
    np.testing.assert_allclose(model.encode_mentions(MENTIONS), expected, atol=2e-5)
    with pytest.raises(ConfigError, match="write 32"):
        encoder(base, reading=reading)


def test_embeddings_of_another_encoder_go_to_the_bags(base: Path) -> None:
    sizes = replace(SIZES, mention_encoder="bag", entity_encoder="bag")
    bags = DualEncoder(replace(sizes, sharing="ade"))
    mixed = encoder(base, mention_encoder="bag", sharing="ade")
    before = mixed.entities.state_dict()["text.project.weight"].clone()
    begin_with(mixed, bags)
    tables = [m.mentions.state_dict()["embedder.table.weight"] for m in (mixed, bags)]
    assert torch.equal(*tables)
    assert torch.equal(mixed.entities.state_dict()["text.project.weight"], before)
    with pytest.raises(ConfigError, match="no bag"):
        begin_with(bags, encoder(base))


def test_what_cannot_work_is_one_sentence(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not fit a BERT of 40"):
        encoder(base, reading=BertReading())
    with pytest.raises(ConfigError, match="base is missing"):
        DualEncoder(SIZES)
    with pytest.raises(ConfigError, match="pooling is 'max'"):
        BertReading(pooling="max")
    with pytest.raises(ConfigError, match="name_tokens is 70"):
        BertReading(name_tokens=70)
    with pytest.raises(ConfigError, match="unit length"):
        replace(SIZES, scoring="dot")
    with pytest.raises(ConfigError, match="enrichment is -1"):
        BertReading(enrichment=-1.0)
    with pytest.raises(BundleError, match="not a BERT folder"):
        encoder(tmp_path)
    with pytest.raises(BundleError, match=r"lacks \[unused0\]"):
        BertWords(Tokenizer(WordPiece({"[CLS]": 0, "[SEP]": 1}, unk_token="[SEP]")), READING)
    model = encoder(base)
    model.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        DualEncoder.load(tmp_path)
    (tmp_path / "bert.json").unlink()
    with pytest.raises(BundleError, match="not a retriever of this version"):
        DualEncoder.load(tmp_path)
