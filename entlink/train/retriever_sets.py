"""What the retriever is trained on: labelled mentions, and those that are composed or found."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from entlink.errors import InputError
from entlink.records import Entity
from entlink.train import data
from entlink.train.data import Example, Relation
from entlink.train.distant import Ambiguous, distant_examples, spread
from entlink.train.matches import adjective_examples, match_examples
from entlink.train.retriever_config import RetrieverTraining

_NO_LABEL = 0.3  # share of the mentions whose label is hidden: a user may have none
_PER_NAME = 6  # mentions of one name and entity that are found in unlabelled texts


def training_sets(
    config: RetrieverTraining, entities: Sequence[Entity], rows: dict[str, int]
) -> list[list[Example]]:
    """Labelled mentions, questions, made sentences, names alone: those that there are.

    ``rows`` are those of the entities by id. Raises InputError if there is no example at all.
    """
    sets = [_labelled(config, rows), _questions(config, rows)]
    if config.relations:
        sources = frozenset(config.relation_sources)
        relations = data.read_relations(config.relations, rows, sources)
        sets += [_composed(config, entities, relations), _distant(config, entities, relations)]
    if config.n_aliases:
        seed, noise = config.seed, config.noise
        sets.append(data.alias_examples(entities, n=config.n_aliases, seed=seed, noise=noise))
    if not any(sets):
        raise InputError(f"{config.kb}: no example to train on; give mentions of its entities")
    return [examples for examples in sets if examples]


def _labelled(config: RetrieverTraining, rows: dict[str, int]) -> list[Example]:
    labelled = _left(config, data.read_examples(config.mentions))
    labelled = data.label_examples([e for e in labelled if e.gold in rows], config.detector)
    generator = np.random.default_rng(config.seed)
    without = generator.random(len(labelled)) < _NO_LABEL
    return [replace(e, label="") if w else e for e, w in zip(labelled, without, strict=True)]


def _questions(config: RetrieverTraining, rows: dict[str, int]) -> list[Example]:
    """Each text as a whole in place of the mention, as in use where there is no span."""
    asked = _left(config, data.read_examples(config.questions))
    return [
        replace(e, start=0, end=len(e.text), label="", full_name="")
        for e in asked
        if e.gold in rows
    ]


def _left(config: RetrieverTraining, examples: list[Example]) -> list[Example]:
    """Those of documents that are not left out."""
    if not config.n_folds:
        return examples
    return [e for e in examples if data.fold_of(e.doc, config.n_folds) != config.leave_out]


def _composed(
    config: RetrieverTraining, entities: Sequence[Entity], relations: Sequence[Relation]
) -> list[Example]:
    if not config.n_composed:
        return []
    n, seed, noise = config.n_composed, config.seed, config.noise
    composed = data.composed_examples(entities, relations, n=n, seed=seed, noise=noise)
    composed += match_examples(entities, relations, n=config.n_matches, seed=seed)
    composed += adjective_examples(entities, n=config.n_adjectives, seed=seed)
    return composed


def _distant(
    config: RetrieverTraining, entities: Sequence[Entity], relations: Sequence[Relation]
) -> list[Example]:
    """Names in unlabelled texts beside entities to which just one of their bearers is related."""
    if not config.n_distant:
        return []
    texts = [text for path in config.unlabelled for text in data.read_texts(path)]
    found = spread(distant_examples(Ambiguous(entities, relations), texts), per_name=_PER_NAME)
    return random.Random(config.seed).sample(found, min(config.n_distant, len(found)))
