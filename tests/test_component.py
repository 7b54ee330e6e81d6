from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span

from entlink.bundle import builtin_path
from entlink.component import UNLABELLED, EntlinkComponent, LinksDocs
from entlink.errors import BundleError, ConfigError, EntlinkError
from entlink.records import NIL, Candidate, Link, Mention

TEXT = "Paris and Berlin met in Nowhere in 1999."


class FakeLinker:
    """Links every capitalised word to `Q:word`, with a rival; Nowhere is NIL."""

    def __init__(self) -> None:
        self.batches: list[int] = []  # docs in each call

    def link_docs(
        self, docs: Sequence[Doc], mentions: Sequence[Sequence[Mention]] | None = None
    ) -> list[tuple[Link, ...]]:
        self.batches.append(len(docs))
        if mentions is None:
            mentions = [
                [
                    Mention(token.idx, token.idx + len(token), token.text)
                    for token in doc
                    if token.text[:1].isupper()
                ]
                for doc in docs
            ]
        return [tuple(self._link(mention) for mention in found) for found in mentions]

    def _link(self, mention: Mention) -> Link:
        best = Candidate(f"Q:{mention.text}", mention.text, 0.9, 0.5, 2.5, 0.6)
        rival = Candidate("Q:rival", "rival", 0.4, 0.0, None, 0.1)
        if mention.text == "Nowhere":
            return Link(mention, NIL, "", 0.3, (best, rival))
        return Link(mention, best.entity_id, best.name, best.probability, (best, rival))


@Language.factory(
    "entlink_with_fake_linker", default_config={"mentions": "auto", "threshold": None}
)
def make(nlp: Language, name: str, mentions: str, threshold: float | None) -> EntlinkComponent:
    linker: LinksDocs = FakeLinker()
    return EntlinkComponent(name=name, mentions=mentions, threshold=threshold, linker=linker)


@pytest.fixture
def nlp() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink_with_fake_linker", name="entlink")
    return nlp


def answers(doc: Doc) -> list[tuple[str, str, str]]:
    return [(ent.text, ent.label_, ent.kb_id_) for ent in doc.ents]


def test_a_blank_pipeline_links(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert answers(doc) == [
        ("Paris", UNLABELLED, "Q:Paris"),
        ("Berlin", UNLABELLED, "Q:Berlin"),
        ("Nowhere", UNLABELLED, "NIL"),
    ]
    assert doc[0].ent_kb_id_ == "Q:Paris"
    paris = doc.ents[0]
    assert paris._.kb_ents == [("Q:Paris", 0.6), ("Q:rival", 0.1)]
    link = paris._.entlink
    assert link == FakeLinker()._link(Mention(0, 5, "Paris"))
    assert doc[1:2]._.entlink is None and doc[1:2]._.kb_ents == []


def test_entities_that_are_there_are_linked_and_kept(nlp: Language) -> None:
    doc = nlp.make_doc(TEXT)
    doc.set_ents([Span(doc, 2, 3, label="GPE"), Span(doc, 7, 8, label="DATE")])
    nlp.get_pipe("entlink")(doc)
    assert answers(doc) == [("Berlin", "GPE", "Q:Berlin"), ("1999", "DATE", "")]
    assert doc.ents[0]._.entlink.mention.label == "LOC"
    assert doc.ents[1]._.entlink is None


def test_detect_replaces_entities_and_ents_finds_none() -> None:
    for mentions, expected in (("detect", ["Paris", "Berlin", "Nowhere"]), ("ents", ["Berlin"])):
        nlp = spacy.blank("en")
        nlp.add_pipe("entlink_with_fake_linker", name="entlink", config={"mentions": mentions})
        doc = nlp.make_doc(TEXT)
        doc.set_ents([Span(doc, 2, 3, label="GPE")])
        nlp.get_pipe("entlink")(doc)
        assert [ent.text for ent in doc.ents] == expected


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (None, ["Q:Paris", "Q:Berlin", "NIL"]),
        (0.7, ["NIL", "NIL", "NIL"]),
        (0.0, ["Q:Paris", "Q:Berlin", "Q:Nowhere"]),
    ],
)
def test_threshold(threshold: float | None, expected: list[str]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink_with_fake_linker", config={"threshold": threshold})
    doc = nlp(TEXT)
    assert [ent.kb_id_ for ent in doc.ents] == expected
    for ent in doc.ents:
        link = ent._.entlink
        assert link.entity_id == ent.kb_id_
        best, rest = link.candidates[0].probability, sum(c.probability for c in link.candidates)
        if link.entity_id != NIL:
            assert link.probability == best
        elif ent.text != "Nowhere":
            assert link.probability == pytest.approx(1 - rest)


WORDS = st.sampled_from(["Paris", "Nowhere", "the", " ", "\n\n", "\U0001f600", "القدس", "."])


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=7), size=st.integers(1, 4)
)
def test_pipe_in_any_batch_size_equals_one_by_one(texts: list[str], size: int) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink_with_fake_linker", name="entlink")
    together = list(nlp.pipe(texts, batch_size=size))
    alone = [nlp(text) for text in texts]
    assert [doc.text for doc in together] == texts
    assert [answers(doc) for doc in together] == [answers(doc) for doc in alone]
    assert [[e._.entlink for e in doc.ents] for doc in together] == [
        [e._.entlink for e in doc.ents] for doc in alone
    ]


def test_pipe_batches_across_docs_and_does_not_read_ahead() -> None:
    linker = FakeLinker()
    component = EntlinkComponent(linker=linker)
    nlp = spacy.blank("en")
    taken: list[int] = []

    def docs() -> Iterator[Doc]:
        for i in range(5):
            taken.append(i)
            yield nlp.make_doc(TEXT)

    stream = component.pipe(docs(), batch_size=2)
    next(stream)
    assert taken == [0, 1]
    assert len(list(stream)) == 4
    assert linker.batches == [2, 2, 1]


def test_two_processes_give_the_same(nlp: Language) -> None:
    texts = [TEXT, "", "Berlin", " "] * 3
    alone = list(nlp.pipe(texts))
    parallel = list(nlp.pipe(texts, n_process=2, batch_size=3))
    assert [answers(doc) for doc in parallel] == [answers(doc) for doc in alone]
    assert parallel[0].ents[0]._.entlink == alone[0].ents[0]._.entlink
    assert parallel[0].ents[0]._.kb_ents == alone[0].ents[0]._.kb_ents


def test_docbin_round_trip(nlp: Language) -> None:
    doc = nlp(TEXT)
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    back = next(iter(DocBin().from_bytes(stored).get_docs(spacy.blank("en").vocab)))
    assert answers(back) == answers(doc)
    assert [e._.entlink for e in back.ents] == [e._.entlink for e in doc.ents]
    assert [e._.kb_ents for e in back.ents] == [e._.kb_ents for e in doc.ents]


def test_settings_survive_disk_bytes_and_pickle(tmp_path: Path) -> None:
    changed = EntlinkComponent(linker=FakeLinker(), mentions="ents", threshold=0.25, device="cpu")
    changed.to_disk(tmp_path / "c")
    assert EntlinkComponent(linker=FakeLinker()).from_disk(tmp_path / "c").threshold == 0.25
    other = EntlinkComponent(linker=FakeLinker()).from_bytes(changed.to_bytes())
    assert other.to_bytes() == changed.to_bytes()
    assert pickle.loads(pickle.dumps(changed)).mentions == "ents"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mentions": "all"}, "mentions is 'all'; it has to be one of auto, ents, detect"),
        ({"threshold": 1.5}, "threshold is 1.5; it is a probability"),
    ],
)
def test_bad_settings_are_refused_at_add_pipe(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spacy.blank("en").add_pipe("entlink", config=config)


def test_a_missing_bundle_is_explained_at_add_pipe(tmp_path: Path) -> None:
    with pytest.raises(EntlinkError) as caught:
        spacy.blank("en").add_pipe("entlink", config={"bundle": str(tmp_path / "none")})
    assert isinstance(caught.value, BundleError | ConfigError) or "none" in str(caught.value)
    assert str(tmp_path / "none") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_extensions_are_set_once_and_a_collision_is_explained() -> None:
    EntlinkComponent(linker=FakeLinker())
    EntlinkComponent(linker=FakeLinker())
    ours = Span.get_extension("kb_ents")
    Span.remove_extension("kb_ents")
    Span.set_extension("kb_ents", default=[])
    try:
        with pytest.raises(ConfigError, match=r"span\._\.kb_ents is in use by another component"):
            EntlinkComponent(linker=FakeLinker())
    finally:
        Span.remove_extension("kb_ents")
        Span.set_extension("kb_ents", getter=ours[2])


def test_analysis_of_the_pipeline_is_clean(nlp: Language) -> None:
    analysis = nlp.analyze_pipes()
    assert analysis is not None and analysis["problems"] == {"entlink": []}
    meta = spacy.blank("en").get_factory_meta("entlink")
    assert "token.ent_kb_id" in meta.assigns


def test_the_builtin_bundle_links_a_blank_pipeline(tmp_path: Path) -> None:
    if not (builtin_path() / "manifest.json").is_file():
        pytest.skip("the built-in bundle is not built")
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink")
    docs = list(nlp.pipe(["Angela Merkel met Barack Obama in Berlin.", "", "Paris is in France."]))
    assert {e.text for e in docs[0].ents} >= {"Angela Merkel", "Barack Obama", "Berlin"}
    assert {e.text: e.kb_id_ for e in docs[2].ents} == {"Paris": "Q90", "France": "Q142"}
    nlp.to_disk(tmp_path / "pipeline")
    again = spacy.load(tmp_path / "pipeline")
    assert answers(again("Paris is in France.")) == answers(docs[2])
    parallel = list(nlp.pipe([doc.text for doc in docs], n_process=2))
    assert [answers(doc) for doc in parallel] == [answers(doc) for doc in docs]
