from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry

from entlink.component.scoring import score_links, score_mentions
from entlink.component.strategies import Finder, Tools
from entlink.errors import ConfigError, InputError
from entlink.linker import Linker
from entlink.records import Entity
from tests import tiny
from tests.component.reading import TEXT, Pipeline


def finder(bundle: str, *strategies: str, lang: str = "en", **config: Any) -> Language:
    nlp = spacy.blank(lang)
    settings = {"bundle": bundle, "strategies": list(strategies), **config}
    nlp.add_pipe("entlink_mentions", config=settings)
    return nlp


def found(doc: Doc) -> list[tuple[str, str]]:
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_the_gazetteer_alone_finds_what_the_linker_would(bundle: str) -> None:
    nlp = finder(bundle, "gazetteer")
    texts = [TEXT, "", " ", "It is written in C++, they say."]
    linker = Linker.load(bundle, device="cpu")
    for doc, linked in zip(nlp.pipe(texts), linker.link(texts), strict=True):
        assert [ent.text for ent in doc.ents] == [link.mention.text for link in linked.links]
    assert found(nlp(texts[3])) == [("C++", "ENTITY")]


def test_names_are_found_in_any_case_where_the_knowledge_base_says_so(tmp_path: Path) -> None:
    entities = (Entity("D1", "heart failure"), Entity("D2", "ALS"))
    folder = str(tiny.make_bundle(tmp_path / "ills", entities=entities).path)
    text = "with heart failure, als and ALS"
    expected = ["heart failure", "ALS"]
    nlp = finder(folder, "gazetteer")
    nlp.add_pipe("entlink", config={"bundle": folder})
    assert [ent.text for ent in nlp(text).ents] == expected
    links = Linker.load(folder, device="cpu").link(text)[0].links
    assert [link.mention.text for link in links] == expected


def test_recogniser_and_gazetteer_are_the_bundles_detector(builtin_bundle: Path) -> None:
    from entlink.detect import Detector
    from entlink.kb.store import KnowledgeBase

    detector = Detector.load(KnowledgeBase.open(builtin_bundle), builtin_bundle / "detector")
    nlp = finder(str(builtin_bundle), "recogniser", "gazetteer")
    texts = ["Angela Merkel met Barack Obama in Berlin.", "", "In May, IBM bought Red Hat Inc."]
    for doc, mentions in zip(nlp.pipe(texts), detector.detect([nlp.make_doc(t) for t in texts]),
                             strict=True):  # fmt: skip
        assert found(doc) == [(m.text, m.label or "ENTITY") for m in mentions]


def test_entities_go_before_the_gazetteer_and_dates_stay(bundle: str) -> None:
    nlp = finder(bundle, "ents", "gazetteer", spans_key="all")
    doc = nlp.make_doc("In 1999 Michael Jordan left the Chicago Bulls for Paris Match.")
    places = [(1, 2, "DATE"), (2, 4, "PERSON"), (7, 8, "NORP"), (9, 11, "ORG")]
    doc.set_ents([Span(doc, start, end, label=label) for start, end, label in places])
    nlp.get_pipe("entlink_mentions")(doc)
    assert found(doc) == [
        ("1999", "DATE"),
        ("Michael Jordan", "PERSON"),
        ("Chicago Bulls", "NORP"),  # the longest wins; its label is that of what it covers
        ("Paris Match", "ORG"),
    ]
    everything = {span.text for span in doc.spans["all"]}
    assert everything == {"Michael Jordan", "Chicago Bulls", "Bulls", "Paris Match"}
    assert [s.start for s in doc.spans["all"]] == sorted(s.start for s in doc.spans["all"])


def test_entities_that_no_strategy_proposes_go(bundle: str) -> None:
    nlp = finder(bundle, "gazetteer")
    doc = nlp.make_doc("the moon over Paris in 1999")
    doc.set_ents([Span(doc, 1, 2, label="LOC"), Span(doc, 5, 6, label="DATE")])
    assert found(nlp.get_pipe("entlink_mentions")(doc)) == [("Paris", "ENTITY"), ("1999", "DATE")]


def test_a_span_group_in_and_one_out_leave_entities_alone(bundle: str) -> None:
    nlp = finder(bundle, "span_group", spans_in="mine", spans_key="entlink", set_ents=False)
    nlp.add_pipe("entlink", config={"bundle": bundle, "mentions": "spans"})
    doc = nlp.make_doc("the Chicago Bulls of Chicago")
    doc.spans["mine"] = [Span(doc, 1, 3, label="ORG"), Span(doc, 1, 2), Span(doc, 1, 3)]
    doc = nlp(doc)
    assert doc.ents == ()
    assert [(s.text, s.label_) for s in doc.spans["entlink"]] == [
        ("Chicago", "ENTITY"),
        ("Chicago Bulls", "ORG"),
    ]
    assert [s.kb_id_ for s in doc.spans["entlink"]][1] == "Q14"
    assert [s.kb_id_ for s in doc.spans["mine"]] == ["", "", ""]
    assert nlp("no such group").spans["entlink"] is not None


CHUNKS = (
    "The old king of the Georgia he knew saw Michael Jordan",
    [(0, 3), (4, 6), (6, 7), (8, 10)],
)


def parsed(nlp: Language) -> Doc:
    """As an English parser would have it, with noun chunks by hand."""
    words = CHUNKS[0].split()
    heads = [2, 2, 8, 2, 5, 3, 7, 5, 8, 10, 8]
    deps = ["det", "amod", "nsubj", "prep", "det", "pobj"]
    deps += ["nsubj", "relcl", "ROOT", "compound", "dobj"]
    pos = ["DET", "ADJ", "NOUN", "ADP", "DET", "PROPN", "PRON", "VERB", "VERB", "PROPN", "PROPN"]
    return Doc(nlp.vocab, words=words, heads=heads, deps=deps, pos=pos)


def test_noun_chunks_without_articles_and_pronouns(bundle: str) -> None:
    nlp = finder(bundle, "noun_chunks")
    doc = nlp(parsed(nlp))
    assert [ent.text for ent in doc.ents] == ["The old king", "Georgia", "Michael Jordan"]


@pytest.mark.parametrize("lang", ["en", "xx"])
def test_noun_chunks_without_a_parser_are_explained(bundle: str, lang: str) -> None:
    with pytest.raises(InputError, match=f"needs a parser for language '{lang}'"):
        finder(bundle, "noun_chunks", lang=lang)("Paris is large")


def _capitals(tools: Tools) -> Finder:
    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        return [
            [Span(doc, token.i, token.i + 1, label="ORG") for token in doc if token.text.isupper()]
            for doc in docs
        ]

    return find


def test_a_strategy_of_ones_own(bundle: str) -> None:
    registry.misc("tests.capitals.v1", func=_capitals)
    nlp = finder(bundle, "tests.capitals.v1", "gazetteer")
    assert found(nlp("IBM is in Paris")) == [("IBM", "ORG"), ("Paris", "ENTITY")]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"strategies": ["gazeteer"]},
            "strategy 'gazeteer' is unknown; it has to be one of ents, ",
        ),
        ({"strategies": []}, "strategies is empty"),
        ({"set_ents": False}, "nothing would be written"),
    ],
)
def test_bad_settings_are_refused_at_add_pipe(
    bundle: str, config: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        spacy.blank("en").add_pipe("entlink_mentions", config={"bundle": bundle, **config})


def test_a_bundle_without_recogniser_and_an_option_that_no_call_takes(bundle: str) -> None:
    with pytest.raises(ConfigError, match="the bundle has no recogniser"):
        finder(bundle, "recogniser")(TEXT)
    with pytest.raises(ConfigError, match="'threshold' cannot be given for one call"):
        finder(bundle, "gazetteer")(TEXT, component_cfg={"entlink_mentions": {"threshold": 1}})


# -- scores ---------------------------------------------------------------------------------------


def example(
    nlp: Language, predicted: list[tuple[int, int, str]], gold: list[tuple[int, int, str]]
) -> Example:
    docs = []
    for spans in (predicted, gold):
        doc = nlp.make_doc("a b c d e f g h")
        doc.set_ents([Span(doc, s, e, label="X", kb_id=kb_id) for s, e, kb_id in spans])
        docs.append(doc)
    return Example(*docs)


def test_link_scores_are_spacys_where_every_gold_entity_has_a_link(pipeline: Pipeline) -> None:
    nlp = spacy.blank("en")
    spans = [(0, 1, "Q1"), (2, 3, "NIL"), (4, 6, "Q3"), (6, 7, "Q4")]
    others = [(0, 1, "Q1"), (2, 3, "Q9"), (4, 6, "NIL"), (7, 8, "Q4")]
    examples = [example(nlp, spans, others), example(nlp, others, spans)]
    ours = score_links(examples)
    assert ours == Scorer.score_links(examples, negative_labels=["NIL"])
    assert ours["nel_micro_f"] == pytest.approx(2 / (2 + 0.5 * 4))
    # entities without gold link do not count
    more = [example(nlp, [(0, 1, "Q1"), (2, 3, "Q9")], [(0, 1, "Q1"), (2, 3, "")])]
    assert score_links(more)["nel_micro_f"] == 1.0
    assert score_links([example(nlp, spans, [(0, 1, "")])])["nel_micro_f"] is None


def test_mention_scores_look_at_spans_alone() -> None:
    nlp = spacy.blank("en")
    one = example(nlp, [(0, 1, ""), (2, 4, "")], [(0, 1, "Q1"), (2, 3, ""), (5, 6, "")])
    blank = nlp.make_doc("nothing known")
    scores = score_mentions([one, Example(nlp.make_doc("nothing known"), blank)])
    assert scores["mentions_p"] == pytest.approx(1 / 2)
    assert scores["mentions_r"] == pytest.approx(1 / 3)
    assert score_mentions([Example(nlp.make_doc("x"), nlp.make_doc("x"))])["mentions_f"] is None
