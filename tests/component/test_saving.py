from __future__ import annotations

import multiprocessing
import pickle
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language

from entlink.component import EntlinkComponent
from entlink.errors import BundleError, InputError
from tests.component.reading import TEXT, Pipeline, same

TEXTS = [TEXT, "", "Jordan and Georgia", " ", "no name"]


@pytest.fixture
def moved(bundle: str, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may take away."""
    return Path(shutil.copytree(bundle, tmp_path / "a bundle"))


def carrying(bundle: Path | str) -> Language:
    nlp = spacy.blank("en")
    config = {"bundle": str(bundle), "carry_bundle": True}
    nlp.add_pipe("entlink_mentions", config={**config, "strategies": ["gazetteer"]})
    nlp.add_pipe("entlink", config=config)
    return nlp


def test_a_pipeline_that_refers_to_its_bundle(pipeline: Pipeline, tmp_path: Path) -> None:
    nlp = pipeline(finder={"spans_key": "all"}, threshold=0.2, types=["T1", "T2"])
    nlp.to_disk(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("kb.sqlite"))
    again = spacy.load(tmp_path / "saved")
    assert again.config["components"] == nlp.config["components"]
    bytewise = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    for text in TEXTS:
        assert same(again(text), nlp(text)) and same(bytewise(text), nlp(text))


def test_settings_changed_since_are_kept_and_those_given_at_loading_win(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    nlp = pipeline(threshold=0.2)
    nlp.get_pipe("entlink").n_candidates = 2  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path)
    given = {"components.entlink.threshold": 0.9}
    component: Any = spacy.load(tmp_path, config=given).get_pipe("entlink")
    assert (component.n_candidates, component.threshold) == (2, 0.9)


def test_a_pipeline_that_carries_its_bundle(moved: Path, tmp_path: Path) -> None:
    nlp = carrying(moved)
    expected = [nlp(text) for text in TEXTS]
    nlp.to_disk(tmp_path / "saved")
    data = nlp.to_bytes()
    shutil.rmtree(moved)
    (tmp_path / "saved").rename(tmp_path / "elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = spacy.load(tmp_path / "elsewhere")
    again.to_disk(tmp_path / "elsewhere")  # over itself
    again.to_disk(tmp_path / "third")
    third = spacy.load(tmp_path / "third")
    with pytest.warns(UserWarning, match="no bundle of this name"):
        blank = spacy.blank("en").from_config(nlp.config)
    with pytest.raises(BundleError):
        blank(TEXT)
    for loaded in (again, third, blank.from_bytes(data)):
        assert all(same(loaded(d.text), d) for d in expected)


def test_a_bundle_that_was_carried_is_kept_even_if_the_config_stops_asking(
    moved: Path, tmp_path: Path
) -> None:
    nlp = carrying(moved)
    nlp.to_disk(tmp_path / "saved")
    expected = nlp(TEXT)
    shutil.rmtree(moved)
    again = spacy.load(tmp_path / "saved")
    again.get_pipe("entlink").carry_bundle = False  # type: ignore[attr-defined]
    again.to_disk(tmp_path / "copy")
    assert same(spacy.load(tmp_path / "copy")(TEXT), expected)


def test_saving_without_the_bundle_over_one_with_it_leaves_no_bundle(
    bundle: str, tmp_path: Path
) -> None:
    EntlinkComponent(bundle=bundle, carry_bundle=True).to_disk(tmp_path)
    assert (tmp_path / "bundle").is_dir()
    EntlinkComponent(bundle=bundle).to_disk(tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_damaged_files_are_explained(bundle: str, tmp_path: Path) -> None:
    component = EntlinkComponent(bundle=bundle, carry_bundle=True)
    component.to_disk(tmp_path)
    (tmp_path / "bundle" / "decision.json").write_text("{}")
    with pytest.raises(BundleError, match="not what the bundle's manifest says"):
        component.from_disk(tmp_path)
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(InputError, match="cannot be read as entlink's settings"):
        component.from_disk(tmp_path)


def test_pickled(moved: Path, pipeline: Pipeline) -> None:
    nlp = carrying(moved)
    unpacked = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    expected = nlp(TEXT)
    for loaded in (nlp, unpacked):
        components = [pickle.loads(pickle.dumps(component)) for _, component in loaded.pipeline]
        doc = loaded.make_doc(TEXT)
        for component in components:
            doc = component(doc)
        assert same(doc, expected)


START = ["fork", pytest.param("spawn", marks=pytest.mark.slow)]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("start", START)
def test_two_processes_give_the_same(
    pipeline: Pipeline, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = pipeline(finder={})
    texts = TEXTS * 3
    alone = list(nlp.pipe(texts))
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(start, force=True)
    try:
        parallel = list(nlp.pipe(texts, n_process=2, batch_size=3))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert all(same(doc, other) for doc, other in zip(parallel, alone, strict=True))
    assert parallel[0].ents[0]._.entlink is not None
