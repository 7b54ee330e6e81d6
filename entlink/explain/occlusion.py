"""Leaving out one input of the models at a time: of the mention, of an entity, of its text.

All else stays: the candidates, what the knowledge base says of the name, and which pairs are read.
So a change is what the input itself did to the cosine, to the logit, and to the answer's odds. What
stands in the text is taken out of the text itself (see removal.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from entlink.explain.parts import Window, word_spans
from entlink.explain.result import Effect
from entlink.explain.scoring import NIL_PLACE, Base, Scorer, Terms
from entlink.inputs import (
    EntityInput,
    MentionInput,
    entity_description,
    pair_context_of,
    pair_entity,
)
from entlink.records import Entity


@dataclass(frozen=True, slots=True)
class EntityTexts:
    """What the two models get of an entity."""

    inputs: tuple[EntityInput, ...]  # one a surface
    pair: tuple[str, str]

    @classmethod
    def of(cls, base: Base, entity: Entity) -> EntityTexts:
        """As in use."""
        return cls(tuple(base.inputs(entity)), pair_entity(entity))


@dataclass(frozen=True, slots=True)
class Question:
    """The scores to ask for again, with something left out of the mention or of an entity."""

    effect: Effect  # what it is; its numbers are still to come
    item: MentionInput | None = None
    entity: EntityTexts | None = None  # of effect.side


def input_questions(window: Window) -> list[Question]:
    """The inputs of the mention tower."""
    item = window.item
    blanked = [
        ("span", replace(item, span="")),
        ("left", replace(item, left="")),
        ("right", replace(item, right="")),
        ("sentence", replace(item, sentence="")),
        ("label", replace(item, label="")),
    ]
    if window.mention.full_name:
        blanked.append(("full name", replace(item, span=window.mention.text)))
    return [
        Question(_asked("mention", name), item=without)
        for name, without in blanked
        if without != item
    ]


def entity_questions(base: Base, entity: Entity, *, words: bool) -> list[Question]:
    """The parts of an entity's record, then the words of its text."""
    whole = EntityTexts.of(base, entity)
    own = tuple(item for item in whole.inputs if item.name == entity.name)
    changed = [
        ("name", _nameless(whole)),
        ("description", EntityTexts.of(base, replace(entity, description=None))),
        ("facts", EntityTexts.of(base, replace(entity, facts=""))),
        ("types", EntityTexts.of(base, replace(entity, types=(), type_names=()))),
        ("aliases", EntityTexts(own or whole.inputs, pair_entity(replace(entity, aliases=())))),
        ("popularity", EntityTexts.of(base, replace(entity, popularity=None, degree=0))),
    ]
    questions = [
        Question(_asked(entity.id, name), entity=texts) for name, texts in changed if texts != whole
    ]
    if words:
        questions += _word_questions(entity, whole)
    return questions


def effects(linker: Scorer, base: Base, questions: Sequence[Question]) -> list[Effect]:
    """Ask the models again, all questions in one batch; the same questions, the same numbers."""
    if base.answer == base.rival or not questions:
        return []
    cosines = [base.scores.retrieved.cosines, *_cosines(linker, base, questions)]
    logits = _logits(linker, base, questions)
    odds = [_log_odds(linker, base, c, r) for c, r in zip(cosines, logits, strict=True)]
    found = []
    for i, question in enumerate(questions, start=1):
        changes = [
            (_change(now[i], now[0], base.answer), _change(now[i], now[0], base.rival))
            for now in (cosines, logits)
        ]
        (cosine, rival_cosine), (logit, rival_logit) = changes
        found.append(
            replace(
                question.effect,
                cosine=cosine,
                rival_cosine=rival_cosine,
                logit=logit,
                rival_logit=rival_logit,
                log_odds=odds[i] - odds[0],
            )
        )
    return found


def _asked(side: str, part: str, *, kind: str = "input") -> Effect:
    return Effect(side, kind, part, None, None, None, None, None, None, 0.0)


def _nameless(texts: EntityTexts) -> EntityTexts:
    return EntityTexts(tuple(replace(i, name="") for i in texts.inputs[:1]), ("", texts.pair[1]))


def _word_questions(entity: Entity, whole: EntityTexts) -> Iterator[Question]:
    """Words of the description as the reranker gets it; the retriever's has fewer at its end."""
    text = whole.pair[1]
    n_shared = len(entity_description(entity))
    for span in word_spans(text):
        without = text[: span.start] + text[span.end :]
        short = without[: n_shared - (span.end - span.start)] if span.end <= n_shared else None
        inputs = whole.inputs
        if short is not None:
            inputs = tuple(replace(item, description=short) for item in inputs)
        texts = EntityTexts(inputs, (whole.pair[0], without))
        yield Question(_asked(entity.id, text[span.start : span.end], kind="word"), entity=texts)


def _change(now: NDArray[np.float32], before: NDArray[np.float32], place: int) -> float | None:
    if place == NIL_PLACE or not np.isfinite(now[place]):
        return None
    return float(now[place]) - float(before[place])


def _log_odds(
    linker: Scorer, base: Base, cosines: NDArray[np.float32], logits: NDArray[np.float32]
) -> float:
    evidence = replace(linker.retriever.evidence(base.scores.retrieved), cosines=cosines)
    return Terms.of(linker.decision, evidence, logits).log_odds(base.answer, base.rival)


def _cosines(
    linker: Scorer, base: Base, questions: Sequence[Question]
) -> list[NDArray[np.float32]]:
    """(k,) of each question, in the order of the candidates."""
    found = base.scores.retrieved
    place = np.argsort(found.rows)
    items = [question.item for question in questions if question.item is not None]
    again = iter(linker.retriever.rank(items, [found.rows] * len(items)))
    changed = [question.entity for question in questions if question.entity is not None]
    encoder = linker.retriever.encoder
    query = encoder.encode_mentions([base.window.item])[0]
    vectors = encoder.encode_entities([item for texts in changed for item in texts.inputs])
    ends = np.cumsum([len(texts.inputs) for texts in changed])
    own = iter(np.split((vectors * query).sum(axis=1), ends[:-1]) if changed else [])
    result = []
    for question in questions:
        cosines = found.cosines.copy()
        if question.item is not None:
            ranked = next(again)
            cosines[place] = ranked.cosines[np.argsort(ranked.rows)]
        else:
            cosines[_place_of(base, question)] = next(own).max()
        result.append(cosines)
    return result


def _logits(linker: Scorer, base: Base, questions: Sequence[Question]) -> list[NDArray[np.float32]]:
    """(k,) as they are, then of each question: the two that are watched are read, if they were.

    All in one call, which reads equal pairs once: what changes no token changes no logit.
    """
    watched = [p for p in base.watched() if np.isfinite(base.scores.logits[p])]
    results = [base.scores.logits.copy() for _ in range(len(questions) + 1)]
    if linker.reranker is None or not watched:
        return results
    contexts = [pair_context_of(base.window.item)]
    texts = [pair_entity(base.entities[place]) for place in watched]
    pairs = [(0, i) for i in range(len(watched))]
    targets = [(0, place) for place in watched]
    for n, question in enumerate(questions, start=1):
        if question.item is not None:
            contexts.append(pair_context_of(question.item))
            pairs += [(len(contexts) - 1, i) for i in range(len(watched))]
            targets += [(n, place) for place in watched]
        elif (place := _place_of(base, question)) in watched and question.entity is not None:
            texts.append(question.entity.pair)
            pairs.append((0, len(texts) - 1))
            targets.append((n, place))
    unchanged = [(n, p) for n in range(1, len(results)) for p in watched if (n, p) not in targets]
    for (n, place), logit in zip(
        targets, linker.reranker.score(contexts, texts, pairs), strict=True
    ):
        results[n][place] = logit
    for n, place in unchanged:
        results[n][place] = results[0][place]
    return results


def _place_of(base: Base, question: Question) -> int:
    side = question.effect.side
    return next(place for place in base.watched() if base.entities[place].id == side)
