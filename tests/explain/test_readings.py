"""Vectors read as words against loops: ranks, forgotten words, enrichment, and where is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from entlink.encode.lexical import words_of
from entlink.encode.masked import MaskedHead, token_logits
from entlink.explain import Vocabulary
from entlink.explain.masked import _reading
from entlink.explain.parts import Window
from entlink.explain.reading import mention_text, read_vector, surface_text
from entlink.inputs import entity_inputs, pair_context_of, pair_entity
from entlink.linker import Linker
from entlink.records import NIL
from entlink.rerank.cross_encoder import CrossEncoder, pad_pairs

TEXT = "On that day Jordan met Paris Hilton in Chicago."


def test_forgotten_words_are_those_that_rank_low() -> None:
    words = tuple(a + b for a in "abcdefghij" for b in "klmnopqrst")
    angles = np.linspace(0, np.pi, 100)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    vocabulary = Vocabulary(words, np.arange(100.0), vectors, 5.0)
    text = " ".join([words[0], words[4], words[60], "unknown", words[5], words[99]])
    found = read_vector("mention", vectors[0], text, vocabulary, 3)
    assert [word for word, _ in found.words] == list(words[:3])
    assert found.expansion == (words[1], words[2])
    assert found.ranks == {words[i]: i + 1 for i in (0, 4, 60, 5, 99)}
    assert found.amnesia == (words[99], words[60], words[5])  # rank over 5 of 100; rarest first


def test_tokens_that_rank_low_are_forgotten() -> None:
    found = _reading("x", -torch.arange(100.0), [0, 4, 60, 5, 99, 60], 3, lambda i: f"t{i}")
    assert found.ranks == {f"t{i}": i + 1 for i in (0, 4, 60, 5, 99)}
    assert found.expansion == ("t1", "t2")
    assert found.amnesia == ("t99", "t60", "t5")  # lowest first


def test_enriched_ranks_by_hand(linker: Linker) -> None:
    found = linker.explain(TEXT, "Jordan", words=False, n_candidates=50, enrichment=2.0)
    vocabulary, encoder = linker.vocabulary, linker.retriever.encoder

    def enriched(vector: np.ndarray, text: str) -> np.ndarray:
        own = np.zeros(len(vector))
        for word in words_of(text):
            if word in vocabulary.places:
                place = vocabulary.places[word]
                own += vocabulary.idf[place] * vocabulary.centred[place]
        length = float(np.linalg.norm(own))
        made = vector + 2.0 * own / length if length else vector
        return np.asarray(made / np.linalg.norm(made))

    item = Window.around(TEXT, found.mention).item
    query = enriched(encoder.encode_mentions([item])[0], mention_text(item))
    cosines: dict[str, float] = {}
    ranks = {c.entity_id: c.enriched_rank for c in found.candidates if c.entity_id != NIL}
    for entity_id in ranks:
        entity = linker.kb.by_id(entity_id)
        assert entity is not None
        surfaces = entity_inputs(entity, encoder.config.views)
        vectors = encoder.encode_entities(surfaces)
        pairs = zip(vectors, surfaces, strict=True)
        cosines[entity_id] = max(float(enriched(v, surface_text(s)) @ query) for v, s in pairs)
    order = sorted(cosines, key=lambda entity_id: -cosines[entity_id])
    assert ranks == {entity_id: order.index(entity_id) + 1 for entity_id in ranks}
    assert any(c.enriched_rank != c.retriever_rank for c in found.candidates if c.entity_id != NIL)


def test_the_marks_are_read_where_they_stand(linker: Linker, tmp_path: Path) -> None:
    assert isinstance(linker.reranker, CrossEncoder)
    model, pairs = linker.reranker.model, linker.reranker.pairs
    torch.manual_seed(0)
    head = MaskedHead(model.bert.config).eval()
    head.save(tmp_path)
    found = linker.explain(TEXT, "Jordan", words=False, vectors=False, head=str(tmp_path))
    entity = linker.kb.by_id(found.entity_id)
    assert entity is not None
    context, text = pair_context_of(Window.around(TEXT, found.mention).item), pair_entity(entity)
    first, second = pairs.mentions([context])[0], pairs.entities([text])[0]
    with torch.inference_mode():
        logits = token_logits(model.bert, head, *pad_pairs([first], [second]))[0]
    mark, entity_mark = pairs._marks[2], pairs._marks[4]
    places = [0, first.index(mark), len(first) + second.index(entity_mark)]
    for reading, place in zip(found.readings, places, strict=True):
        order = torch.argsort(logits[place], descending=True, stable=True).tolist()
        names = [pairs.tokenizer.id_to_token(i) for i in order]
        assert [word for word, _ in reading.words] == names[:20]
        assert all(names[rank - 1] == word for word, rank in reading.ranks.items())
    assert len({reading.words for reading in found.readings}) == 3
