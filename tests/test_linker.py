"""The whole main path over a tiny real bundle: order, offsets, batches, odd texts, bad input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

import entlink
from entlink.corpus.writers import link_record
from entlink.errors import BundleError, ConfigError, EntlinkError, InputError
from entlink.linker import Linker
from entlink.records import NIL, Document, Link, LinkedDocument, Mention
from tests.tiny import ENTITIES

NAMES = {entity.id: entity.name for entity in ENTITIES} | {NIL: ""}
TEXTS = [
    "On that day Jordan met Paris Hilton in Chicago.",
    "",
    "The river Amazon and the shop Amazon; we saw Georgia, then France.",
    " \n\t ",
    "In München (Munich) they write C++ and eat an apple near Apple.",
    "no names at all",
    "😀 we love Paris 👍🏽 and הנה Paris again — القدس",
    "They know Twin and Twin, and the Chicago Bulls of Chicago.",
]


def spans(text: str, *names: str) -> tuple[Mention, ...]:
    """Each name where it first stands after the one before."""
    found, at = [], 0
    for name in names:
        at = text.index(name, at)
        found.append(Mention(at, at + len(name), name))
        at += len(name)
    return tuple(found)


def check(document: LinkedDocument, linker: Linker, *, n_candidates: int = 10) -> None:
    """All that holds of every answer."""
    starts = [link.mention.start for link in document.links]
    assert starts == sorted(starts)
    for link in document.links:
        m = link.mention
        assert document.text[m.start : m.end] == m.text
        assert NAMES[link.entity_id] == link.name
        assert len(link.candidates) == min(n_candidates, len(ENTITIES))
        assert len({c.entity_id for c in link.candidates}) == len(link.candidates)
        order = [
            (-c.probability, linker.kb.rows_of([c.entity_id])[c.entity_id]) for c in link.candidates
        ]
        assert order == sorted(order)
        assert all(
            NAMES[c.entity_id] == c.name and 0 <= c.probability <= 1 for c in link.candidates
        )
        best = link.candidates[0]
        if best.probability >= linker.decision.nil_threshold:
            assert (link.entity_id, link.probability) == (best.entity_id, best.probability)
        else:
            assert link.entity_id == NIL
        if n_candidates >= len(ENTITIES):
            total = sum(c.probability for c in link.candidates)
            assert total <= 1 + 1e-9
            if link.entity_id == NIL:
                assert link.probability == pytest.approx(1 - total, abs=1e-9)


def test_texts_are_linked_in_order(linker: Linker) -> None:
    documents = linker.link(TEXTS)
    assert [d.text for d in documents] == TEXTS
    assert [d.id for d in documents] == [str(i) for i in range(len(TEXTS))]
    for document in documents:
        check(document, linker)
    found = [[link.mention.text for link in d.links] for d in documents]
    assert found == [
        ["Jordan", "Paris Hilton", "Chicago"],
        [],
        ["Amazon", "Amazon", "Georgia", "France"],
        [],
        ["München", "Munich", "C++"],
        [],
        ["Paris", "Paris"],
        ["Twin", "Twin", "Chicago Bulls", "Chicago"],
    ]
    answers = {link.mention.text: link.entity_id for d in documents for link in d.links}
    for name, id in {"Paris Hilton": "Q5", "München": "Q17", "Munich": "Q17"}.items():
        assert answers[name] == id  # nobody else bears it, and the weights favour names


def test_one_text_one_document_or_many(linker: Linker) -> None:
    alone = linker.link(TEXTS[0])
    assert len(alone) == 1 and alone == linker.link([TEXTS[0]])
    document = Document("d7", TEXTS[0])
    assert linker.link(document) == linker.link([document])
    mixed = linker.link([TEXTS[1], document, TEXTS[2]])
    assert [d.id for d in mixed] == ["0", "d7", "2"]
    assert all(close(x, y) for x, y in zip(mixed[1].links, alone[0].links, strict=True))
    assert linker.link([]) == []


def close(a: Link, b: Link) -> bool:
    same = (a.mention, a.entity_id, a.name) == (b.mention, b.entity_id, b.name)
    ids = [c.entity_id for c in a.candidates] == [c.entity_id for c in b.candidates]
    values = [
        np.allclose(
            [c.probability, c.retriever_score, c.prior, c.reranker_score or 0.0],
            [d.probability, d.retriever_score, d.prior, d.reranker_score or 0.0],
            atol=1e-4,
        )
        and (c.reranker_score is None) == (d.reranker_score is None)
        for c, d in zip(a.candidates, b.candidates, strict=True)
    ]
    return same and ids and all(values) and abs(a.probability - b.probability) < 1e-4


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_does_not_matter(linker: Linker, batch_size: int) -> None:
    texts = TEXTS * 3
    expected = linker.link(texts, n_candidates=21)
    found = linker.link(texts, batch_size=batch_size, n_candidates=21)
    for a, b in zip(expected, found, strict=True):
        assert len(a.links) == len(b.links)
        assert all(close(x, y) for x, y in zip(a.links, b.links, strict=True))
    for document in found:
        check(document, linker, n_candidates=21)


def lines(documents: Sequence[LinkedDocument]) -> bytes:
    return b"".join(
        orjson.dumps(link_record(document), option=orjson.OPT_APPEND_NEWLINE)
        for document in documents
    )


def test_the_same_command_gives_the_same_bytes(linker: Linker, tmp_path: Path) -> None:
    first = lines(linker.link(TEXTS))
    assert lines(linker.link(TEXTS)) == first
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path))
        again = Linker.load(linker.bundle.path, device="cpu")
    assert lines(again.link(TEXTS)) == first


def test_twins_are_told_apart_by_nothing_but_their_place(linker: Linker) -> None:
    for batch_size in (1, 2, 64):
        texts = ["They know Twin.", "He saw Twin, and Twin.", "Twin"] * 5
        documents = [
            Document(str(i), text, spans(text, *["Twin"] * text.count("Twin")))
            for i, text in enumerate(texts)
        ]
        for document in linker.link(documents, batch_size=batch_size, n_candidates=21):
            for link in document.links:
                twins = [c for c in link.candidates if c.name == "Twin"]
                assert [c.entity_id for c in twins] == ["Q20", "Q21"]
                assert twins[0].retriever_score == twins[1].retriever_score
                assert twins[0].reranker_score == twins[1].reranker_score


def test_given_mentions_are_linked_and_no_others(linker: Linker) -> None:
    text = "jordan is a country; Paris and القدس; c++ of nobody"
    given_mentions = spans(text, "jordan", "country", "القدس", "c++", "nobody")
    (document,) = linker.link([Document("d", text, given_mentions)])
    check(document, linker)
    assert [link.mention for link in document.links] == list(given_mentions)
    answers = {link.mention.text: link.candidates for link in document.links}
    assert {c.entity_id for c in answers["jordan"]} >= {"Q1", "Q2", "Q3"}
    assert {c.entity_id for c in answers["القدس"]} >= {"Q18"}
    assert {c.entity_id for c in answers["c++"]} >= {"Q19"}
    assert linker.link([Document("d", text, ())])[0].links == ()


def test_found_and_given_mentions_in_one_batch(linker: Linker) -> None:
    documents = [
        Document("a", TEXTS[0]),
        Document("b", TEXTS[2], spans(TEXTS[2], "river")),
        Document("c", TEXTS[0], ()),
        Document("d", TEXTS[4]),
    ]
    together = linker.link(documents)
    for document, found in zip(documents, together, strict=True):
        (alone,) = linker.link([document])
        assert alone.id == found.id == document.id
        assert all(close(x, y) for x, y in zip(alone.links, found.links, strict=True))
    assert [len(d.links) for d in together] == [3, 1, 0, 3]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 0), (5, 3), (0, 100), (99, 100), (-5, -1)])
def test_offsets_that_do_not_lie_in_the_text(linker: Linker, start: int, end: int) -> None:
    with pytest.raises(InputError, match="does not lie in a text of 5 characters") as caught:
        linker.link([Document("d", "Paris", (Mention(start, end, "Paris"),))])
    assert "\n" not in str(caught.value)


def test_a_mention_that_is_not_what_stands_there(linker: Linker) -> None:
    document = Document("d9", "Paris and Chicago", (Mention(10, 17, "Paris"),))
    with pytest.raises(InputError, match="document 'd9': the mention at 10 says 'Paris'"):
        linker.link([Document("d8", "Paris"), document])


def test_given_mentions_come_back_in_order(linker: Linker) -> None:
    mentions = spans(TEXTS[2], "Amazon", "Georgia", "France")
    (expected,) = linker.link([Document("d", TEXTS[2], mentions)])
    (found,) = linker.link([Document("d", TEXTS[2], mentions[::-1])])
    check(found, linker)
    assert [link.mention for link in found.links] == [link.mention for link in expected.links]


def test_half_a_surrogate_pair_is_named(linker: Linker) -> None:
    with pytest.raises(InputError, match="document '0': character 3 is half a surrogate"):
        linker.link("Hi \ud83d Paris")


@pytest.mark.parametrize("n_candidates", [0, -1])
def test_at_least_one_candidate_is_kept(linker: Linker, n_candidates: int) -> None:
    with pytest.raises(ConfigError, match="n_candidates is"):
        linker.link(TEXTS, n_candidates=n_candidates)


@pytest.mark.parametrize("n_candidates", [1, 3, 21, 500])
def test_as_many_candidates_as_asked_for(linker: Linker, n_candidates: int) -> None:
    expected = linker.link(TEXTS, n_candidates=21)
    found = linker.link(TEXTS, n_candidates=n_candidates)
    for a, b in zip(expected, found, strict=True):
        check(b, linker, n_candidates=n_candidates)
        for x, y in zip(a.links, b.links, strict=True):
            assert (x.mention, x.entity_id, x.probability) == (
                y.mention,
                y.entity_id,
                y.probability,
            )
            assert x.candidates[:n_candidates] == y.candidates


def test_words_of_earlier_texts_are_forgotten(
    linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"word{n} saw Paris, word{n + 1} saw Jordan." for n in range(9)]
    expected = [linked.links for linked in linker.link(texts)]
    limit = len(linker._nlp.vocab.strings) + 5
    monkeypatch.setattr("entlink.linker._WORDS", limit)
    vocabularies, sizes = set(), []
    for n, text in enumerate(texts):
        vocabularies.add(linker._nlp.vocab)
        sizes.append(len(linker._nlp.vocab.strings))
        found = linker.link(f"{text} also{n}")[0].links
        assert [x.entity_id for x in found] == [x.entity_id for x in expected[n]]
    assert len(vocabularies) > 1 and max(sizes) <= limit


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_that_cannot_work(linker: Linker, batch_size: int) -> None:
    with pytest.raises(ConfigError, match=f"batch_size is {batch_size}; it must be at least 1"):
        linker.link(TEXTS, batch_size=batch_size)


def test_a_stream_is_read_no_further_than_needed(linker: Linker) -> None:
    taken: list[int] = []

    def documents() -> Iterator[Document]:
        for i in range(10):
            taken.append(i)
            yield Document(str(i), TEXTS[0])

    stream = linker.stream(documents(), batch_size=3)
    assert next(stream).id == "0" and taken == [0, 1, 2]
    assert [document.id for document in stream] == [str(i) for i in range(1, 10)]


def test_docs_of_any_pipeline(linker: Linker) -> None:
    nlp = spacy.blank("en")
    docs = [nlp(text) for text in TEXTS]
    found = linker.link_docs(docs)
    expected = [document.links for document in linker.link(TEXTS)]
    assert [len(links) for links in found] == [len(links) for links in expected]
    assert all(
        close(x, y) for a, b in zip(found, expected, strict=True) for x, y in zip(a, b, strict=True)
    )
    chosen = linker.link_docs(docs[:2], [spans(TEXTS[0], "day"), ()])
    assert [[link.mention.text for link in links] for links in chosen] == [["day"], []]


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(
                ["Jordan", "Paris", " and ", "\n\n", "😀", "القدس", "C++", "\x00", "\r\n"]
            ),
            st.text(max_size=6).filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t)),
        ),
        max_size=8,
    )
)
def test_offsets_hold_in_every_text(linker: Linker, parts: list[str]) -> None:
    text = "".join(parts)
    (document,) = linker.link(text)
    assert document.text == text
    check(document, linker)


@pytest.mark.slow
def test_five_megabytes(linker: Linker) -> None:
    story = "We went on. Then Prince saw Jordan near Paris and was glad of it. "
    text = (story + "incomprehensibilities " * 1000) * 230
    assert len(text.encode()) > 5_000_000
    started = time.process_time()
    (document,) = linker.link(text)
    assert time.process_time() - started < 300  # some ten seconds; what grows faster takes hours
    check(document, linker)
    assert [link.mention.text for link in document.links] == ["Prince", "Jordan", "Paris"] * 230


def test_without_a_reranker_the_first_model_decides(bare: Linker, linker: Linker) -> None:
    for document in bare.link(TEXTS, n_candidates=21):
        check(document, bare, n_candidates=21)
        assert all(c.reranker_score is None for link in document.links for c in link.candidates)
    read = [
        c.reranker_score is not None
        for document in linker.link(TEXTS, n_candidates=21)
        for link in document.links
        for c in link.candidates
    ]
    assert 0 < sum(read) < len(read)


def test_what_was_read_is_in_the_scores(linker: Linker) -> None:
    text = TEXTS[0]
    mention = spans(text, "Jordan")[0]
    (scored,) = linker.score([(text, mention)])
    n_read = int(np.isfinite(scored.logits).sum())
    assert 1 <= n_read <= linker.decision.max_pairs
    read = np.flatnonzero(np.isfinite(scored.logits))
    unread = np.flatnonzero(np.isnan(scored.logits))
    np.testing.assert_array_equal(scored.probabilities[unread], scored.first[unread])
    assert scored.first[read].min() >= scored.first[unread].max()
    assert scored.probabilities.sum() == pytest.approx(1.0)
    assert linker.score([]) == []


def test_labels_given_are_kept(linker: Linker) -> None:
    mention = Mention(0, 6, "Jordan", label="PER")
    (document,) = linker.link([Document("d", "Jordan won.", (mention,))])
    assert document.links[0].mention == mention


def test_longer_names_in_the_text_help(linker: Linker) -> None:
    text = "Michael Jordan won. Jordan smiled."
    long, short = Mention(0, 14, "Michael Jordan", "PER"), Mention(20, 26, "Jordan", "PER")
    (document,) = linker.link([Document("d", text, (long, short))])
    assert [link.entity_id for link in document.links] == ["Q2", "Q2"]
    assert document.links[1].mention.full_name == "Michael Jordan"
    assert document.links[1].mention.text == "Jordan"


def test_a_device_that_is_not_there(linker: Linker) -> None:
    with pytest.raises(ConfigError, match="device 'no such thing' cannot be used") as caught:
        Linker.load(linker.bundle.path, device="no such thing")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_that_cannot_be(linker: Linker, threads: int) -> None:
    with pytest.raises(ConfigError, match=f"threads is {threads}; it must be at least 1"):
        Linker.load(linker.bundle.path, threads=threads)


def test_an_unknown_bundle_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        entlink.load(tmp_path / "none")
    assert isinstance(caught.value, EntlinkError) and "\n" not in str(caught.value)
