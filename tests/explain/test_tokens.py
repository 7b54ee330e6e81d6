"""Tokens against the tokenizer's own halves, gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.explain.parts import Window
from entlink.explain.tokens import gradient_times_input, pair_tokens
from entlink.inputs import pair_context_of, pair_entity
from entlink.linker import Linker
from entlink.records import Mention
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig, pad_pairs
from tests import tiny

TEXTS = st.lists(
    st.sampled_from(
        ["Jordan", "city", "of", "a", "river", "in", "[M]", "😀", "in", "a.", "capital"]
    ),
    max_size=20,
).map(" ".join)
READER = tiny.cross_encoder()
CUTTING = tiny.cross_encoder(config=PairConfig(12, 12, 4, 4, head_tokens=3))


@settings(max_examples=60)
@given(
    reader=st.sampled_from([READER, CUTTING]),
    left=TEXTS,
    span=TEXTS,
    right=TEXTS,
    name=TEXTS,
    description=TEXTS,
)
def test_tokens_are_those_of_the_pair(
    reader: CrossEncoder, left: str, span: str, right: str, name: str, description: str
) -> None:
    context, entity = (left, span, right), (name, description)
    first, second = pair_tokens(reader.pairs, context, entity)
    assert [token.id for token in first] == reader.pairs.mentions([context])[0]
    assert [token.id for token in second] == reader.pairs.entities([entity])[0]
    parts = {"left": left, "span": span, "right": right, "name": name, "description": description}
    for token in (*first, *second):
        if token.side == "mark":
            continue
        said = parts[token.side][token.start : token.end]
        piece = reader.pairs.tokenizer.id_to_token(token.id) or ""
        assert piece == "[UNK]" or piece.removeprefix("##") == said.lower()
    sides = [token.side for token in first if token.side != "mark"]
    assert sides == sorted(sides, key=["left", "span", "right"].index)


def test_gradients_are_those_of_small_steps() -> None:
    """Each token's number is what the logit loses as its embedding shrinks a little."""
    model = READER.model.double()
    first = [[2, 20, 30, 5, 40, 6, 3], [2, 5, 40, 6, 3]]
    second = [[50, 7, 60, 61, 3], [50, 51, 7, 3]]
    try:
        found = gradient_times_input(model, first, second)
        ids, segments, is_token = pad_pairs(first, second)
        table = model.bert.embeddings.word_embeddings
        for row in range(2):
            n = len(first[row]) + len(second[row])
            assert found[row].shape == (n,)
            for place in range(n):
                expected = _slope(model, table, ids[row], segments[row], is_token[row], place)
                assert found[row][place] == pytest.approx(expected, rel=1e-4, abs=1e-8)
        assert not table._forward_hooks
        assert all(p.grad is None for p in model.parameters())
    finally:
        model.float()


def _slope(
    model: torch.nn.Module,
    table: torch.nn.Module,
    ids: torch.Tensor,
    segments: torch.Tensor,
    is_token: torch.Tensor,
    place: int,
    step: float = 1e-5,
) -> float:
    """(logit with the embedding scaled by 1 + step) - (by 1 - step), over 2 steps."""
    logits = []
    for scale in (1 + step, 1 - step):

        def stretch(_: object, __: object, out: torch.Tensor, scale: float = scale) -> torch.Tensor:
            out = out.clone()
            out[0, place] *= scale
            return out

        hook = table.register_forward_hook(stretch)
        with torch.no_grad():
            logits.append(float(model(ids[None], segments[None], is_token[None])))
        hook.remove()
    return (logits[0] - logits[1]) / (2 * step)


def test_places_in_the_text() -> None:
    from entlink.explain.tokens import PairToken, _in_text

    text = "A city. Jordan, a river."
    window = Window.around(text, Mention(8, 14, "Jordan"))
    context = (window.item.left, window.item.span, window.item.right)
    config = PairConfig(12, 12, 8, 8)
    reader = tiny.cross_encoder(config=config)
    first, second = pair_tokens(reader.pairs, context, ("Jordan", "river"))
    for token in first:
        if token.side != "mark":
            start, end = _in_text(window, token)
            assert start is not None
            piece = reader.pairs.tokenizer.id_to_token(token.id) or ""
            assert text[start:end].lower() == piece.removeprefix("##")
    assert all(_in_text(window, token) == (None, None) for token in second)
    named = Window.around(text, Mention(8, 14, "Jordan", full_name="Michael Jordan"))
    assert _in_text(named, PairToken(1, "span", 0, 3)) == (None, None)


def test_places_where_the_context_is_cut(builtin_linker: Linker) -> None:
    """Of a long text the name elsewhere, the beginning and what stands before are read."""
    filler = "Nothing else was said that evening, and people went home in the rain. " * 30
    text = f"CHICAGO (AP)  Michael Jordan, the guard, scored. {filler}Then Jordan scored 30 points."
    start = text.rindex("Jordan")
    window = Window.around(text, Mention(start, start + 6, "Jordan"))
    assert "Michael Jordan" in window.item.elsewhere
    assert len(window.pair_left) == len(pair_context_of(window.item)[0])
    found = builtin_linker.explain(text, (start, start + 6), words=False, vectors=False)
    placed = [t for t in found.tokens if t.start is not None and t.end is not None]
    for token in placed:
        assert text[token.start : token.end].lower() == token.token.removeprefix("##")
    left = {t.start for t in placed if t.side == "left" and t.start is not None}
    assert any(place < 60 for place in left) and any(place > start - 20 for place in left)


def test_the_context_speaks_for_the_answer_and_against_the_rival(linker: Linker) -> None:
    """The context's weights are the answer's less the rival's; the entity's are the answer's."""
    text = "On that day Jordan met Paris Hilton in Chicago."
    found = linker.explain(text, "Jordan", words=False, vectors=False)
    assert isinstance(linker.reranker, CrossEncoder)
    context = pair_context_of(Window.around(text, found.mention).item)
    rows = []
    for entity_id in (found.entity_id, found.rival):
        entity = linker.kb.by_id(entity_id)
        assert entity is not None and found.candidate(entity_id).reranker_score is not None
        first, second = pair_tokens(linker.reranker.pairs, context, pair_entity(entity))
        ids = [[t.id for t in first]], [[t.id for t in second]]
        rows.append(gradient_times_input(linker.reranker.model, *ids)[0])
    answer, rival, n = *rows, len(first)
    weights = [token.weight for token in found.tokens]
    assert np.abs(rival[:n]).max() > 1e-4
    np.testing.assert_allclose(weights[:n], answer[:n] - rival[:n], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(weights[n:], answer[n:], rtol=1e-3, atol=1e-5)
