from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy import displacy
from spacy.language import Language
from spacy.tokenizer import Tokenizer  # type: ignore[import-not-found]
from spacy.tokens import Doc, DocBin, Span, SpanGroup

from entlink.component import EntlinkComponent
from entlink.component.options import Options, restricted
from entlink.errors import BundleError, ConfigError
from entlink.linker import Linker
from entlink.records import NIL, Candidate, Entity, Link, Mention
from tests.component.reading import TEXT, Pipeline, answers, same

NAMES = ("Paris", "Georgia", "Michael Jordan", "Paris Hilton", "Chicago")


@pytest.fixture(scope="module")
def nlp(pipeline: Pipeline) -> Language:
    return pipeline()


def with_ents(nlp: Language, text: str, *names: str, label: str = "GPE") -> Doc:
    doc = nlp.make_doc(text)
    spans = [doc.char_span(text.index(n), text.index(n) + len(n), label=label) for n in names]
    doc.set_ents([span for span in spans if span is not None])
    return doc


def test_a_blank_pipeline_finds_and_links_as_the_linker_does(nlp: Language, bundle: str) -> None:
    doc = nlp(TEXT)
    expected = Linker.load(bundle, device="cpu").link(TEXT)[0].links
    assert [ent.text for ent in doc.ents] == [m.mention.text for m in expected] == list(NAMES)
    assert [ent.kb_id_ for ent in doc.ents] == [link.entity_id for link in expected]
    assert doc[3].ent_kb_id_ == doc.ents[0].kb_id_
    for ent, link in zip(doc.ents, expected, strict=True):
        assert ent.label_ == "ENTITY"
        assert ent._.kb_ents == [(c.entity_id, c.probability) for c in link.candidates]
        assert ent._.entlink == link
    assert doc[0:1]._.entlink is None and doc[0:1]._.kb_ents == []


def test_entities_that_are_there_are_linked_and_kept(nlp: Language) -> None:
    doc = nlp.make_doc("Paris and Twin met in 1999 in Chicago")
    paris = Span(doc, 0, 1, label="GPE", span_id="rule-7")
    doc.set_ents([paris, Span(doc, 5, 6, label="DATE")], missing=[Span(doc, 7, 8)])
    nlp.get_pipe("entlink")(doc)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Paris", "GPE"), ("1999", "DATE")]
    assert doc.ents[0].kb_id_ in {"Q4", "Q5", "Q6", NIL} and doc.ents[0].ent_id_ == "rule-7"
    assert doc.ents[0]._.entlink.mention.label == "LOC"
    assert doc.ents[1].kb_id_ == "" and doc.ents[1]._.entlink is None
    assert doc[7].ent_iob == 0  # still unknown


def test_auto_finds_mentions_only_where_nobody_has_looked(pipeline: Pipeline) -> None:
    for mentions, expected in (("auto", []), ("ents", []), ("detect", list(NAMES))):
        nlp = pipeline(mentions=mentions)
        doc = nlp.make_doc(TEXT)
        doc.set_ents([])
        assert [ent.text for ent in nlp(doc).ents] == expected


def test_detecting_keeps_dates_that_overlap_no_mention(pipeline: Pipeline) -> None:
    nlp = pipeline(mentions="detect")
    doc = nlp.make_doc("in Paris in 1999")
    doc.set_ents([Span(doc, 0, 2, label="DATE"), Span(doc, 3, 4, label="DATE")])
    assert [(e.text, e.label_) for e in nlp(doc).ents] == [
        ("Paris", "ENTITY"),
        ("1999", "DATE"),
    ]


def test_overlapping_spans_of_a_group(pipeline: Pipeline) -> None:
    nlp = pipeline(mentions="spans", spans_key="names")
    doc = nlp.make_doc("the Chicago Bulls of Chicago")
    places = [(1, 3, "ORG"), (1, 2, "LOC"), (2, 3, ""), (1, 3, "ORG"), (4, 5, "DATE")]
    spans = [Span(doc, start, end, label=label) for start, end, label in places]
    doc.spans["names"] = SpanGroup(doc, name="names", spans=spans, attrs={"by": "hand"})
    doc.set_ents([Span(doc, 1, 2, label="GPE"), Span(doc, 4, 5, label="GPE")])
    nlp(doc)
    group = doc.spans["names"]
    assert [(s.start, s.end, s.label_) for s in group] == places and group.attrs == {"by": "hand"}
    assert [s.kb_id_ for s in group] == [
        *(s._.entlink.entity_id for s in list(group)[:4]),
        "",  # a date is not linked
    ]
    assert group[0].kb_id_ == group[3].kb_id_ == "Q14"
    assert [(e.label_, e.kb_id_) for e in doc.ents] == [("GPE", group[1].kb_id_), ("GPE", "")]
    assert nlp("no group in Paris").ents == ()


@pytest.mark.parametrize("lang", ["de", "ar", "xx", "ja_like"])
def test_any_language_with_given_spans(pipeline: Pipeline, lang: str) -> None:
    nlp = pipeline(lang="xx" if lang == "ja_like" else lang)
    if lang == "ja_like":  # one token a character, no spaces
        nlp.tokenizer = lambda text: Doc(nlp.vocab, list(text), [False] * len(text))
    doc = with_ents(nlp, "in München و القدس", "München", "القدس", label="X")
    nlp.get_pipe("entlink")(doc)
    assert [ent.text for ent in doc.ents] == ["München", "القدس"]
    assert [ent._.kb_ents[0][0] for ent in doc.ents] == ["Q17", "Q18"]


def test_nil_is_what_the_config_says(pipeline: Pipeline) -> None:
    for nil in ("NIL", "", "none of these"):
        doc = pipeline(threshold=1.0, nil=nil)(TEXT)
        assert [ent.kb_id_ for ent in doc.ents] == [nil] * len(NAMES)
        assert {ent._.entlink.entity_id for ent in doc.ents} == {NIL}


def test_threshold_types_and_candidates_in_config_and_per_call(pipeline: Pipeline) -> None:
    per_call = {"threshold": 0.0, "types": ["T1", "T2"], "n_candidates": 1}
    plain = pipeline()
    one = plain(TEXT, component_cfg={"entlink": dict(per_call)})
    (two,) = plain.pipe([TEXT], component_cfg={"entlink": dict(per_call)})
    three = pipeline(**per_call)(TEXT)
    assert answers(one) == answers(two) == answers(three)
    assert {ent.kb_id_ for ent in one.ents} <= {"Q1", "Q3"}
    assert {len(ent._.kb_ents) for ent in one.ents} == {1}
    assert len(plain(TEXT).ents[0]._.kb_ents) == 10  # what was said for a call is forgotten


def test_max_pairs_zero_turns_the_reranker_off(pipeline: Pipeline) -> None:
    for max_pairs, is_read in ((0, False), (3, True)):
        doc = pipeline(max_pairs=max_pairs)("Georgia is large. They went to Georgia.")
        read = [c for e in doc.ents for c in e._.entlink.candidates if c.reranker_score is not None]
        assert bool(read) is is_read and len(read) <= max_pairs * len(doc.ents)


PROBABILITIES = st.lists(st.floats(0.01, 1), min_size=1, max_size=6)


@settings(max_examples=50)
@given(weights=PROBABILITIES, nil=st.floats(0.01, 1), kept=st.integers(0, 63), n=st.integers(1, 3))
def test_a_type_filter_conditions_the_probabilities(
    weights: list[float], nil: float, kept: int, n: int
) -> None:
    """Oracle: Bayes. P(c | c is allowed, or NIL) = P(c) / (P(allowed) + P(NIL))."""
    total = sum(weights) + nil
    order = sorted((w / total for w in weights), reverse=True)
    candidates = tuple(Candidate(f"Q{i}", f"n{i}", 0.5, 0.0, None, p) for i, p in enumerate(order))
    link = Link(Mention(0, 1, "x"), "Q0", "n0", order[0], candidates)
    allowed = [i for i in range(len(order)) if kept >> i & 1]
    options = Options("here", None, frozenset({"T"}), n)

    def entities(ids: Any) -> list[Entity]:
        return [Entity(i, i, types=("T",) if int(i[1:]) in allowed else ()) for i in ids]

    (found,) = restricted([link], options, entities=entities, threshold=0.5)
    mass = sum(order[i] for i in allowed) + nil / total
    assert [c.entity_id for c in found.candidates] == [f"Q{i}" for i in allowed][:n]
    shares = [order[i] / mass for i in allowed][:n]
    assert [c.probability for c in found.candidates] == pytest.approx(shares)
    if allowed and order[allowed[0]] / mass > 0.5 + 1e-9:
        assert found.entity_id == f"Q{allowed[0]}"
    elif not allowed or order[allowed[0]] / mass < 0.5 - 1e-9:
        assert found.entity_id == NIL
        assert found.probability == pytest.approx(nil / total / mass)


# -- documents of all kinds -----------------------------------------------------------------------

WORDS = st.sampled_from(["Paris", "Jordan", "Twin", "the", " ", "\n\n", "\U0001f600", "القدس", "."])


@settings(max_examples=15, deadline=None)
@given(
    texts=st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=7), size=st.integers(1, 4)
)
def test_pipe_in_any_batch_size_equals_one_by_one(
    nlp: Language, texts: list[str], size: int
) -> None:
    together = list(nlp.pipe(texts, batch_size=size))
    assert [doc.text for doc in together] == texts
    assert all(same(doc, nlp(text)) for doc, text in zip(together, texts, strict=True))


def test_pipe_batches_across_docs_and_does_not_read_ahead(nlp: Language) -> None:
    component: Any = nlp.get_pipe("entlink")
    taken: list[int] = []
    sizes: list[int] = []

    def docs() -> Iterator[Doc]:
        for i in range(5):
            taken.append(i)
            yield nlp.make_doc(f"{TEXT} {i}")  # equal mentions are looked up once

    linker = component.linker
    retrieve = linker.retriever.retrieve

    def counted(some: list[Any], **more: Any) -> Any:
        sizes.append(len(some))
        return retrieve(some, **more)

    linker.retriever.retrieve = counted
    try:
        stream = component.pipe(docs(), batch_size=2)
        next(stream)
        assert taken == [0, 1]
        assert len(list(stream)) == 4
        assert sizes == [2 * len(NAMES), 2 * len(NAMES), len(NAMES)]
    finally:
        del linker.retriever.retrieve


def test_docs_without_sentences_and_entities_at_the_edges(nlp: Language) -> None:
    doc = with_ents(nlp, "Paris saw Chicago", "Paris", "Chicago")
    assert not doc.has_annotation("SENT_START")
    nlp.get_pipe("entlink")(doc)
    assert [(e.start, e.end) for e in doc.ents] == [(0, 1), (2, 3)]
    assert all(e._.kb_ents for e in doc.ents)
    whole = with_ents(nlp, "Paris", "Paris")
    assert nlp.get_pipe("entlink")(whole).ents[0]._.kb_ents


def test_whitespace_tokens_and_entities_of_nothing_else(nlp: Language) -> None:
    doc = nlp.make_doc("in \n\n  Paris \t Hilton   ")
    tokens = [token.text for token in doc]
    at = tokens.index("Paris")
    doc.set_ents([Span(doc, at, len(doc), label="PER"), Span(doc, 1, 2, label="PER")])
    nlp.get_pipe("entlink")(doc)
    blank, hilton = doc.ents
    assert blank.text.isspace() and blank.kb_id_ == ""
    assert hilton._.kb_ents and hilton._.entlink.mention.text == hilton.text


def test_a_doc_with_ten_thousand_entities(pipeline: Pipeline) -> None:
    nlp = pipeline(max_pairs=0, n_candidates=1)
    doc = nlp.make_doc("Paris and " * 10_000)
    doc.set_ents([Span(doc, 2 * i, 2 * i + 1, label="GPE") for i in range(10_000)])
    nlp.get_pipe("entlink")(doc)
    assert len(doc.ents) == 10_000
    assert {ent._.kb_ents[0][0] for ent in doc.ents} <= {"Q4", "Q5", "Q6"}


def test_custom_tokenisers(pipeline: Pipeline) -> None:
    nlp = pipeline()
    nlp.tokenizer = Tokenizer(nlp.vocab)  # splits at blanks only: "Chicago." is one token
    doc = nlp("He saw Paris in Chicago. And Georgia too")
    assert {ent.text for ent in doc.ents} >= {"Paris", "Georgia"}
    assert all(ent._.kb_ents for ent in doc.ents)


def test_after_a_trained_recogniser(bundle: str, root: Path) -> None:
    nlp = spacy.load(root / "kb" / "builtin" / "detector")
    nlp.add_pipe("entlink", config={"bundle": bundle})
    texts = ["Angela Merkel flew to Paris.", "", "nothing here", "Paris Hilton met Angela Merkel."]
    docs = list(nlp.pipe(texts))
    assert [[(e.text, e.label_) for e in doc.ents] for doc in docs] == [
        [("Angela Merkel", "PER"), ("Paris", "LOC")],
        [],
        [],
        [("Paris Hilton", "PER"), ("Angela Merkel", "PER")],
    ]
    assert docs[3].ents[0]._.kb_ents[0][0] == "Q5"
    assert all(same(doc, nlp(text)) for doc, text in zip(docs, texts, strict=True))


def test_docs_that_fail_go_to_the_error_handler(pipeline: Pipeline) -> None:
    nlp = pipeline()
    component: Any = nlp.get_pipe("entlink")
    texts = [TEXT, "Paris", "and Chicago"]
    failed: list[str] = []
    process = component._process

    def sometimes(docs: list[Doc], **options: Any) -> None:
        if any(doc.text == "Paris" for doc in docs):
            raise RuntimeError("a bad doc")
        process(docs, **options)

    component._process = sometimes
    with pytest.raises(RuntimeError, match="a bad doc"):
        list(nlp.pipe(texts))

    def note(name: str, proc: Any, docs: list[Doc], error: Exception) -> None:
        failed.extend(doc.text for doc in docs)

    nlp.set_error_handler(note)  # type: ignore[arg-type]
    assert [doc.text for doc in nlp.pipe(texts)] == [TEXT, "and Chicago"]
    assert failed == ["Paris"]


# -- other tools ----------------------------------------------------------------------------------


def test_docbin_round_trip(nlp: Language) -> None:
    doc = nlp(TEXT)
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    back = next(iter(DocBin().from_bytes(stored).get_docs(spacy.blank("en").vocab)))
    assert answers(back) == answers(doc)
    assert [e._.entlink for e in back.ents] == [e._.entlink for e in doc.ents]
    assert [e._.kb_ents for e in back.ents] == [e._.kb_ents for e in doc.ents]


def test_links_move_along_when_docs_are_joined_and_cut(nlp: Language) -> None:
    docs = [nlp(TEXT), nlp("In Chicago."), nlp("nothing")]
    joined = Doc.from_docs(docs)
    expected = [ent._.kb_ents for doc in docs for ent in doc.ents]
    assert [ent._.kb_ents for ent in joined.ents] == expected
    assert joined.ents[-1]._.entlink.mention.text == "Chicago"
    cut = joined[len(docs[0]) :].as_doc(copy_user_data=True)
    assert [ent._.kb_ents for ent in cut.ents] == expected[-1:]


def test_displacy_links_to_the_knowledge_base(nlp: Language) -> None:
    doc = nlp("They flew to Michael Jordan.")
    html = displacy.render(
        doc, style="ent", jupyter=False, options={"kb_url_template": "https://kb.example/{}"}
    )
    assert f"https://kb.example/{doc.ents[0].kb_id_}" in html


def test_analysis_of_the_pipeline_is_clean(pipeline: Pipeline) -> None:
    nlp = pipeline(finder={})
    analysis = nlp.analyze_pipes()
    assert analysis is not None
    assert analysis["problems"] == {"entlink_mentions": [], "entlink": []}
    assert "token.ent_kb_id" in analysis["summary"]["entlink"]["assigns"]


# -- what is refused, and when --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mentions": "all"}, "mentions is 'all'; it has to be one of auto, ents, detect, spans"),
        ({"threshold": 1.5}, "threshold is 1.5; it is a probability"),
        ({"n_candidates": 0}, "n_candidates is 0; it must be at least 1"),
        ({"max_pairs": -1}, "max_pairs is -1; it must be at least 0"),
        ({"backend": "gpu"}, "backend is 'gpu'; it has to be one of auto, torch"),
        ({"threads": 0}, "threads is 0; it must be at least 1"),
        ({"fine_tuning": {"@misc": "entlink.FineTuning.v1", "n_wrong": 0}}, "n_wrong is 0"),
    ],
)
def test_bad_settings_are_refused_at_add_pipe(
    bundle: str, config: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        spacy.blank("en").add_pipe("entlink", config={"bundle": bundle, **config})


def test_bad_options_of_a_call_are_refused(nlp: Language) -> None:
    for options, message in (({"threshold": 2.0}, "probability"), ({"types": "Q5"}, "give a list")):
        with pytest.raises(ConfigError, match=message):
            nlp(TEXT, component_cfg={"entlink": options})


def test_a_missing_bundle_is_explained_at_add_pipe(tmp_path: Path) -> None:
    for factory in ("entlink", "entlink_mentions"):
        with pytest.raises(BundleError) as caught:
            spacy.blank("en").add_pipe(factory, config={"bundle": str(tmp_path / "none")})
        assert str(tmp_path / "none") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_files_of_a_bundle_are_read_for_checking_once(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import entlink.bundle

    checked: list[Path] = []
    digest = entlink.bundle.file_digest

    def noted(path: Path) -> str:
        checked.append(path)
        return digest(path)

    monkeypatch.setattr(entlink.bundle, "file_digest", noted)
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink", config={"bundle": bundle})
    n_checked = len(checked)
    nlp(TEXT)
    assert len(checked) == n_checked == len(set(checked)) > 0


def test_extensions_are_set_once_and_a_collision_is_explained(bundle: str) -> None:
    EntlinkComponent(bundle=bundle)
    EntlinkComponent(bundle=bundle)
    ours = Span.get_extension("kb_ents")
    Span.remove_extension("kb_ents")
    Span.set_extension("kb_ents", default=[])
    try:
        with pytest.raises(ConfigError, match=r"span\._\.kb_ents is in use by another component"):
            EntlinkComponent(bundle=bundle)
    finally:
        Span.remove_extension("kb_ents")
        Span.set_extension("kb_ents", getter=ours[2])
