"""Training the retriever on a small world, and its parts against loops."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from entlink.encode.config import BertReading
from entlink.encode.dual import DualEncoder, DualEncoderConfig
from entlink.encode.features import Bags
from entlink.errors import ConfigError, InputError
from entlink.inputs import entity_inputs, mention_input, surfaces, view_names
from entlink.kb.build import build_kb
from entlink.records import Entity
from entlink.retrieve.index import VectorIndex
from entlink.train import loop, retriever
from entlink.train.data import Example, fold_of, read_examples
from entlink.train.retriever import RetrieverTraining, hard_negatives, recall_at, train_retriever
from entlink.train.retriever_sets import training_sets
from entlink.train.tables import EntityTable, MentionTable, read_views
from tests.tiny import ENTITIES, encoder, write_bert
from tests.train.world import TOPICS, World, entities, write_lines, write_world

SIZES = DualEncoderConfig(
    table_rows=1 << 11, embedding=16, text=16, hidden=32, vector=16, sparse=4, dropout=0.0
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


def settings(world: World, out: Path) -> RetrieverTraining:
    return RetrieverTraining(
        kb=world.kb,
        out=out,
        mentions=(world.mentions,),
        dev=(world.dev,),
        views=(world.view,),
        relations=world.relations,
        relation_sources=("a",),
        n_composed=16,
        n_aliases=16,
        rounds=2,
        first_epochs=14,
        round_epochs=2,
        batch_size=48,
        learning_rate=0.01,
        encoder=SIZES,
    )


def first_choices(folder: Path, examples: list[Example]) -> float:
    """How often the nearest entity is the gold one, entity by entity."""
    model = DualEncoder.load(folder)
    known = {entity.id: model.encode_entities(entity_inputs(entity)) for entity in entities()}
    hits = []
    for e in examples:
        query = model.encode_mentions([mention_input(e.text, e.start, e.end)])[0]
        best = max(known, key=lambda id: float((known[id] @ query).max()))
        hits.append(best == e.gold)
    return float(np.mean(hits))


def test_contexts_are_learnt(world: World, tmp_path: Path) -> None:
    recalls = train_retriever(settings(world, tmp_path / "out"))
    known = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    right = first_choices(tmp_path / "out", known)
    assert right > 0.9  # by name alone it would be about a half
    assert recalls["recall@1"] == pytest.approx(right, abs=0.05)  # it was saved in eight bits
    assert recalls["recall@100"] == 1.0


def test_the_same_seed_trains_the_same_retriever(world: World, tmp_path: Path) -> None:
    config = replace(
        settings(world, tmp_path / "a"), first_epochs=1, round_epochs=1, n_aliases=0, seed=7
    )
    first = train_retriever(config)
    torch.rand(3)
    second = train_retriever(replace(config, out=tmp_path / "b"))
    assert first == second
    a, b = ((tmp_path / x / "weights.safetensors").read_bytes() for x in "ab")
    assert a == b


class Kill(Exception):
    """As if the machine went down."""


@pytest.mark.parametrize("die_at", [(0, 3), (0, 12), (1, 2), (2, 1), (2, 6)])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, die_at: tuple[int, int]
) -> None:
    config = replace(
        settings(world, tmp_path / "whole"), first_epochs=2, rounds=3, round_epochs=1, patience=9
    )
    expected = train_retriever(config)
    config = replace(config, out=tmp_path / "killed")
    real = loop.LoopConfig
    monkeypatch.setattr(retriever, "LoopConfig", partial(real, checkpoint_every=2))
    fit = loop.fit
    begun: list[int] = []

    def dying(*args: Any, after_step: Any, **named: Any) -> None:
        number = int(named["title"].rsplit(" ", 1)[1])
        begun.append(number)

        def after(done: int) -> None:
            after_step(done)
            if (number, done) == die_at:
                raise Kill

        fit(*args, after_step=after, **named)

    with monkeypatch.context() as patched:
        patched.setattr(retriever, "fit", dying)
        with pytest.raises(Kill):
            train_retriever(config)
        last = begun[-1]
        begun.clear()
        die_at = (-1, -1)
        with pytest.raises(ConfigError, match="with other settings"):
            train_retriever(replace(config, seed=5))
        assert train_retriever(config) == expected
    assert begun[0] == max(0, last - 1)
    a, b = ((tmp_path / x / "weights.safetensors").read_bytes() for x in ("whole", "killed"))
    assert a == b
    histories = [
        json.loads((tmp_path / f"{x}.history.json").read_text()) for x in ("whole", "killed")
    ]
    assert histories[0]["evaluations"] == histories[1]["evaluations"]
    assert len(histories[0]["evaluations"]) == 4
    assert not list(tmp_path.glob("*.checkpoint"))


def test_training_stops_when_recall_no_longer_rises(world: World, tmp_path: Path) -> None:
    """It cannot rise where nothing is learnt; of equals the later one is kept."""
    config = replace(settings(world, tmp_path / "out"), rounds=3, first_epochs=2, patience=1)
    random = replace(config, learning_rate=0.3, first_epochs=40, out=tmp_path / "wild")
    train_retriever(random)
    history = json.loads((tmp_path / "wild.history.json").read_text(encoding="utf-8"))
    sums = [sum(v for k, v in e.items() if "@" in k) for e in history["evaluations"]]
    assert len(sums) < 40 and sums[-1] < max(sums[:-1])
    assert all(b >= a for a, b in pairwise(sums[:-1]))
    with pytest.raises(ConfigError, match="patience needs mentions"):
        replace(config, dev=())
    with pytest.raises(ConfigError, match="patience is -1"):
        replace(config, patience=-1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"finished": false}'])
def test_a_history_that_is_none_is_one_line(world: World, tmp_path: Path, text: str) -> None:
    (tmp_path / "out.history.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="no history") as caught:
        train_retriever(settings(world, tmp_path / "out"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kinds", [("bert", "bert"), ("bag", "bert")])
def test_berts_are_trained_by_the_same_command(
    world: World, tmp_path: Path, kinds: tuple[str, str]
) -> None:
    write_bert(
        tmp_path / "base",
        (text for _, text, more in TOPICS for text in (text, *more)),
        positions=40,
    )
    reading = BertReading(
        base=tmp_path / "base", mention_tokens=20, entity_tokens=20, enrichment=0.1
    )
    sizes = replace(
        SIZES,
        mention_encoder=kinds[0],
        entity_encoder=kinds[1],
        sharing="ade",
        bert=reading,
        views=("name", "description"),
    )
    config = replace(
        settings(world, tmp_path / "out"),
        encoder=sizes,
        views=(),
        n_aliases=8,
        n_composed=8,
        first_epochs=3,
        learning_rate=0.002,
        bf16=True,
    )
    recalls = train_retriever(config)
    assert recalls["recall@100"] == 1.0
    model = DualEncoder.load(tmp_path / "out")
    assert (model.config.mention_encoder, model.config.entity_encoder) == kinds
    idf = model.state_dict()["entities.text.weights.idf"]
    assert idf.unique().numel() > 2  # counted over the descriptions
    known = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    vectors = model.encode_mentions([mention_input(e.text, e.start, e.end) for e in known])
    assert np.isfinite(vectors).all()


def test_a_training_that_had_stopped_is_not_taken_up_again(world: World, tmp_path: Path) -> None:
    """It was killed after its last evaluation, before it could end."""
    config = replace(
        settings(world, tmp_path / "out"), learning_rate=0.3, first_epochs=40, patience=1
    )
    expected = train_retriever(config)
    path = tmp_path / "out.history.json"
    history = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(history | {"finished": False}), encoding="utf-8")
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    assert train_retriever(config) == expected
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
    assert json.loads(path.read_text(encoding="utf-8")) == history


def test_some_entities_may_be_hidden(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as gold nor as a negative does training see them."""
    seen: list[set[str]] = []
    real = EntityTable.of.__func__  # type: ignore[attr-defined]

    def spy(
        cls: type[EntityTable], model: DualEncoder, known: list[Entity], /, **more: Any
    ) -> object:
        seen.append({entity.id for entity in known})
        return real(cls, model, known, **more)

    monkeypatch.setattr(EntityTable, "of", classmethod(spy))
    config = replace(settings(world, tmp_path / "out"), rounds=1, first_epochs=1, hidden=3)
    train_retriever(config)
    expected = {f"E{i}" for i in range(16) if zlib.crc32(f"E{i}".encode()) % 3}
    assert seen == [expected, expected] and 0 < len(expected) < 16


@pytest.mark.parametrize("changes", [{"loss": "triplet"}, {"bf16": True}, {"loss": "hinge"}])
def test_other_losses_and_precisions_learn_too(
    world: World, tmp_path: Path, changes: dict[str, Any]
) -> None:
    base = settings(world, tmp_path / "out")
    if changes.get("loss") == "hinge":
        with pytest.raises(ConfigError, match="loss is 'hinge'"):
            replace(base, **changes)
        return
    train_retriever(replace(base, **changes))
    known = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    assert first_choices(tmp_path / "out", known) > 0.9


def test_a_surface_is_the_same_one_in_every_view() -> None:
    """Also where only one of the views has a description to be found by."""
    views = ("name", "description")
    model = DualEncoder(replace(encoder().config, views=views))
    first = entities()
    second = [replace(e, description=None if i % 3 else "other") for i, e in enumerate(first)]
    first[0] = replace(first[0], description=None)
    own, other = EntityTable.of(model, first), EntityTable.of(model, second, first=first)
    assert own.rows.tolist() == other.rows.tolist() == [0, *np.repeat(range(1, len(first)), 2)]
    every = np.arange(len(own))
    names = [name for entity in first for name in view_names(entity, views)]
    texts = [entity_inputs(second[row], views)[0].description for row in own.rows]
    found = other.take(every)
    assert isinstance(found.name, Bags) and isinstance(found.description, Bags)
    wanted = model.entity_words.names(names), model.entity_words.prose(texts)
    for bags, expected in zip((found.name, found.description), wanted, strict=True):
        assert isinstance(expected, Bags)
        assert bags.word.ids.tolist() == expected.word.ids.tolist()
        assert bags.word.offsets.tolist() == expected.word.offsets.tolist()


def test_descriptions_alone_have_vectors_that_are_learnt(world: World, tmp_path: Path) -> None:
    views = ("name", "aliases", "description")
    config = replace(
        settings(world, tmp_path / "out"),
        encoder=replace(SIZES, views=views),
        keep_rounds=True,
        questions=(world.mentions,),
    )
    train_retriever(config)
    for folder in (tmp_path / "out", tmp_path / "out.round0", tmp_path / "out.round1"):
        assert DualEncoder.load(folder).config.views == views
    model = DualEncoder.load(tmp_path / "out")
    table = EntityTable.of(model, entities())
    assert table.rows.tolist() == [row for row in range(16) for _ in range(3)]
    bare = model.encode_entities([entity_inputs(e, ("description",))[0] for e in entities()])
    asked = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    queries = model.encode_mentions([mention_input(e.text, e.start, e.end) for e in asked])
    # two descriptions, one for rivers and one for singers, and the name of each mention is of both
    topics = [int((queries[i] @ bare.T).argmax()) % 2 for i in range(len(asked))]
    right = [topic == int(e.gold[1:]) % 2 for topic, e in zip(topics, asked, strict=True)]
    assert np.mean(right) > 0.9


def test_embeddings_are_taken_over(world: World, tmp_path: Path) -> None:
    encoder().save(tmp_path / "other")
    given = DualEncoder.load(tmp_path / "other").state_dict()["mentions.embedder.table.weight"]
    sizes = replace(encoder().config, sharing="ade-fte")
    config = replace(
        settings(world, tmp_path / "out"),
        embeddings=tmp_path / "other",
        encoder=sizes,
        first_epochs=1,
        rounds=1,
    )
    train_retriever(config)
    found = DualEncoder.load(tmp_path / "out").state_dict()
    for tower in ("mentions", "entities"):
        torch.testing.assert_close(
            found[f"{tower}.embedder.table.weight"], given, atol=0.01, rtol=0.01
        )
    with pytest.raises(ConfigError, match="a table of"):
        train_retriever(replace(config, encoder=SIZES, out=tmp_path / "never"))


def test_examples_without_noise(world: World, tmp_path: Path) -> None:
    config = replace(settings(world, tmp_path), mentions=(), n_composed=300, n_aliases=300)
    rows = {entity.id: row for row, entity in enumerate(entities())}
    names = {name for entity in entities() for name in surfaces(entity)}
    clean = training_sets(replace(config, noise=False), entities(), rows)
    assert len(clean) == 2
    for examples in clean:
        assert {e.text[e.start : e.end] for e in examples} == names
    for examples in training_sets(config, entities(), rows):
        assert {e.text[e.start : e.end] for e in examples} - names


def test_distant_mentions(world: World, tmp_path: Path) -> None:
    """Two bear each name of the text; one bearer of each is related to one of the other."""
    texts, relations = tmp_path / "texts.jsonl", tmp_path / "relations.jsonl"
    write_lines(texts, [{"id": "p", "text": "In Dover they met Avon, and not Elba."}])
    fact: dict[str, object] = {
        "head": "E0",
        "property": "P1",
        "name": "near",
        "tail": "E7",
        "source": ["a"],
    }
    write_lines(relations, [fact])
    config = replace(
        settings(world, tmp_path / "out"),
        mentions=(),
        relations=relations,
        unlabelled=(texts,),
        n_distant=5,
        n_composed=0,
        n_aliases=0,
    )
    rows = {entity.id: row for row, entity in enumerate(entities())}
    (found,) = training_sets(config, entities(), rows)
    assert {(e.text[e.start : e.end], e.gold) for e in found} == {("Dover", "E7"), ("Avon", "E0")}


def test_without_dev_the_last_round_is_kept(world: World, tmp_path: Path) -> None:
    config = replace(
        settings(world, tmp_path / "out"),
        dev=(),
        views=(),
        relations=None,
        n_aliases=0,
        first_epochs=1,
        batch_size=1000,  # more than there are: one batch a round
    )
    assert train_retriever(config) == {}
    assert DualEncoder.load(tmp_path / "out").config == SIZES


def test_a_fold_is_left_out(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two runs sees the documents that the other does not."""
    seen: list[set[str]] = []
    real = MentionTable.of.__func__  # type: ignore[attr-defined]

    def spy(
        cls: type[MentionTable], model: DualEncoder, examples: list[Example], *rest: object
    ) -> object:
        seen.append({e.doc for e in examples})
        return real(cls, model, examples, *rest)

    monkeypatch.setattr(MentionTable, "of", classmethod(spy))
    config = replace(
        settings(world, tmp_path / "out"),
        dev=(),
        rounds=1,
        first_epochs=0,
        relations=None,
        n_aliases=0,
        n_folds=2,
    )
    for fold in (0, 1):
        train_retriever(replace(config, leave_out=fold))
    documents = {e.doc for e in read_examples([world.mentions]) if e.gold.startswith("E")}
    trained = [docs for docs in seen if docs]
    assert trained[0] == {doc for doc in documents if fold_of(doc, 2) == 1}
    assert trained[1] == {doc for doc in documents if fold_of(doc, 2) == 0}


def test_nothing_to_train_on_is_said(world: World, tmp_path: Path) -> None:
    config = replace(
        settings(world, tmp_path / "out"), mentions=(), relations=None, n_aliases=0, dev=()
    )
    with pytest.raises(InputError, match="no example to train on"):
        train_retriever(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["order", "names", "fewer"])
def test_views_must_have_the_same_entities_and_names(
    world: World, tmp_path: Path, change: str
) -> None:
    changed = entities()
    if change == "order":
        changed = changed[::-1]
    elif change == "names":
        changed[3] = replace(changed[3], aliases=("one", "two"))
    else:
        changed = changed[:-1]
    build_kb(changed, tmp_path / "other")
    assert len(read_views([world.kb, world.view])) == 2
    with pytest.raises(InputError, match="not the entities and names of"):
        read_views([world.kb, tmp_path / "other"])


def test_sizes_are_checked_when_the_file_is_read() -> None:
    with pytest.raises(ConfigError, match="table_rows"):
        DualEncoderConfig(table_rows=3)


def test_the_table_holds_what_the_encoder_would_be_given() -> None:
    model = encoder()
    table = EntityTable.of(model, ENTITIES)
    flat = [item for entity in ENTITIES for item in entity_inputs(entity)]
    assert len(table) == len(flat)
    assert table.rows.tolist() == [
        row for row, entity in enumerate(ENTITIES) for _ in surfaces(entity)
    ]
    order = np.random.default_rng(0).permutation(len(flat))
    with torch.inference_mode():
        found = model.entity_vectors(table.take(order)).numpy()
    expected = model.encode_entities(flat)[order]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mentions_point_to_the_surface_that_they_equal() -> None:
    model = encoder()
    rows = {entity.id: row for row, entity in enumerate(ENTITIES)}
    text = "MICHAEL  JORDAN, Mj, Air, jordan"
    spans = [(0, 15, "Q2"), (17, 19, "Q2"), (21, 24, "Q2"), (26, 32, "Q2"), (26, 32, "Q3")]
    examples = [Example("d", text, a, b, gold) for a, b, gold in spans]
    examples.insert(2, Example("d", text, 0, 3, "elsewhere"))
    table = MentionTable.of(model, examples, ENTITIES, rows)
    flat = [(e.id, name) for e in ENTITIES for name in surfaces(e)]
    assert [flat[i] for i in table.primary] == [
        ("Q2", "Michael Jordan"),
        ("Q2", "Michael Jordan"),
        ("Q2", "Michael Jordan"),
        ("Q2", "Michael Jordan"),
        ("Q3", "Jordan"),
    ]
    assert [flat[i][1] for i in table.exact] == [
        "Michael Jordan",
        "MJ",
        "Michael Jordan",
        "Jordan",
        "Jordan",
    ]
    assert table.gold.tolist() == [rows["Q2"]] * 4 + [rows["Q3"]]
    assert len(table) == len(table.features) == 5
    with torch.inference_mode():
        vectors = model.mention_vectors(table.features).numpy()
    inputs = [mention_input(text, a, b) for a, b, _ in spans]
    np.testing.assert_allclose(vectors, model.encode_mentions(inputs), atol=1e-5)


def test_an_empty_table() -> None:
    table = MentionTable.of(encoder(), [], ENTITIES, {})
    assert len(table) == len(table.features) == 0


@pytest.fixture(scope="module")
def searched() -> tuple[DualEncoder, VectorIndex, EntityTable, MentionTable]:
    model = encoder(seed=8)
    rows = {entity.id: row for row, entity in enumerate(ENTITIES)}
    table = EntityTable.of(model, ENTITIES)
    texts = ["Paris sings", "the Amazon is long", "Jordan", "Bulls", "in Georgia", "apple"]
    examples = [
        Example(f"d{i}", text, 0, len(text), gold)
        for i, text in enumerate(texts)
        for gold in ("Q4", "Q5", "Q21", "Q13")
    ]
    with torch.inference_mode():
        vectors = model.entity_vectors(table.take(np.arange(len(table)))).numpy()
    return (
        model,
        VectorIndex.build(vectors),
        table,
        MentionTable.of(model, examples, ENTITIES, rows),
    )


def ranked(
    searched: tuple[DualEncoder, VectorIndex, EntityTable, MentionTable],
) -> list[list[int]]:
    """For each mention all surfaces, nearest first."""
    model, index, table, mentions = searched
    with torch.inference_mode():
        queries = model.mention_vectors(mentions.features).numpy()
    scores = queries @ index.vectors(np.arange(len(table))).T
    return [list(np.argsort(-row, kind="stable")) for row in scores]


def test_recall_counts_distinct_entities(
    searched: tuple[DualEncoder, VectorIndex, EntityTable, MentionTable],
) -> None:
    model, index, table, mentions = searched
    ks = (1, 3, 10, 40)
    hits: Counter[int] = Counter()
    for gold, order in zip(mentions.gold, ranked(searched), strict=True):
        rank = list(dict.fromkeys(int(table.rows[i]) for i in order)).index(int(gold))
        hits.update(k for k in ks if rank < k)
    found = recall_at(model, index, table.rows, mentions, ks=ks)
    assert found == {f"recall@{k}": pytest.approx(hits[k] / len(mentions)) for k in ks}
    assert found["recall@1"] < found["recall@40"] == 1.0


def test_hard_negatives_are_the_nearest_others(
    searched: tuple[DualEncoder, VectorIndex, EntityTable, MentionTable],
) -> None:
    model, index, table, mentions = searched
    found = hard_negatives(model, index, table.rows, mentions, k=6)
    assert found.shape == (len(mentions), 6)
    for gold, order, negatives in zip(mentions.gold, ranked(searched), found, strict=True):
        others = [i for i in order[:12] if table.rows[i] != gold][:6]
        assert negatives.tolist() == [*others, *[-1] * (6 - len(others))]


def test_hard_negatives_may_be_those_above_the_gold_one_alone(
    searched: tuple[DualEncoder, VectorIndex, EntityTable, MentionTable],
) -> None:
    model, index, table, mentions = searched
    found = hard_negatives(model, index, table.rows, mentions, k=6, only_above=True)
    n_fewer = 0
    for gold, order, negatives in zip(mentions.gold, ranked(searched), found, strict=True):
        owners = [int(table.rows[i]) for i in order[:12]]
        n_above = owners.index(int(gold)) if gold in owners else 12
        others = order[:n_above][:6]
        assert negatives.tolist() == [*others, *[-1] * (6 - len(others))]
        n_fewer += len(others) < 6
    assert n_fewer


def test_fewer_surfaces_than_asked_for() -> None:
    model = encoder()
    few = ENTITIES[2:4]  # three surfaces
    rows = {entity.id: row for row, entity in enumerate(few)}
    table = EntityTable.of(model, few)
    with torch.inference_mode():
        vectors = model.entity_vectors(table.take(np.arange(len(table)))).numpy()
    mentions = MentionTable.of(model, [Example("d", "Paris", 0, 5, "Q4")], few, rows)
    index = VectorIndex.build(vectors)
    assert hard_negatives(model, index, table.rows, mentions, k=4).tolist() == [[0, -1, -1, -1]]
    assert recall_at(model, index, table.rows, mentions, ks=(2, 50)) == {
        "recall@2": 1.0,
        "recall@50": 1.0,
    }
