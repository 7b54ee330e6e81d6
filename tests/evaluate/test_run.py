"""A whole small bundle measured on small texts: as in use, and as counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from entlink.errors import InputError
from entlink.evaluate.groups import Groups
from entlink.evaluate.mistakes import write_mistakes
from entlink.evaluate.result import result_of
from entlink.evaluate.run import Measured, measure
from entlink.evaluate.sets import GoldSet, read_candidates, read_sets
from entlink.inputs import with_full_names
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Document, Entity, Mention
from tests import tiny
from tests.evaluate.texts import NEWS, WEB, line, write


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linker]:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    folder.mkdir()
    tiny.make_bundle(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Linker.load(folder, device="cpu")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[GoldSet]:
    folder = tmp_path_factory.mktemp("sets")
    return read_sets([write(folder / "news.jsonl", NEWS), write(folder / "web.jsonl", WEB)])


@pytest.fixture(scope="module")
def measured(linker: Linker, sets: list[GoldSet]) -> list[Measured]:
    return [measure(linker, gold, end_to_end=True) for gold in sets]


def given(gold: GoldSet) -> list[Document]:
    """The documents of a set with their gold spans, as they would be given to be linked."""
    return [
        Document(
            doc.id,
            doc.text,
            tuple(Mention(m.start, m.end, doc.text[m.start : m.end]) for m in doc.mentions),
        )
        for doc in gold.documents
    ]


def group_of(gold: str | None, rival: str | None) -> str:
    """The group of two entities with these descriptions, "" for none."""
    if gold and rival:
        return "gold and top rival"
    return "gold alone" if gold else "top rival alone" if rival else "neither"


def test_outcomes_are_what_linking_answers(
    linker: Linker, sets: list[GoldSet], measured: list[Measured]
) -> None:
    for gold, m in zip(sets, measured, strict=True):
        links = [
            (doc.id, link.mention.start, link.entity_id, link.candidates[0])
            for doc in linker.link(given(gold))
            for link in doc.links
        ]
        assert [(o.doc, o.start, o.answer) for o in m.outcomes] == [link[:3] for link in links]
        for o, (_, _, _, best) in zip(m.outcomes, links, strict=True):
            assert o.top == best.entity_id
            assert o.top_probability == pytest.approx(best.probability)


def test_ranks_are_those_of_what_was_known_before_reading(
    linker: Linker, sets: list[GoldSet], measured: list[Measured]
) -> None:
    ids = [entity.id for entity in tiny.ENTITIES]
    entity_of = {e.id: e for e in linker.kb.by_rows(range(len(ids)))}
    for gold, m in zip(sets, measured, strict=True):
        _, found = linker.prepare(given(gold))
        pairs = [
            (doc.text, mention)
            for doc, some in zip(gold.documents, found, strict=True)
            for mention in with_full_names(some)
        ]
        for o, s in zip(m.outcomes, linker.score(pairs), strict=True):
            order = sorted(
                range(len(s.retrieved.rows)), key=lambda i: (-s.first[i], s.retrieved.rows[i])
            )
            ranked = [ids[s.retrieved.rows[i]] for i in order]
            assert o.rank == (ranked.index(o.gold) if o.gold in ranked else None)
            if o.in_kb:
                rival = next(id for id in ranked if id != o.gold)
                known = entity_of[o.gold].description, entity_of[rival].description
                assert dict(o.groups)["described"] == group_of(*known)
            assert o.n_pairs == int((~np.isnan(s.logits)).sum())


def test_gold_outside_the_kb_is_counted_and_not_reachable(
    linker: Linker, measured: list[Measured]
) -> None:
    result = result_of(linker, measured)
    counts = {
        name: tuple(
            figures[key] for key in ("n_documents", "n_mentions", "n_in_kb", "n_out_of_kb", "n_nil")
        )
        for name, figures in [*result["sets"].items(), ("all", result)]
    }
    assert counts == {"news": (4, 10, 8, 1, 1), "web": (2, 4, 4, 0, 0), "all": (6, 14, 12, 1, 1)}
    outside = [o for m in measured for o in m.outcomes if not o.in_kb]
    assert {(o.gold, o.rank, o.groups) for o in outside} == {("Q999", None, ()), (NIL, None, ())}


def test_the_promised_keys_are_there(linker: Linker, measured: list[Measured]) -> None:
    result = orjson.loads(orjson.dumps(result_of(linker, measured)))
    counts = ("n_documents", "n_mentions", "n_in_kb", "pairs_per_mention", "peak_rss_mb")
    recall = ("recall@1", "recall@10", "recall@64", "recall@100", "mentions_per_second")
    accuracy = ("accuracy", "accuracy_nil", "accuracy_all", "ece")
    spans = [f"{x}_{y}" for x in ("detect", "link") for y in ("precision", "recall", "f1")]
    promised = (*counts, *recall, *accuracy, *spans)
    for key in promised:
        assert isinstance(result[key], int | float), key
    assert result["kb"] == {"n_entities": len(tiny.ENTITIES), "digest": linker.kb.digest}
    assert result["bundle"]["name"] == "tiny"
    assert list(result["sets"]) == ["news", "web"]


def test_micro_pools_and_macro_averages_the_sets(linker: Linker, measured: list[Measured]) -> None:
    result = result_of(linker, measured)
    news, web = result["sets"]["news"], result["sets"]["web"]
    for name in ("recall@1", "accuracy", "accuracy_nil"):
        assert result[name] == pytest.approx((8 * news[name] + 4 * web[name]) / 12)
    for name in ("recall@1", "accuracy", "accuracy_all", "ece", "link_f1", "detect_recall"):
        assert result["macro"][name] == pytest.approx((news[name] + web[name]) / 2)
    for figures in (result, result["macro"], news, web):
        for name, (low, high) in figures["intervals"].items():
            if name.startswith("nil_") and np.isnan(figures[name]):
                continue  # no answer is NIL, or none should be
            if name == "ece":  # it lies high: drawing documents adds chance to every bin
                assert 0 <= low <= high <= 1
                continue
            assert 0 <= low <= figures[name] <= high <= 1, name
        assert "ece" in figures["intervals"]
    again = result_of(linker, measured)
    assert again["intervals"] == result["intervals"]


def test_the_first_document_that_loads_the_models_is_not_timed(
    linker: Linker, sets: list[GoldSet]
) -> None:
    found = measure(linker, sets[0])
    assert 0 < sum(linker.seconds.values()) <= found.seconds


def test_end_to_end_is_what_linking_bare_texts_answers(
    linker: Linker, sets: list[GoldSet], measured: list[Measured]
) -> None:
    for gold, m in zip(sets, measured, strict=True):
        linked = linker.link([Document(doc.id, doc.text) for doc in gold.documents])
        for doc, found, counts in zip(gold.documents, linked, m.spans, strict=True):
            spans = {(link.mention.start, link.mention.end): link.entity_id for link in found.links}
            golds = {(g.start, g.end): g.entity for g in doc.mentions}
            assert counts.doc == doc.id
            assert counts.n_found == len(spans)
            assert counts.n_right == len(spans.keys() & golds.keys())
            right = [s for s, id in spans.items() if id != NIL and golds.get(s) == id]
            assert counts.n_right_links == len(right)


def test_groups_by_hand(linker: Linker, sets: list[GoldSet]) -> None:
    groups = Groups(linker.kb, sets[0], seen={"Q2"})
    assert groups.of("Jordan", "Q2") == (
        ("description", "with"),
        ("name", "ambiguous"),
        ("alias", "known"),
        ("training", "seen"),
        ("type", "(none)"),
    )
    # not a surface of these texts, but one of the names asked for at the start
    assert groups.of("City of Light", "Q4")[1:4] == (
        ("name", "unambiguous"),
        ("alias", "known"),
        ("training", "unseen"),
    )
    assert groups.of("Nobody", "Q4")[1:3] == (("name", "of no entity"), ("alias", "unknown"))
    assert groups.of("Nobody", "Q999") == ()
    for rival, group in (
        (tiny.ENTITIES[0], "gold and top rival"),
        (Entity("Q0", "X"), "gold alone"),
    ):
        assert ("described", group) in groups.of("Jordan", "Q2", rival)
    assert "training" not in dict(Groups(linker.kb, sets[0]).of("Jordan", "Q2"))
    # Jordan the player is the only one of three whose popularity is known; Paris: 4.5, 3.9, 2.2
    assert groups.popular("Jordan") == "Q2"
    assert groups.popular("Paris") == "Q4"
    assert groups.popular("Georgia") == "Q8"  # both 4.0: the first in the KB
    assert groups.popular("Nobody") is None


def test_given_candidates_are_ranked_in_place_of_retrieved_ones(
    linker: Linker, sets: list[GoldSet], tmp_path: Path
) -> None:
    lists = [
        {"doc": "n1", "start": 0, "end": 6, "candidates": ["Q3", "Q2", "Q1", "Q20", "Q404"]},
        {"doc": "n1", "start": 11, "end": 23, "candidates": ["Q6"]},
        {"doc": "n1", "start": 27, "end": 32, "candidates": []},
    ]
    candidates = read_candidates(write(tmp_path / "c.jsonl", lists), sets[:1])
    found = measure(linker, sets[0], candidates=candidates)
    jordan, hilton, paris, *rest = found.outcomes
    assert jordan.top in {"Q1", "Q2", "Q3", "Q20"} and jordan.rank is not None
    assert jordan.rank < 4
    assert (hilton.top, hilton.rank) == ("Q6", None)  # gold is not in its list
    for o in (paris, *rest):
        assert (o.top, o.rank, o.answer, o.n_pairs) == (None, None, NIL, 0)
    result = result_of(linker, [found])
    assert (result["n_with_candidates"], result["n_in_kb"]) == (3, 8)
    assert result["recall@100"] == 1 / 8


def test_all_entities_as_candidates_score_as_if_retrieved(linker: Linker) -> None:
    """The KB is smaller than what is retrieved, so both ways see every entity."""
    text = "Jordan met Paris Hilton in Paris, France."
    mentions = [(text, Mention(0, 6, "Jordan")), (text, Mention(27, 32, "Paris"))]
    every = np.arange(len(tiny.ENTITIES))[::-1].astype(np.int64)
    for one, other in zip(
        linker.score(mentions), linker.score(mentions, candidates=[every] * 2), strict=True
    ):
        assert np.array_equal(one.retrieved.rows, other.retrieved.rows)
        assert np.array_equal(one.retrieved.cosines, other.retrieved.cosines)
        assert np.array_equal(one.retrieved.priors, other.retrieved.priors)
        assert np.allclose(one.probabilities, other.probabilities)


def test_every_wrong_answer_is_written_with_both_texts(
    linker: Linker, sets: list[GoldSet], measured: list[Measured], tmp_path: Path
) -> None:
    path = tmp_path / "errors.jsonl"
    n = write_mistakes(measured, linker.kb, path)
    records = [orjson.loads(row) for row in path.read_bytes().splitlines()]
    wrong = [(m.gold.name, o) for m in measured for o in m.outcomes if not o.is_right]
    assert n == len(records) == len(wrong) > 0
    texts = {doc.id: doc.text for gold in sets for doc in gold.documents}
    names = {entity.id: entity.name for entity in tiny.ENTITIES}
    for record, (name, o) in zip(records, wrong, strict=True):
        assert (record["set"], record["doc"], record["start"]) == (name, o.doc, o.start)
        around = record["left"] + record["text"] + record["right"]
        assert around in texts[o.doc]
        assert texts[o.doc][o.start : o.end] == record["text"]
        assert record["gold"]["id"] == o.gold
        assert record["gold"].get("name") == names.get(o.gold)
        assert record["top"]["name"] == names[str(o.top)]
        expected = (
            "linked" if not o.in_kb else "answered NIL" if o.answer == NIL else "other entity"
        )
        assert record["wrong"] == expected


def test_gold_that_no_kb_knows_is_an_error(linker: Linker, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [line("d", "Jordan", [("Jordan", "x:1")])])
    with pytest.raises(InputError, match=r"none of its 1 gold entities.*tiny \(21 entities\)"):
        measure(linker, read_sets([path])[0])


def test_foreign_labels_do_not_reach_the_models(linker: Linker, tmp_path: Path) -> None:
    mentions = [{"start": 0, "end": 6, "entity": "Q1", "label": "Disease"}]
    plain = [{"start": 0, "end": 6, "entity": "Q1"}]
    text = "Jordan is dry."
    lines = [
        {"id": "a", "text": text, "mentions": mentions},
        {"id": "b", "text": text, "mentions": plain},
    ]
    found = measure(linker, read_sets([write(tmp_path / "x.jsonl", lines)])[0])
    one, other = found.outcomes
    assert one.top_probability == pytest.approx(other.top_probability, abs=1e-6)


def test_type_groups_are_the_names_of_the_types(tmp_path: Path) -> None:
    rome = Entity("Q1", "Rome", types=("T1", "T2"), type_names=("city", "capital"))
    build_kb([rome, Entity("Q2", "Remus")], tmp_path / "kb")
    path = write(
        tmp_path / "x.jsonl", [line("d", "Rome, Remus", [("Rome", "Q1"), ("Remus", "Q2")])]
    )
    groups = Groups(KnowledgeBase.open(tmp_path / "kb"), read_sets([path])[0])
    assert groups.of("Rome", "Q1") == (
        ("description", "with"),  # composed from its types when the KB was built
        ("name", "unambiguous"),
        ("alias", "known"),
        ("type", "city"),
        ("type", "capital"),
    )
    assert ("described", "neither") in groups.of("Remus", "Q2", Entity("Q3", "Remus"))
    assert ("described", "top rival alone") in groups.of(
        "Remus", "Q2", Entity("Q4", "Rome", description="city")
    )
    assert groups.of("Remus", "Q2") == (
        ("description", "without"),
        ("name", "unambiguous"),
        ("alias", "known"),
        ("type", "(none)"),
    )
