"""Why a mention was linked as it was: scores taken apart, parts left out, vectors read as words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink import decide
from entlink.errors import ConfigError, InputError
from entlink.explain.masked import head_folder, pair_readings
from entlink.explain.mentions import Together
from entlink.explain.occlusion import (
    Question,
    effects,
    entity_questions,
    input_questions,
)
from entlink.explain.parts import Window
from entlink.explain.reading import readings
from entlink.explain.removal import removals
from entlink.explain.result import (
    ExplainedCandidate,
    Explanation,
    TokenWeight,
    VectorReading,
)
from entlink.explain.scoring import NIL_PLACE, Base, Scorer, Scores, Terms
from entlink.explain.tokens import token_weights
from entlink.explain.vocabulary import Vocabulary
from entlink.records import NIL, Document, Entity, Mention


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """What an explanation looks at."""

    against: str | None = None  # the rival, an entity's id or NIL; else the likeliest other read
    n_candidates: int = 10  # that the explanation holds; odds and ranks are among all of them
    words: bool = True  # leave out single words too; False is several times faster
    tokens: bool = True  # attribute the reranker's logits to tokens
    n_words: int = 20  # that a vector is read as
    enrichment: float = 0.3  # weight of the input's own words in a lexically enriched vector
    head: str | Path | None = None  # folder of a masked-language head for the reranker's vectors
    alone: bool = False  # leave out what the document's other mentions say

    def __post_init__(self) -> None:
        for name, value in (("n_candidates", self.n_candidates), ("n_words", self.n_words)):
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.enrichment < math.inf:
            raise ConfigError(f"enrichment is {self.enrichment}; it must be a number from 0 up")


def explain(
    linker: Scorer,
    text: str | Document,
    mention: Mention | tuple[int, int] | str,
    *,
    vocabulary: Vocabulary | None = None,
    options: ExplainOptions | None = None,
) -> Explanation:
    """Why the mention of the text is linked as `linker.link(text)` links it.

    The mention is one of a link, which is taken as it is; or (start, end), or the words where they
    first stand whole, and then it gets the label and the longer name that it gets in the whole
    text. A Document's mentions, if it has any, are the text's others; else those are found.
    Vectors are read as words where a vocabulary is given. InputError if the text has no such
    mention, or the knowledge base no entity that is asked for.
    """
    return next(explain_all(linker, text, [mention], vocabulary=vocabulary, options=options))


def explain_all(
    linker: Scorer,
    text: str | Document,
    mentions: Sequence[Mention | tuple[int, int] | str] | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    options: ExplainOptions | None = None,
) -> Iterator[Explanation]:
    """As `explain`, of several mentions of one text, or of all that are given or found in it.

    The text is scored once, however many they are.
    """
    options = options or ExplainOptions()
    document = Document("text", text) if isinstance(text, str) else text
    together = Together(linker, document, alone=options.alone)
    chosen = [(m.start, m.end) for m in together.everything] if mentions is None else mentions
    for mention in chosen:
        found, others = together.of(mention)
        scores = together.scores(found, others)
        yield _explained(linker, document.text, found, others, scores, vocabulary, options)


def _explained(
    linker: Scorer,
    text: str,
    found: Mention,
    others: Sequence[Mention],
    scores: Scores,
    vocabulary: Vocabulary | None,
    options: ExplainOptions,
) -> Explanation:
    asked_for = _row_of(linker, options.against)
    retrieved = asked_for is None or bool(np.isin(asked_for, scores.retrieved.rows))
    if asked_for is not None and not retrieved:
        rows = np.append(scores.retrieved.rows, asked_for)
        (scores,) = linker.score([(text, found)], candidates=[rows])
    entities = tuple(linker.kb.by_rows(scores.retrieved.rows.tolist()))
    answer, rival = _sides(linker, scores, entities, options.against)
    window = Window.around(text, found)
    views = linker.retriever.encoder.config.views
    base = Base(window, scores, entities, answer, rival, views)
    extra = None if retrieved else options.against
    inputs = effects(linker, base, _questions(base, options))
    fixed = None if retrieved else scores.retrieved.rows
    others = others if retrieved else [found]
    taken = removals(linker, base, others, words=options.words, candidates=fixed)
    result = Explanation(
        text=text,
        mention=found,
        entity_id=NIL if answer == NIL_PLACE else entities[answer].id,
        name="" if answer == NIL_PLACE else entities[answer].name,
        probability=float(scores.probabilities[answer]),
        rival="" if rival == answer else NIL if rival == NIL_PLACE else entities[rival].id,
        candidates=_candidates(linker, base, options.n_candidates, extra),
        effects=(*inputs, *taken),
        n_candidates=len(entities),
        n_read=int(np.isfinite(scores.logits).sum()),
    )
    return _with_models(linker, base, result, vocabulary, options)


def _row_of(linker: Scorer, entity_id: str | None) -> int | None:
    if entity_id is None or entity_id == NIL:
        return None
    row = linker.kb.rows_of([entity_id]).get(entity_id)
    if row is None:
        raise InputError(f"{linker.kb.path}: has no entity {entity_id}; give an id of this one")
    return row


def _sides(
    linker: Scorer, scores: Scores, entities: Sequence[Entity], against: str | None
) -> tuple[int, int]:
    """The places of the answer and of its rival; both NIL_PLACE if there is no candidate."""
    order = scores.order().tolist()
    if not order:
        return NIL_PLACE, NIL_PLACE
    is_link = scores.probabilities[order[0]] >= linker.decision.nil_threshold
    answer = order[0] if is_link else NIL_PLACE
    if against is not None:
        places = {NIL: NIL_PLACE} | {entity.id: place for place, entity in enumerate(entities)}
        if places[against] != answer:
            return answer, places[against]
    rivals = [place for place in order if place != answer]
    rivals.sort(key=lambda place: bool(np.isnan(scores.logits[place])))  # those that were read
    return answer, rivals[0] if rivals else NIL_PLACE


def _questions(base: Base, options: ExplainOptions) -> list[Question]:
    questions = input_questions(base.window)
    for place in base.watched():
        words = options.words and place == base.watched()[0]
        questions += entity_questions(base, base.entities[place], words=words)
    return questions


def _candidates(
    linker: Scorer, base: Base, n: int, extra: str | None
) -> tuple[ExplainedCandidate, ...]:
    """The n best, those that are compared, and NIL last."""
    scores = base.scores
    evidence = linker.retriever.evidence(scores.retrieved)
    after = (scores.first, scores.probabilities) if linker.decision.sees_documents else None
    terms = Terms.of(linker.decision, evidence, scores.logits, after)
    order = scores.order().tolist()
    shown = order[:n] + [p for p in order[n:] if p in (base.answer, base.rival)]
    made = [
        _candidate(base, terms, place, rank=order.index(place) + 1, evidence=evidence)
        for place in shown
    ]
    made.append(_nil(base, terms))
    return tuple(replace(c, retrieved=c.entity_id != extra) for c in made)


def _candidate(
    base: Base, terms: Terms, place: int, *, rank: int, evidence: decide.Evidence
) -> ExplainedCandidate:
    entity, logit = base.entities[place], float(base.scores.logits[place])
    contributions = terms.contributions(place, _reference(base, place))
    names = decide.CANDIDATE_FEATURES[: terms.features.shape[1]]
    return ExplainedCandidate(
        entity_id=entity.id,
        name=entity.name,
        description=entity.description or "",
        stage=_stage(base, terms, place),
        rank=rank,
        retriever_rank=place + 1,
        probability=float(terms.probabilities[place]),
        first_probability=float(terms.first_probabilities[place]),
        cosine=float(base.scores.retrieved.cosines[place]),
        prior=float(base.scores.retrieved.priors[place]),
        popularity=_known(evidence.popularity, place),
        reranker_score=None if np.isnan(logit) else logit,
        features=dict(zip(names, terms.features[place].tolist(), strict=True)),
        log_odds=sum(contributions.values()),
        contributions=contributions,
    )


def _nil(base: Base, terms: Terms) -> ExplainedCandidate:
    reference = _reference(base, NIL_PLACE)
    contributions = {} if reference == NIL_PLACE else terms.contributions(NIL_PLACE, reference)
    return ExplainedCandidate(
        entity_id=NIL,
        name="",
        description="none of the knowledge base",
        stage=_stage(base, terms, NIL_PLACE),
        rank=0,
        retriever_rank=0,
        probability=float(terms.probabilities[-1]),
        first_probability=float(terms.first_probabilities[-1]),
        cosine=None,
        prior=None,
        popularity=None,
        reranker_score=None,
        features={},
        log_odds=sum(contributions.values()),
        contributions=contributions,
    )


def _reference(base: Base, place: int) -> int:
    return base.rival if place == base.answer else base.answer


def _stage(base: Base, terms: Terms, place: int) -> str:
    if place == base.answer:
        return "answer"
    was_read = place == NIL_PLACE or place in terms.read
    return "reading" if len(terms.read) and was_read else "before reading"


def _known(values: NDArray[np.float32], place: int) -> float | None:
    return float(values[place]) if np.isfinite(values[place]) else None


def _with_models(
    linker: Scorer,
    base: Base,
    result: Explanation,
    vocabulary: Vocabulary | None,
    options: ExplainOptions,
) -> Explanation:
    """With what needs the models' insides: tokens, and vectors read as words."""
    notes: list[str] = []
    tokens: tuple[TokenWeight, ...] = ()
    if not result.n_read:
        notes.append("no pair was read: the retriever's scores and the names' uses decided")
    elif options.tokens:
        tokens = token_weights(linker, base)
    inside: tuple[VectorReading, ...] = ()
    if (folder := head_folder(linker, options.head)) is not None:
        inside = pair_readings(linker, base, folder, options.n_words)
    result = replace(result, tokens=tokens, readings=inside, notes=tuple(notes))
    if vocabulary is None:
        return result
    read, ranks = readings(linker, base, vocabulary, options.n_words, options.enrichment)
    candidates = tuple(replace(c, enriched_rank=ranks.get(c.entity_id)) for c in result.candidates)
    return replace(result, readings=(*read, *inside), candidates=candidates)
