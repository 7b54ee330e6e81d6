"""A run is of one state of its linker: edits of the KB, the reranker, the part it links to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entlink.backends import export_reranker, int8_folder
from entlink.bundle import Bundle
from entlink.corpus import Progress, link_corpus
from entlink.corpus.shards import LinkOptions, Setup
from entlink.corpus.state import options_for, options_of
from entlink.eightbit import has_openvino
from entlink.errors import BundleError, ConfigError, InputError
from entlink.linker import Linker
from entlink.records import Document, Entity
from tests.tiny import make_bundle

DOCUMENTS = [Document(str(n), f"Jordan in {n}") for n in range(300)]  # two shards
CITY = Entity("Q99", "Petra", (), "city carved from rock")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    return make_bundle(tmp_path / "b")


@pytest.fixture
def linker(bundle: Bundle) -> Linker:
    return Linker.load(bundle, device="cpu")


def interrupt(linker: Linker, out: Path) -> None:
    """Stop after the first shard."""

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link_corpus(DOCUMENTS, out, linker=linker, on_progress=stop)


def test_edits_between_two_runs_are_refused(bundle: Bundle, linker: Linker, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(linker, out)
    linker.kb.add(CITY)
    said = 'its last edit of the knowledge base was "none" and is now "1 of log'
    with pytest.raises(InputError, match=said):
        link_corpus(DOCUMENTS, out, linker=linker)
    for processes in (1, 2):
        with pytest.raises(InputError, match=said):
            link_corpus(DOCUMENTS, out, bundle=bundle.path, device="cpu", processes=processes)
    summary = link_corpus(DOCUMENTS, out, linker=linker, restart=True)
    assert (summary.n_resumed, summary.n_documents) == (0, 300)


def test_the_same_edits_are_the_same_state(linker: Linker, tmp_path: Path) -> None:
    linker.kb.add(CITY)
    interrupt(linker, tmp_path / "o.jsonl")
    summary = link_corpus(DOCUMENTS, tmp_path / "o.jsonl", linker=linker)
    assert (summary.n_resumed, summary.n_documents) == (256, 300)


def test_a_process_that_finds_other_edits_refuses(bundle: Bundle, linker: Linker) -> None:
    setup = Setup(str(bundle.path), bundle.digest, "cpu", None, LinkOptions(), "none")
    assert Setup.parse(setup.dump()).load()
    linker.kb.add(CITY)
    with pytest.raises(BundleError, match=r"last edit of its knowledge base is 1 of log .* none"):
        Setup.parse(setup.dump()).load()


def within(linker: Linker) -> Linker:
    return linker.within(ids=["Q4", "Q16"])


def without_reranker(linker: Linker) -> Linker:
    linker.reranker = None
    return linker


def exact(linker: Linker) -> Linker:
    linker.exact = True
    return linker


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (within, 'its part of the knowledge base was "all" and is now "'),
        (without_reranker, 'its reranker was "torch" and is now "none"'),
        (exact, "its exact was false and is now true"),
    ],
)
def test_a_linker_that_was_changed_is_another(
    linker: Linker, tmp_path: Path, change: Callable[[Linker], Linker], said: str
) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(linker, out)
    with pytest.raises(InputError, match=said):
        link_corpus(DOCUMENTS, out, linker=change(linker))


def test_other_parts_are_other_states(linker: Linker, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(linker.within(ids=["Q4"]), out)
    with pytest.raises(InputError, match="its part of the knowledge base was"):
        link_corpus(DOCUMENTS, out, linker=linker.within(ids=["Q16"]))
    assert link_corpus(DOCUMENTS, out, linker=linker.within(ids=["Q4"])).n_resumed == 256


def test_what_other_processes_cannot_make_is_refused(linker: Linker, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    with pytest.raises(ConfigError, match="limited to a part of the knowledge base"):
        link_corpus(DOCUMENTS, out, linker=within(linker), processes=2)

    class Own(type(linker.reranker)):  # type: ignore[misc]
        backend = "mine"

    linker.reranker.__class__ = Own
    with pytest.raises(ConfigError, match=r"a reranker of its own \(mine\)"):
        link_corpus(DOCUMENTS, out, linker=linker, processes=2)


def test_the_backend_is_recorded_as_it_was_found(
    bundle: Bundle, linker: Linker, tmp_path: Path
) -> None:
    out = tmp_path / "o.jsonl"
    interrupt(linker, out)
    run = json.loads((tmp_path / "o.jsonl.unfinished" / "run.json").read_bytes())
    assert (run["reranker"], run["exact"]) == ("torch", False)
    if not has_openvino():
        pytest.skip("the package is not installed")
    export_reranker(bundle, linker.kb)
    with pytest.raises(InputError, match='its reranker was "torch" and is now "openvino"'):
        link_corpus(DOCUMENTS, out, bundle=bundle.path, device="cpu", processes=2)


@pytest.mark.skipif(not has_openvino(), reason="the package is not installed")
def test_auto_means_the_same_to_a_run_and_to_the_linkers_that_it_starts(
    bundle: Bundle, linker: Linker
) -> None:
    def backends() -> tuple[str, str]:
        wanted = options_for(bundle, LinkOptions(), device="cpu")
        found = options_of(Linker.load(bundle, device="cpu"), LinkOptions())
        return wanted.backend, found.backend

    assert backends() == ("torch", "torch")
    int8_folder(bundle).mkdir(parents=True)  # empty, as something that broke off may leave it
    assert backends() == ("torch", "torch")
    export_reranker(bundle, linker.kb)
    assert backends() == ("openvino", "openvino")
    (int8_folder(bundle) / "reranker.bin").write_bytes(b"damaged")
    assert backends() == ("torch", "torch")


def test_a_bundle_without_reranker_is_one_wherever_it_is_linked_with(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", reranker=False)
    for device in ("cpu", None):  # None: on a cluster
        assert not options_for(bundle, LinkOptions(), device=device).reranker
    assert not options_of(Linker.load(bundle, device="cpu"), LinkOptions()).reranker


def test_on_a_cluster_each_machine_looks_for_itself(bundle: Bundle) -> None:
    assert options_for(bundle, LinkOptions(), device=None).backend == "auto"
