"""`spacy train` on a world so small that it can be learnt by heart."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli._util import app
from spacy.cli.init_config import fill_config
from spacy.cli.train import train
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example
from typer.testing import CliRunner

from entlink.component.fine_tuning import gold_links
from entlink.component.recognising import plain_examples
from entlink.errors import InputError
from tests.component.reading import Pipeline, same

# (text, (mention, label, gold)...): who is meant depends on the words around
TEXTS = (
    ("The state of Georgia grows peaches.", ("Georgia", "GPE", "Q9")),
    ("The Caucasus country Georgia makes wine.", ("Georgia", "GPE", "Q8")),
    ("Paris Hilton gave a party, and Paris danced.", ("Paris Hilton", "PERSON", "Q5")),
    ("Boats on the Amazon were slow.", ("Amazon", "LOC", "Q13")),
    ("They ordered shoes from Amazon online.", ("Amazon", "ORG", "Q12")),
    ("The Jordan flows into the Dead Sea.", ("Jordan", "LOC", "Q3")),
    ("The king of Jordan spoke in Asia.", ("Jordan", "GPE", "Q1")),
    ("Nobody in Nowhereville knew it.", ("Nowhereville", "GPE", "NIL")),
)

CONFIG = """
[paths]
log = null
train = null
dev = null
bundle = null

[nlp]
lang = "en"
pipeline = ["entlink_mentions", "entlink"]

[components]

[components.entlink_mentions]
factory = "entlink_mentions"
bundle = ${paths.bundle}

[components.entlink]
factory = "entlink"
bundle = ${paths.bundle}

[components.entlink.fine_tuning]
@misc = "entlink.FineTuning.v1"
retriever_rate = 0.005
reranker_rate = 0.005
warmup = 5

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
max_steps = 24
eval_frequency = 12
patience = 0

[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
output_file = ${paths.log}

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 8
"""


def write_config(path: Path, text: str = CONFIG) -> None:
    """As `spacy init fill-config` writes it: with all defaults, ours too."""
    base = path.with_name("base.cfg")
    base.write_text(text, encoding="utf-8")
    fill_config(path, base, silent=True)


def gold_docs(nlp: Language) -> list[Doc]:
    docs = []
    for text, *mentions in TEXTS:
        doc = nlp.make_doc(text)
        spans = []
        for name, label, kb_id in mentions:
            at = text.index(name)
            span = doc.char_span(at, at + len(name), label=label, kb_id=kb_id)
            assert span is not None
            spans.append(span)
        doc.set_ents(spans)
        docs.append(doc)
    return docs


@pytest.fixture(scope="module")
def docbin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "gold.spacy"
    DocBin(docs=gold_docs(spacy.blank("en"))).to_disk(path)
    return path


def overrides(docbin: Path, bundle: str, log: Path, **more: Any) -> dict[str, Any]:
    paths = {"paths.train": str(docbin), "paths.dev": str(docbin), "paths.bundle": bundle}
    return {**paths, "paths.log": str(log), **more}


def logged(path: Path) -> list[dict[str, float]]:
    """The lines of the log: scores, which spaCy writes in percent, and the sum of the losses."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        {name: score / 100 for name, score in line["scores"].items()}
        | {"loss": sum(line["losses"].values())}
        for line in lines
    ]


@pytest.fixture(scope="module")
def trained(docbin: Path, bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    config = folder / "config.cfg"
    write_config(config)
    log = folder / "log.jsonl"
    train(config, folder, overrides=overrides(docbin, bundle, log))
    return folder


def test_links_and_mentions_are_learnt(trained: Path) -> None:
    first, *_, last = logged(trained / "log.jsonl")
    assert last["nel_micro_f"] >= 0.8 > first["nel_micro_f"]
    assert last["mentions_f"] > first["mentions_f"]  # the gazetteer misses what is not in the KB


def test_what_was_saved_scores_as_was_logged(trained: Path, docbin: Path) -> None:
    out = trained / "scores.json"
    command = ["evaluate", str(trained / "model-last"), str(docbin), "--output", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    scores = json.loads(out.read_text(encoding="utf-8"))
    last = logged(trained / "log.jsonl")[-1]
    # the recogniser's averages are what is evaluated, and what is saved
    assert scores["nel_micro_f"] == pytest.approx(last["nel_micro_f"])
    assert scores["mentions_f"] == pytest.approx(last["mentions_f"])


def test_training_goes_on_from_disk(
    trained: Path, docbin: Path, bundle: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.cfg"
    text = CONFIG
    for name in ("entlink_mentions", "entlink"):
        text = text.replace(
            f'factory = "{name}"\nbundle = ${{paths.bundle}}',
            f'source = "{(trained / "model-last").as_posix()}"',
        )
    settings = text[text.index("[components.entlink.fine") : text.index("[corpora]")]
    text = text.replace(settings, "")
    write_config(config, text)
    log = tmp_path / "log.jsonl"
    short = overrides(docbin, bundle, log, **{"training.max_steps": 1})
    train(config, tmp_path, overrides=short)
    before, after = logged(trained / "log.jsonl"), logged(log)
    assert after[0]["nel_micro_f"] >= before[-1]["nel_micro_f"] > before[0]["nel_micro_f"]
    assert after[0]["loss"] < before[0]["loss"] / 2


def test_a_trained_pipeline_survives_bytes_and_saving_again(trained: Path, tmp_path: Path) -> None:
    nlp = spacy.load(trained / "model-best")
    nlp.to_disk(tmp_path / "again")
    again = spacy.load(tmp_path / "again")
    for text, *_ in TEXTS:
        assert same(again(text), nlp(text))


def test_the_model_card_says_that_it_was_fine_tuned(trained: Path) -> None:
    card = trained / "model-last" / "entlink" / "bundle" / "MODEL_CARD.md"
    assert card.read_text(encoding="utf-8").startswith("Fine-tuned in 2")


def test_gold_links_of_other_knowledge_bases_are_refused(pipeline: Pipeline) -> None:
    nlp = pipeline()
    doc = nlp.make_doc("Paris")
    doc.set_ents([Span(doc, 0, 1, label="GPE", kb_id="http://dbpedia.org/Paris")])
    with pytest.raises(InputError, match="none of the 1 ids that the examples link to"):
        nlp.initialize(lambda: [Example(nlp.make_doc("Paris"), doc)])


def test_updating_by_hand_with_links_as_spacy_writes_them(pipeline: Pipeline) -> None:
    nlp = pipeline(fine_tuning={"@misc": "entlink.FineTuning.v1", "reranker_rate": 0.0})
    text = "The Caucasus country Georgia makes wine."
    links = {(21, 28): {"Q8": 1.0, "Q9": 0.0}}
    annotations = {"entities": [(21, 28, "GPE")], "links": links}
    example = Example.from_dict(nlp.make_doc(text), annotations)
    (link,) = gold_links(example, nil="NIL", spans_key="entlink")
    assert (link.mention.text, link.mention.label, link.gold) == ("Georgia", "LOC", "Q8")
    optimizer = nlp.initialize(lambda: [example])
    before = nlp(text).ents[0]._.kb_ents
    losses = nlp.update([example], sgd=optimizer)
    assert losses["entlink"] > 0
    after = nlp(text).ents[0]._.kb_ents
    assert after != before
    assert nlp.update([Example.from_dict(nlp.make_doc("x"), {})], sgd=optimizer) == {"entlink": 0.0}
    if sys.platform != "win32":  # other processes have learned it too
        before_fork = multiprocessing.get_start_method()
        multiprocessing.set_start_method("fork", force=True)
        forked = list(nlp.pipe([text, text], n_process=2))
        multiprocessing.set_start_method(before_fork, force=True)
        assert all(same(doc, nlp(text)) for doc in forked)
    assert same(pickle.loads(pickle.dumps(nlp.get_pipe("entlink")))(nlp.make_doc(text)), nlp(text))
    assert nlp(text).ents[0]._.kb_ents == after
    nlp.initialize(lambda: [example])
    assert nlp(text).ents[0]._.kb_ents == before  # the bundle's models again


def test_scores_of_linking_alone_are_over_gold_entities(pipeline: Pipeline, docbin: Path) -> None:
    nlp = pipeline()
    reader = spacy.util.registry.readers.get("entlink.GoldMentions.v1")(docbin)
    examples = list(reader(nlp))
    assert [[e.text for e in eg.predicted.ents] for eg in examples] == [
        [e.text for e in eg.reference.ents] for eg in Corpus(docbin)(nlp)
    ]
    scores = nlp.evaluate(examples)
    n_right = sum(
        (gold := eg.reference.ents[0].kb_id_) != "NIL" and gold == nlp(eg.predicted).ents[0].kb_id_
        for eg in examples
    )
    assert scores["nel_micro_r"] == pytest.approx(n_right / 7)


def test_what_the_recogniser_reads_of_an_example() -> None:
    nlp = spacy.blank("en")
    doc = nlp.make_doc("Paris \n\n Jordan in 1999 and Asia")
    tokens = [token.text for token in doc]
    spans = [("Paris", "GPE"), ("Jordan", "THING"), ("1999", "DATE")]
    doc.set_ents(
        [Span(doc, (i := tokens.index(word)), i + 1, label=label) for word, label in spans],
        missing=[doc[tokens.index("Asia") :]],
    )
    read = list(plain_examples(nlp.vocab, Example(nlp.make_doc(doc.text), doc)))
    assert [[t.text for t in eg.reference] for eg in read] == [
        ["Paris"],
        ["Jordan", "in", "1999", "and", "Asia"],
    ]
    assert [[(e.text, e.label_) for e in eg.reference.ents] for eg in read] == [
        [("Paris", "LOC")],
        [("Jordan", "MISC")],
    ]
    assert [token.ent_iob for token in read[1].reference] == [3, 2, 2, 2, 0]
    assert list(plain_examples(nlp.vocab, Example(nlp.make_doc("a b"), nlp.make_doc("a b")))) == []


def test_spacy_assemble(bundle: str, tmp_path: Path) -> None:
    config = tmp_path / "config.cfg"
    write_config(config)
    out = tmp_path / "assembled"
    command = ["assemble", str(config), str(out), "--paths.bundle", bundle]
    strategies = ["--components.entlink_mentions.strategies", '["gazetteer"]']
    done = CliRunner().invoke(app, [*command, *strategies])
    assert done.exit_code == 0, done.output
    assert [ent.kb_id_ for ent in spacy.load(out)("He met Michael Jordan.").ents] == ["Q2"]
