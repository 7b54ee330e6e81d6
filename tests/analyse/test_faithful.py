"""Faithfulness against linking the shortened texts one by one."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from entlink.analyse import Faithfulness, measure_faithfulness
from entlink.analyse.faithful import MATTERS
from entlink.errors import ConfigError, InputError
from entlink.explain import Explanation
from entlink.linker import Linker
from entlink.records import NIL, Document, Mention
from tests.tiny import seeing_documents

TEXTS = [
    ("It was late. On that day Jordan met Paris Hilton in Chicago. They ate.", "Jordan"),
    ("The river Amazon is long. We saw Georgia then.", "Amazon"),
    ("Twin", "Twin"),
]
DOCUMENTS = [
    Document(str(i), text, (Mention(text.index(name), text.index(name) + len(name), name),))
    for i, (text, name) in enumerate(TEXTS)
]


@pytest.fixture(scope="module")
def found(linker: Linker) -> Faithfulness:
    return measure_faithfulness(linker, DOCUMENTS)


def by_hand(linker: Linker, document: Document) -> tuple[list[float], dict[str, int]]:
    """The changes by linking each shorter text afresh, and the place that each method names."""
    assert document.mentions
    mention, text = document.mentions[0], document.text
    e = linker.explain(text, mention, vectors=False)
    parts = [x for x in e.effects if x.kind == "sentence"]

    def odds(text: str, mention: Mention) -> float:
        ((link,),) = linker.link_docs([linker._nlp.make_doc(text)], [[mention]], n_candidates=21)
        p = {c.entity_id: c.probability for c in link.candidates}
        p[NIL] = 1 - sum(p.values())
        return float(np.log(p[e.entity_id] / p[e.rival]))

    changes = []
    for part in parts:
        assert part.start is not None and part.end is not None
        shift = len(part.part) if part.start < mention.start else 0
        moved = replace(mention, start=mention.start - shift, end=mention.end - shift)
        shorter = text[: part.start] + text[part.end :]
        changes.append(odds(shorter, moved) - odds(text, mention))
    weights = [
        sum(t.weight for t in e.tokens if t.start is not None and p.start <= t.start < p.end)
        for p in parts
        if p.start is not None and p.end is not None
    ]
    gaps = [
        min(abs(a - b) for a in (p.start, p.end) for b in (mention.start, mention.end))
        for p in parts
        if p.start is not None and p.end is not None
    ]
    named = {
        "nearest": int(np.argmin(gaps)),
        "explanation": int(np.argmax([abs(part.log_odds) for part in parts])),
        "gradient": int(np.argmax(np.abs(weights))),
    }
    return changes, named


def test_figures_by_hand(linker: Linker, found: Faithfulness) -> None:
    cases = [by_hand(linker, document) for document in DOCUMENTS[:2]]
    assert found.n_mentions == 2  # the third has no text around it
    assert found.n_parts == np.mean([len(changes) for changes, _ in cases])
    expected = np.mean([np.mean(np.abs(changes)) for changes, _ in cases])
    assert found.change == pytest.approx(expected, rel=1e-3)
    for method in ("explanation", "gradient", "nearest"):
        first = [named[method] == np.argmax(np.abs(changes)) for changes, named in cases]
        size = [abs(changes[named[method]]) for changes, named in cases]
        assert found.methods[method].first == np.mean(first)
        assert found.methods[method].change == pytest.approx(np.mean(size), rel=1e-3)
    lots = found.methods["random"]
    assert lots.first == pytest.approx(np.mean([1 / len(changes) for changes, _ in cases]))
    assert lots.change == pytest.approx(found.change)
    matter = [changes for changes, _ in cases if max(map(abs, changes)) >= MATTERS]
    assert found.n_matter == len(matter)


def test_an_explanation_names_what_changes_most(found: Faithfulness) -> None:
    assert found.methods["explanation"].first == 1.0
    assert found.methods["explanation"].change >= found.methods["random"].change
    assert set(found.methods) == {"explanation", "gradient", "nearest", "random"}
    table = "\n".join(found.lines())
    for name, method in found.methods.items():
        assert f"| {name} | {method.first:.3f} | {method.change:.2f} |" in table


def test_whole_texts_by_hand(linker: Linker) -> None:
    """With the text's other mentions: those of the part are gone, the others speak anew."""
    seeing = copy.copy(linker)
    seeing.decision = seeing_documents(linker.decision, early=True, late=True, scale=0.7, seed=0)
    text = TEXTS[0][0]
    names = ("Jordan", "Paris Hilton", "Chicago")
    at = [(text.index(name), text.index(name) + len(name)) for name in names]
    document = Document("d", text, tuple(Mention(s, e, text[s:e]) for s, e in at))
    expected = []
    for start, end in at:
        e = seeing.explain(document, (start, end), vectors=False, words=False)

        def odds(shown: Document, start: int, e: Explanation = e) -> float:
            (linked,) = seeing.link(shown, n_candidates=21)
            (link,) = (x for x in linked.links if x.mention.start == start)
            p = {c.entity_id: c.probability for c in link.candidates}
            p[NIL] = 1 - sum(p.values())
            return float(np.log(p[e.entity_id] / p[e.rival]))

        sizes = []
        for part in (x for x in e.effects if x.kind == "sentence"):
            assert part.start is not None and part.end is not None
            n = len(part.part)
            left = [(s, t) for s, t in at if t <= part.start or s >= part.end]
            moved = [(s - n, t - n) if s > part.start else (s, t) for s, t in left]
            short = text[: part.start] + text[part.end :]
            shown = Document("d", short, tuple(Mention(s, t, short[s:t]) for s, t in moved))
            own = start - n if start > part.start else start
            sizes.append(abs(odds(shown, own) - odds(document, start)))
        expected.append(sizes)
    found = measure_faithfulness(seeing, [document], whole=True)
    assert (found.whole, found.n_mentions) == (True, 3)
    assert found.change == pytest.approx(np.mean([np.mean(x) for x in expected]), rel=1e-3)
    named = found.methods["explanation"]
    assert named.first == 1.0  # sentences are taken out for real
    assert named.change == pytest.approx(np.mean([max(x) for x in expected]), rel=1e-3)


def test_words_and_samples(linker: Linker) -> None:
    seen: list[int] = []
    found = measure_faithfulness(
        linker, DOCUMENTS, kind="word", n_mentions=1, on_mention=seen.append
    )
    assert (found.kind, found.n_mentions, seen) == ("word", 1, [1])
    again = measure_faithfulness(linker, DOCUMENTS, kind="word", n_mentions=1)
    assert found == again


def test_what_cannot_be_measured(linker: Linker) -> None:
    with pytest.raises(InputError, match="no mention has two sentences around it"):
        measure_faithfulness(linker, DOCUMENTS[2:])
    with pytest.raises(ConfigError, match="kind is 'verb'"):
        measure_faithfulness(linker, DOCUMENTS, kind="verb")
