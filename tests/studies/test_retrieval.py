"""Studies of the retriever on a small world: what is counted, and that nothing is done twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from entlink.config import load_config
from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError
from entlink.inputs import mention_input
from entlink.kb.aliases import normalise
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.train.data import read_examples
from entlink.train.retriever import train_retriever
from entlink.train.retriever_config import RetrieverTraining, is_hidden
from tests.studies import retrieval_rows
from tests.studies.retrieval import main
from tests.studies.retrieval_kbs import changed_kb
from tests.studies.retrieval_measure import K, Measured, loaded, pooled
from tests.studies.retrieval_rows import Row, Study, run_study
from tests.studies.rows import slug
from tests.train.world import World, write_world

BASE = """
kb = "{kb}"
out = "never"
mentions = ["{mentions}"]
dev = ["{dev}"]
n_aliases = 16
rounds = 1
first_epochs = {epochs}
batch_size = 48
learning_rate = 0.01
[encoder]
table_rows = 2048
embedding = 16
text = 16
hidden = 32
vector = 16
sparse = 4
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


def study_of(world: World, folder: Path, *rows: Row, epochs: int = 1, **more: object) -> Study:
    base = folder / "base.toml"
    paths = {name: str(getattr(world, name)) for name in ("kb", "mentions", "dev")}
    base.write_text(BASE.format(**paths, epochs=epochs), encoding="utf-8")
    return Study("A try", base, (world.kb,), (world.dev,), rows, **more)  # type: ignore[arg-type]


ROWS = (
    Row("whole"),
    Row("and BM25", of="whole", retrieval=("bm25=0.3",)),
    Row("blind", set=('encoder.without=["left", "right", "sentence"]',)),
    Row("table", system="names"),
    Row("words", system="bm25"),
)


def test_what_is_counted(world: World, tmp_path: Path) -> None:
    done = {one.row: one for one in run_study(study_of(world, tmp_path, *ROWS), tmp_path / "out")}
    known = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    for one in done.values():
        (found,) = one.measured["kb"].values()
        assert found.n == len(known) and len(found.hits) == K
        assert found.hits == sorted(found.hits) and found.hits[-1] == len(known)
    # each name is borne by a river and a singer, and the river is the more popular: it comes first
    rivers = sum(int(e.gold[1:]) % 2 == 0 for e in known)
    assert done["table"].measured["kb"]["dev"].hits[:2] == [rivers, len(known)]
    assert set(done["whole"].training) == {*("settings", "dev", "seconds", "device", "evaluations")}
    assert done["and BM25"].training == done["whole"].training
    assert not done["table"].training
    best = done["whole"].training["dev"]["recall@100"]
    assert best == 1.0


def test_what_is_done_is_not_done_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = study_of(world, tmp_path, *ROWS), tmp_path / "out"
    trained: list[str] = []
    real = train_retriever

    def noted(config: RetrieverTraining) -> dict[str, float]:
        trained.append(config.out.name)
        if len(trained) == 2 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            raise KeyboardInterrupt
        return real(config)

    monkeypatch.setattr(retrieval_rows, "train_retriever", noted)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, out)
    told: list[str] = []
    first = run_study(study, out, told=told.append)
    assert trained == ["whole", "blind", "blind"]
    assert [line for line in told if "done before" in line] == [
        "1 of 5, whole: done before",
        "2 of 5, and BM25: done before",
    ]
    assert run_study(study, out) == first
    assert trained == ["whole", "blind", "blind"]
    changed = [replace(row, retrieval=("bm25=9.0",)) if row.of else row for row in ROWS]
    again = run_study(replace(study, row=tuple(changed)), out)
    assert trained == ["whole", "blind", "blind"]  # its encoder is as it was
    assert [a == b for a, b in zip(first, again, strict=True)] == [True, False, True, True, True]
    run_study(study, out, changes=["seed=3"])
    assert trained[3:] == ["whole", "blind"]


def test_a_trained_encoder_may_be_changed_and_lend_its_embeddings(
    world: World, tmp_path: Path
) -> None:
    rows = (
        Row("whole"),
        Row("blind", of="whole", encoder=('without=["left", "right", "sentence"]',)),
        Row("frozen", set=('encoder.sharing="ade-fte"',), embeddings="whole"),
    )
    done = run_study(study_of(world, tmp_path, *rows), tmp_path / "out")
    assert done[1].training == done[0].training
    folders = [tmp_path / "out" / "retrievers" / name for name in ("whole", "frozen")]
    tables = [DualEncoder.load(f).state_dict()["mentions.embedder.table.weight"] for f in folders]
    np.testing.assert_allclose(tables[0], tables[1], atol=0.01)
    changed = loaded(folders[0], ('without=["label"]', "bert.enrichment=0.5")).config
    kept = DualEncoder.load(folders[0]).config
    assert changed == replace(kept, without=("label",), bert=replace(kept.bert, enrichment=0.5))
    assert loaded(folders[0], ()).config == kept
    with pytest.raises(ConfigError, match="no row before it"):
        study_of(world, tmp_path, Row("a", embeddings="b"))


def test_texts_are_asked_whole_and_rounds_are_measured(world: World, tmp_path: Path) -> None:
    rows = (
        Row("first", set=("rounds=2", "keep_rounds=true"), round=0),
        Row("second", of="first", round=1),
        Row("words", system="bm25"),
    )
    study = study_of(world, tmp_path, *rows, asked="text", limit=20)
    done = run_study(study, tmp_path / "out")
    asked = list({(e.doc, e.gold): e for e in read_examples([world.dev])}.values())[:20]
    n_known = sum(e.gold.startswith("E") for e in asked)
    assert [one.measured["kb"]["dev"].n for one in done] == [n_known] * 3
    assert (tmp_path / "out" / "retrievers" / "first.round1").is_dir()
    # the words of a text are those of its names and of the descriptions of rivers or singers
    assert done[2].measured["kb"]["dev"].recall(16) == 1.0
    item = mention_input(asked[0].text, 0, len(asked[0].text))
    assert item.span == asked[0].text and not item.left + item.right


def test_hidden_entities_are_unknown_in_training_and_may_lose_their_names(
    world: World, tmp_path: Path
) -> None:
    one_in = 3
    hidden = {f"E{i}" for i in range(16) if is_hidden(f"E{i}", one_in)}
    assert 0 < len(hidden) < 16
    rows = (
        Row("seen", set=(f"hidden={one_in}",), only="seen"),
        Row("hidden", of="seen", only="hidden"),
        Row("bare", of="seen", only="hidden", bare=True),
        Row("table", system="names", only="hidden", bare=True),
    )
    done = run_study(study_of(world, tmp_path, *rows, hidden=one_in), tmp_path / "out")
    known = [e for e in read_examples([world.dev]) if e.gold.startswith("E")]
    n_hidden = sum(e.gold in hidden for e in known)
    counts = [one.measured["kb"]["dev"].n for one in done]
    assert counts == [len(known) - n_hidden, n_hidden, n_hidden, n_hidden]
    assert done[3].measured["kb"]["dev"].hits[-1] == 0
    assert done[2].measured["kb"]["dev"].hits[-1] == n_hidden
    with pytest.raises(ConfigError, match="needs hidden entities"):
        study_of(world, tmp_path, *rows)


def test_names_are_cut_off_by_their_use(tmp_path: Path) -> None:
    entities = [
        Entity("Q1", "Jordan", ("Kingdom", "JO", "Urdun"), "a country"),
        Entity("Q2", "Michael Jordan", ("MJ", "Jordan"), "a player"),
        Entity("Q3", "C++", (), "a language"),
    ]
    priors = tmp_path / "priors.jsonl"
    lines = [{"surface": "Urdun", "counts": {"Q1": 9}}, {"surface": "jo", "counts": {"Q1": 2}}]
    priors.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    build_kb(entities, tmp_path / "kb", priors=priors)
    kb = KnowledgeBase.open(tmp_path / "kb")
    expected = {
        0: [(), (), ()],
        1: [("Urdun",), ("MJ",), ()],
        2: [("Urdun", "JO"), ("MJ", "Jordan"), ()],
    }
    for n, kept in expected.items():
        cut = KnowledgeBase.open(changed_kb(kb, tmp_path / "work", aliases=n))
        assert changed_kb(kb, tmp_path / "work", aliases=n) == cut.path.parent
        read = [e for many in cut.iterate() for e in many]
        assert [e.aliases for e in read] == kept
        assert [(e.id, e.name, e.description) for e in read] == [
            (e.id, e.name, e.description) for e in entities
        ]
        names = {normalise(name) for e in read for name in (e.name, *e.aliases)}
        assert {alias for alias, *_ in cut.alias_rows()} == names
        bearers = {hit.row for hit in cut.by_aliases(["Jordan"])["Jordan"]}
        assert bearers == ({0, 1} if n == 2 else {0})
        assert cut.digest != kb.digest
    everyone = KnowledgeBase.open(changed_kb(kb, tmp_path / "work", bare=1))
    read = [e for many in everyone.iterate() for e in many]
    assert [(e.name, e.aliases, e.description) for e in read] == [
        (e.id, (), e.description) for e in entities
    ]
    assert not list(everyone.alias_rows())


def test_pooled_sets_count_all_mentions_alike() -> None:
    a, b = Measured(2, [1] * K), Measured(8, [2] * 9 + [6] * (K - 9))
    both = pooled([a, b])
    assert both.n == 10
    assert both.recall(1) == pytest.approx(0.3)
    assert both.recall(10) == pytest.approx(0.7)
    assert np.isnan(Measured(0, [0] * K).recall(1))


def test_the_command_writes_a_page(world: World, tmp_path: Path) -> None:
    study = study_of(world, tmp_path)
    file = tmp_path / "study.toml"
    file.write_text(
        f"""
title = "A try"
base = "{study.base}"
kbs = ["{world.kb}"]
sets = ["{world.dev}"]
[[row]]
name = "trained"
[[row]]
name = "with BM25"
of = "trained"
retrieval = ["bm25=0.1"]
[[row]]
name = "table"
system = "names"
""",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    done = CliRunner().invoke(main, [str(file), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    text = (out / "study.md").read_text(encoding="utf-8")
    assert text.startswith("# A try\n")
    rows = [line for line in text.splitlines() if line.startswith("| table |")]
    assert len(rows) == 3  # recalls, sets, curve
    raw = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in raw["rows"]] == ["trained", "with BM25", "table"]
    n, hits = (raw["rows"][2]["measured"]["kb"]["dev"][key] for key in ("n", "hits"))
    assert rows[0].startswith(f"| table | {n} | {hits[0] / n:.3f} | {hits[9] / n:.3f} |")
    assert (out / "study.svg").read_text(encoding="utf-8").count("<svg") == 1
    only = CliRunner().invoke(main, [str(file), "--out", str(out), "--row", "with BM25"])
    assert only.exit_code == 0
    assert "table" not in (out / "study.md").read_text(encoding="utf-8")
    wrong = CliRunner().invoke(main, [str(file), "--out", str(out), "--row", "absent"])
    assert wrong.exit_code == 2 and "no row 'absent'" in wrong.output


def test_the_studies_that_ship_fit_their_base(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting is one that the trainer knows; and there is a make target for all."""
    monkeypatch.chdir(root)
    files = sorted((root / "kb" / "recipe").glob("retriever_*.toml"))
    assert len(files) == 9
    for file in files:
        study = load_config(file, Study)
        trained = set()
        for row in study.row:
            config = retrieval_rows.settings_of(study, row, (), Path("out"))
            assert (config is None) == (row.system != "retriever" or row.trained is not None)
            trained |= set() if config is None else {config.out.name}
        assert trained <= {slug(row.name) for row in study.row if not row.of}
        assert f"make retriever-{file.stem.removeprefix('retriever_')}" in file.read_text()
    assert "retriever-%:" in (root / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "a", "system": "oracle"}, "system is 'oracle'"),
        ({"name": "a", "only": "some"}, "only is 'some'"),
        ({"name": "a", "of": "b"}, "which is no row before it"),
    ],
)
def test_rows_that_cannot_be_are_refused(
    world: World, tmp_path: Path, row: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        study_of(world, tmp_path, Row(**row))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="same name"):
        study_of(world, tmp_path, Row("a b"), Row("A-B"))
    with pytest.raises(ConfigError, match="asked is 'all'"):
        study_of(world, tmp_path, asked="all")
