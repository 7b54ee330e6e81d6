"""Trains the recogniser: a small spaCy pipeline that finds names and says of what kind they are."""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entlink.detect.recogniser import ORDINARY, plain_doc
from entlink.train.names import read_names
from entlink.train.spans import LABELS, Tagged, ordinary_words, read_tagged
from entlink.train.vary import Names, Variation, vary

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of texts with spans."""

    path: Path
    licence: str = ""  # goes into the pipeline's meta.json
    partial: bool = False  # has no MISC: silence about a capitalised word is no evidence
    weight: int = 1  # how often its texts are read in a round


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """What the recogniser is trained on and how."""

    out: Path
    train: tuple[Source, ...]
    dev: tuple[Source, ...]
    entities: Path | None = None  # names to vary the texts with; None: no renaming, no tables
    types: Path | None = None
    entity_sources: tuple[str, ...] = ()
    seed: int = 1
    rounds: int = 20
    width: int = 96
    depth: int = 4
    rows: int = 2000  # of the embedding table for word forms; affix tables have half
    dropout: float = 0.2
    learn_rate: float = 0.001
    batch_words: int = 1200
    variation: Variation = field(default_factory=Variation)


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Strict spans of one dev file. Where MISC is not annotated, MISC answers do not count."""

    n_gold: int
    precision: float
    recall: float
    f1: float
    labelled_f1: float  # the label has to be right as well


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What came out of training."""

    scores: Mapping[str, SpanScore]  # by dev file
    mean_f1: float
    best_round: int
    n_train: int
    counts: Mapping[str, int]
    seconds: float


def train_detector(config: DetectorConfig) -> DetectorReport:
    """Train, keep the round with the best mean strict-span F1 on dev, save it to ``config.out``."""
    import spacy.language  # before the seed is set: importing draws random numbers  # noqa: F401
    from thinc.api import fix_random_seed

    started = time.perf_counter()
    fix_random_seed(config.seed)
    rng = random.Random(config.seed)
    nlp = _pipeline(config)
    counts: Counter[str] = Counter()
    read = [
        (s.weight, read_tagged(s.path, nlp, counts=counts, partial=s.partial)) for s in config.train
    ]
    texts = [text for weight, some in read for text in some * weight]
    dev = [(s, read_tagged(s.path, nlp, counts=Counter())) for s in config.dev]
    names = _names(config, nlp)
    counts.update({f"names {label}": len(found) for label, found in names.items()})
    log.info("%d texts, %s", len(texts), dict(counts))

    optimizer = nlp.initialize(lambda: [_example(nlp, t) for t in texts[:200]])
    ner: Any = nlp.get_pipe("ner")
    best = _Round(0, -1.0, {}, b"")
    for number in range(1, config.rounds + 1):
        loss = _one_round(nlp, texts, names, config, optimizer, rng, number)
        with nlp.use_params(optimizer.averages):
            scores = {
                s.path.name.split(".")[0]: score_spans(nlp, gold, partial=s.partial)
                for s, gold in dev
            }
            mean = sum(score.f1 for score in scores.values()) / len(scores)
            if mean > best.mean_f1:
                best = _Round(number, mean, scores, ner.model.to_bytes())
        seconds = time.perf_counter() - started
        log.info("round %d, loss %.0f, mean F1 %.4f, %.0f s", number, loss, mean, seconds)
    ner.model.from_bytes(best.weights)
    report = DetectorReport(
        scores=best.scores,
        mean_f1=best.mean_f1,
        best_round=best.number,
        n_train=len(texts),
        counts=dict(counts),
        seconds=time.perf_counter() - started,
    )
    _save(nlp, config, report, ordinary_words(text for _, some in read for text in some))
    return report


@dataclass(frozen=True, slots=True)
class _Round:
    number: int
    mean_f1: float
    scores: Mapping[str, SpanScore]
    weights: bytes


def _names(config: DetectorConfig, nlp: Language) -> Names:
    if config.entities is None or config.types is None:
        return {}
    return read_names(config.entities, config.types, nlp, sources=config.entity_sources)


def _pipeline(config: DetectorConfig) -> Language:
    import spacy

    nlp = spacy.blank("en")
    tok2vec = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": config.width,
        "depth": config.depth,
        "embed_size": config.rows,
        "window_size": 1,
        "maxout_pieces": 3,
        "subword_features": True,
    }
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": tok2vec,
    }
    ner = nlp.add_pipe("ner", config={"model": model})
    for label in LABELS:
        ner.add_label(label)  # type: ignore[attr-defined]
    return nlp


def _example(nlp: Language, text: Tagged) -> Example:
    from spacy.tokens import Span
    from spacy.training import Example

    gold = plain_doc(nlp.vocab, text.words, text.spaces)
    gold.set_ents(
        [Span(gold, start, end, label=label) for start, end, label in text.spans],
        missing=[Span(gold, i, i + 1) for i in sorted(text.unknown)],
    )
    return Example(plain_doc(nlp.vocab, text.words, text.spaces), gold)


def _one_round(
    nlp: Language,
    texts: Sequence[Tagged],
    names: Names,
    config: DetectorConfig,
    optimizer: Any,
    rng: random.Random,
    round_: int,
) -> float:
    losses: dict[str, float] = {}
    # small batches first, full size from the third round on
    size = config.batch_words * min(round_, 3) // 3
    optimizer.learn_rate = config.learn_rate
    varied = (t for t in vary(texts, names, config.variation, rng) if t.words)
    for batch in _batches(varied, size):
        examples = [_example(nlp, text) for text in batch]
        nlp.update(examples, sgd=optimizer, drop=config.dropout, losses=losses)
    return losses["ner"]


def _batches(texts: Iterable[Tagged], n_words: int) -> Iterator[list[Tagged]]:
    batch: list[Tagged] = []
    for text in texts:
        if batch and sum(len(t.words) for t in batch) + len(text.words) > n_words:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def score_spans(nlp: Language, gold: Sequence[Tagged], *, partial: bool = False) -> SpanScore:
    """Strict-span scores of the pipeline's entities against ``gold``."""
    n_gold = n_found = n_right = n_labelled = 0
    docs = nlp.pipe(plain_doc(nlp.vocab, text.words, text.spaces) for text in gold)
    for text, doc in zip(gold, docs, strict=True):
        wanted = {(start, end): label for start, end, label in text.spans}
        found = {
            (ent.start, ent.end): ent.label_
            for ent in doc.ents
            if not partial or ent.label_ != "MISC" or (ent.start, ent.end) in wanted
        }
        n_gold += len(wanted)
        n_found += len(found)
        n_right += len(wanted.keys() & found.keys())
        n_labelled += len(wanted.items() & found.items())
    total = n_gold + n_found
    return SpanScore(
        n_gold=n_gold,
        precision=n_right / n_found if n_found else 0.0,
        recall=n_right / n_gold if n_gold else 0.0,
        f1=2 * n_right / total if total else 0.0,
        labelled_f1=2 * n_labelled / total if total else 0.0,
    )


def _save(
    nlp: Language, config: DetectorConfig, report: DetectorReport, ordinary: Sequence[str]
) -> None:
    """Save into a fresh folder beside ``config.out``, then swap it in."""
    nlp.meta.update(
        name="entlink_detector",
        spacy_version=">=3.8.7,<4",
        description="Finds names of people, places, organisations and others in English text",
        license="CC BY-SA 4.0",
        sources=[
            {"name": source.path.name.split(".")[0], "license": source.licence}
            for source in config.train
        ],
        notes="Label scheme PER, LOC, ORG, MISC; see entlink/train/spans.py",
        performance={name: asdict(score) for name, score in report.scores.items()},
    )
    # the vocabulary holds every word seen in training; features are hashes, so none is needed
    slim = replace_vocabulary(nlp)
    fresh = config.out.with_name(config.out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    slim.to_disk(fresh)
    (fresh / ORDINARY).write_text("\n".join(ordinary) + "\n", encoding="utf-8")
    shutil.rmtree(config.out, ignore_errors=True)
    fresh.rename(config.out)


def replace_vocabulary(nlp: Language) -> Language:
    """The same pipeline over a vocabulary that has seen no text."""
    import spacy

    slim = spacy.util.load_model_from_config(nlp.config, meta=nlp.meta)
    slim.from_bytes(nlp.to_bytes(exclude=["vocab"]), exclude=["vocab"])
    return slim
