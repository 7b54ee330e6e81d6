from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from entlink.detect import Detector, Gazetteer, Recogniser
from entlink.detect.detector import best_label, resolve
from entlink.detect.recogniser import mention_at, pieces
from entlink.errors import BundleError, ConfigError
from entlink.records import Entity, Mention
from tests.detect.fakes import FakeNames

PATH = Path(__file__).resolve().parents[2] / "kb" / "builtin" / "detector"
TEXT = (
    "Angela Merkel met Barack Obama in Berlin on Friday. The German chancellor praised "
    "the Microsoft Corporation and the University of Oxford."
)


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    if not PATH.is_dir():
        pytest.skip("kb/builtin/detector is not built")
    return Recogniser.load(PATH)


def test_finds_names_and_their_kinds(recogniser: Recogniser, nlp: Language) -> None:
    found = {m.text: m.label for m in recogniser.detect([nlp.make_doc(TEXT)])[0]}
    assert found["Angela Merkel"] == "PER"
    assert found["Barack Obama"] == "PER"
    assert found["Berlin"] == "LOC"
    assert found["University of Oxford"] == "ORG"
    assert set(recogniser.labels) == {"PER", "LOC", "ORG", "MISC"}


def test_the_saved_pipeline_is_small_and_holds_no_pickle() -> None:
    if not PATH.is_dir():
        pytest.skip("kb/builtin/detector is not built")
    files = [path for path in PATH.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5_000_000
    for path in files:
        data = path.read_bytes()
        assert data[:1] != b"\x80" or path.name in {"lookups.bin", "key2row"}, path  # msgpack {}


def test_docs_of_another_vocabulary_are_left_untouched(recogniser: Recogniser) -> None:
    doc = spacy.blank("de").make_doc(TEXT)
    before = doc.to_bytes()
    assert recogniser.detect([doc])[0]
    assert doc.to_bytes() == before


PARTS = st.sampled_from(
    ["Barack Obama", "Paris", "IBM", "the", "won", ".", "\n", "\n\n", "  ", "\U0001f600", "שלום"]
)
DOCS = st.lists(st.lists(PARTS, max_size=20).map(" ".join), max_size=5)


@settings(max_examples=60, deadline=None)
@given(texts=DOCS)
def test_batched_equals_one_by_one_and_offsets_hold(texts: list[str]) -> None:
    if not PATH.is_dir():
        pytest.skip("kb/builtin/detector is not built")
    docs = [_NLP.make_doc(text) for text in texts]
    detector = _detector()
    together = detector.detect(docs)
    assert together == [detector.detect([doc])[0] for doc in docs]
    for text, found in zip(texts, together, strict=True):
        ends = 0
        for mention in found:
            assert text[mention.start : mention.end] == mention.text
            assert mention.text.strip() == mention.text != ""
            assert mention.start >= ends  # sorted, without overlaps
            ends = mention.end


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n\n", "\U0001f600", "مرحبا بالعالم", "\u200f", "\x00"]
)
def test_odd_texts(recogniser: Recogniser, nlp: Language, text: str) -> None:
    found = _detector().detect([nlp.make_doc(text)])[0]
    assert [text[m.start : m.end] for m in found] == [m.text for m in found]


@pytest.mark.slow
def test_a_document_of_five_megabytes(recogniser: Recogniser) -> None:
    nlp = spacy.blank("en")
    nlp.max_length = 10_000_000
    part = TEXT + " The" + " incomprehensibilitiesandotherlongwords" * 20 + ". "
    text = part * (5_000_000 // len(part) + 1)
    found = recogniser.detect([nlp.make_doc(text)])[0]
    n_repeats = text.count("Barack Obama")
    assert sum(m.text == "Barack Obama" for m in found) > 0.95 * n_repeats


def test_a_missing_pipeline_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a readable spaCy pipeline") as caught:
        Recogniser.load(tmp_path / "none")
    assert "\n" not in str(caught.value)
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(BundleError, match="no 'ner' component"):
        Recogniser.load(tmp_path / "blank")


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.sampled_from(["a", ".", "B", "\n\n", "\n"]), max_size=60),
    max_tokens=st.integers(2, 9),
)
def test_pieces_cover_all_words_once_in_order(words: list[str], max_tokens: int) -> None:
    doc = spacy.tokens.Doc(_NLP.vocab, words=words)
    cut = list(pieces(doc, max_tokens=max_tokens))
    tokens = [i for piece in cut for i in piece.tokens]
    assert tokens == [token.i for token in doc if not token.is_space]
    assert all(0 < len(piece.tokens) <= max_tokens for piece in cut)
    for piece in cut:
        assert [doc[i].text for i in piece.tokens] == list(piece.words)
        between = [doc[i].text for i in range(piece.tokens[0], piece.tokens[-1])]
        assert "\n\n" not in between


SPANS = st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda s: (s[0], s[0] + s[1]))


@settings(max_examples=200)
@given(windows=st.lists(SPANS), spans=st.lists(SPANS))
def test_resolve_follows_the_stated_rule(
    windows: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    recognised, taken = [], 0
    for start, end in sorted(set(spans)):  # a recogniser's spans do not overlap
        if start >= taken:
            recognised.append((start, end, f"L{start}"))
            taken = end
    chosen = resolve(recognised, [(start, end, "") for start, end in windows])
    spans_of = {(s, e) for s, e, _ in recognised}
    offered = spans_of | set(windows)
    kept = {(start, end) for start, end, _ in chosen}
    assert kept <= offered
    tokens = [i for start, end in kept for i in range(start, end)]
    assert len(tokens) == len(set(tokens))
    for start, end in offered - kept:  # what was left out gave way to one that goes first
        rivals = [s for s in kept if s[0] < end and start < s[1]]
        mine = (start - end, (start, end) not in spans_of, start)
        assert any((s - e, (s, e) not in spans_of, s) < mine for s, e in rivals)
    for start, end, label in chosen:
        shares = [min(end, e) - max(start, s) for s, e, _ in recognised]
        best = max(shares, default=0)
        expected = recognised[shares.index(best)][2] if best > 0 else ""
        assert label == best_label(start, end, recognised) == expected


def test_resolve_of_three_lists() -> None:
    ents = [(0, 2, "PER"), (5, 6, "LOC")]
    chunks = [(0, 3, ""), (5, 6, ""), (8, 9, "")]
    others = [(8, 9, "ORG"), (2, 4, "MISC"), (8, 9, "")]
    assert resolve(ents, chunks, others) == [(0, 3, "PER"), (5, 6, "LOC"), (8, 9, "ORG")]
    assert resolve() == resolve([], []) == []


def test_its_two_halves_together_are_the_detector(nlp: Language) -> None:
    docs = [nlp.make_doc(text) for text in (TEXT, "", "IBM and Obama met in Paris -- IBM won.")]
    both = [
        resolve(recognised, named)
        for recognised, named in zip(
            _detector().recognised(docs), _detector().named(docs), strict=True
        )
    ]
    mentions = [
        [mention_at(doc, *span) for span in some] for doc, some in zip(docs, both, strict=True)
    ]
    assert mentions == _detector().detect(docs)


def test_what_is_recognised_once_is_found_again(nlp: Language) -> None:
    text = "Carla Voss of the club scored twice. It was late. Voss , 31 , left early."
    doc = nlp.make_doc(text)
    recogniser = _detector().recogniser
    assert recogniser is not None
    for detector in (_detector(), Detector(gazetteer=None, recogniser=recogniser)):
        found = [(m.text, m.label) for m in detector.detect([doc])[0]]
        assert found == [("Carla Voss", "PER"), ("Voss", "PER")]


def test_label_given_labels_what_overlaps(recogniser: Recogniser, nlp: Language) -> None:
    doc = nlp.make_doc(TEXT)
    at = TEXT.index("Obama")
    mentions = [
        Mention(0, 13, "Angela Merkel"),
        Mention(at, at + 5, "Obama"),
        Mention(14, 17, "met"),
        Mention(34, 40, "Berlin", "GIVEN"),
    ]
    labelled = Detector(gazetteer=None, recogniser=recogniser).label_given([doc], [mentions])[0]
    assert [m.label for m in labelled] == ["PER", "PER", "", "GIVEN"]
    assert [(m.start, m.end, m.text) for m in labelled] == [
        (m.start, m.end, m.text) for m in mentions
    ]


def test_a_detector_needs_a_strategy() -> None:
    with pytest.raises(ConfigError, match="needs a gazetteer or a recogniser"):
        Detector(gazetteer=None, recogniser=None)


_NLP = spacy.blank("en")


@cache
def _detector() -> Detector:
    names = FakeNames([Entity("E1", "Paris"), Entity("E2", "Obama"), Entity("E3", "IBM")])
    return Detector(gazetteer=Gazetteer(names), recogniser=Recogniser.load(PATH))
