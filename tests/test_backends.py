"""Which backend reads pairs, where the eight-bit one is kept, and that links stay the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import entlink
from entlink.backends import (
    BACKENDS,
    export_reranker,
    int8_folder,
    load_reranker,
    reads_eight_bits,
)
from entlink.bundle import Bundle, open_bundle, write_manifest
from entlink.cli.bundle import command
from entlink.cli.options import backend_option
from entlink.eightbit import has_openvino
from entlink.encode.contextual import ContextReader
from entlink.encode.dual import BertReading, DualEncoder
from entlink.errors import BundleError, ConfigError
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.rerank import int8
from entlink.rerank.cross_encoder import CrossEncoder, has_bf16
from entlink.rerank.int8 import Int8Reader
from entlink.train.distil import with_reader
from tests.tiny import make_bundle, write_bert

TEXTS = ["Jordan met Paris in Georgia.", "Amazon and Apple; the Bulls of Chicago, in Jordan."]
needs_openvino = pytest.mark.skipif(not has_openvino(), reason="pip install entlink[openvino]")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def kb(bundle: Bundle) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(bundle.path) as kb:
        yield kb


@needs_openvino
def test_auto_takes_eight_bits_once_they_are_made(
    bundle: Bundle, kb: KnowledgeBase, cache: Path
) -> None:
    first = load_reranker(bundle, kb)
    assert isinstance(first, CrossEncoder) and first.backend == "torch fp32"
    assert not int8_folder(bundle).exists()
    result = CliRunner().invoke(command, ["int8", str(bundle.path)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["folder"] == str(int8_folder(bundle)) and report["n_pairs"] > 100
    assert Path(report["folder"]).parent == cache
    found = load_reranker(bundle, kb)
    assert isinstance(found, Int8Reader) and found.backend == "openvino int8"
    assert isinstance(load_reranker(bundle, kb, backend="torch"), CrossEncoder)
    assert [f.name for f in cache.iterdir()] == [int8_folder(bundle).name]  # nothing is left over


@needs_openvino
def test_links_are_the_same_with_every_backend(bundle: Bundle, cache: Path) -> None:
    exact = entlink.load(bundle.path, device="cpu", backend="torch").link(TEXTS)
    backends = ["openvino", "auto", *(["bf16"] if has_bf16("cpu") else [])]
    for backend in backends:
        linker = entlink.load(bundle.path, device="cpu", backend=backend)
        for expected, found in zip(exact, linker.link(TEXTS), strict=True):
            assert len(expected.links) == len(found.links) > 0
            for a, b in zip(expected.links, found.links, strict=True):
                assert a.entity_id == b.entity_id
                assert a.probability == pytest.approx(b.probability, abs=0.1)


@needs_openvino
@pytest.mark.parametrize("name", ["reranker.bin", "report.json"])
def test_a_damaged_export_is_left_alone_or_made_again(
    bundle: Bundle, kb: KnowledgeBase, cache: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    comparison = export_reranker(bundle, kb)
    before = (int8_folder(bundle) / "reranker.bin").read_bytes()
    (int8_folder(bundle) / name).write_bytes(b"{}")
    assert isinstance(load_reranker(bundle, kb, backend="auto"), CrossEncoder)
    assert "damaged" in caplog.text and "entlink bundle int8" in caplog.text
    assert isinstance(load_reranker(bundle, kb, backend="openvino"), Int8Reader)
    assert (int8_folder(bundle) / "reranker.bin").read_bytes() == before
    assert isinstance(load_reranker(bundle, kb, backend="auto"), Int8Reader)
    assert export_reranker(bundle, kb) == comparison


@needs_openvino
def test_one_that_is_too_far_is_refused_and_not_kept(
    bundle: Bundle, kb: KnowledgeBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "MEAN_DIFFERENCE", 1e-6)
    with pytest.raises(ConfigError, match="too far from single precision"):
        load_reranker(bundle, kb, backend="openvino")
    assert list(cache.iterdir()) == []
    assert isinstance(load_reranker(bundle, kb, backend="auto"), CrossEncoder)


@needs_openvino
def test_eight_bits_are_for_the_cpu(bundle: Bundle, kb: KnowledgeBase, cache: Path) -> None:
    with pytest.raises(ConfigError, match="runs on the CPU, not on cuda"):
        load_reranker(bundle, kb, backend="openvino", device="cuda")


def test_without_the_package_it_is_said(
    bundle: Bundle, kb: KnowledgeBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'entlink\[openvino\]'"):
        load_reranker(bundle, kb, backend="openvino")
    assert isinstance(load_reranker(bundle, kb), CrossEncoder)


def test_an_unknown_backend(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="must be one of auto, torch, bf16, openvino"):
        Linker.load(bundle, backend="onnx")

    @backend_option
    def with_option() -> None: ...

    (option,) = with_option.__click_params__  # type: ignore[attr-defined]
    assert tuple(option.type.choices) == BACKENDS


def test_a_bundle_without_reranker(tmp_path: Path, cache: Path) -> None:
    made = open_bundle(make_bundle(tmp_path / "b", reranker=False).path)
    with KnowledgeBase.open(made.path) as kb:
        assert load_reranker(made, kb, backend="openvino") is None
        with pytest.raises(BundleError, match="has no reranker"):
            export_reranker(made, kb)


def test_bf16(bundle: Bundle, kb: KnowledgeBase) -> None:
    if not has_bf16("cpu"):
        with pytest.raises(ConfigError, match="no bfloat16; use --backend torch"):
            load_reranker(bundle, kb, backend="bf16")
        return
    exact, found = (load_reranker(bundle, kb, backend=name) for name in ("torch", "bf16"))
    assert exact is not None and found is not None and found.backend == "torch bf16"
    pairs = [(0, 0), (0, 1), (1, 0)]
    contexts, texts = [("the", "river", "a"), ("", "paris", "")], [("amazon", "river"), ("x", "y")]
    expected = exact.score(contexts, texts, pairs)
    logits = found.score(contexts, texts, pairs)
    assert (expected != logits).any()
    np.testing.assert_allclose(logits, expected, atol=0.2)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose retriever reads contexts, and which has no reranker."""
    base = tmp_path_factory.mktemp("base")
    write_bert(base, TEXTS)
    folder = tmp_path_factory.mktemp("bundle") / "reading"
    make_bundle(folder, reranker=False)
    made = with_reader(DualEncoder.load(folder / "retriever"), base, BertReading())
    assert made.reader is not None
    torch.nn.init.normal_(made.reader.out.weight, std=0.2)
    made.save(folder / "retriever")
    return write_manifest(folder)


@needs_openvino
def test_what_reads_contexts_in_eight_bits(reading: Bundle, cache: Path) -> None:
    """As for the reranker: made by one command, then "auto" means it."""

    def reader_of(backend: str) -> ContextReader:
        linker = Linker.load(reading, device="cpu", backend=backend)
        found = linker.retriever.encoder.reader
        assert found is not None
        return found

    assert reader_of("auto").quick is None and not reads_eight_bits(reading, device="cpu")
    result = CliRunner().invoke(command, ["int8", str(reading.path)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["retriever"]
    assert report["folder"] == str(int8_folder(reading, "retriever"))
    assert 0.98 <= report["min_cosine"] < 1 and reads_eight_bits(reading, device="cpu")
    for backend, is_quick in (("auto", True), ("openvino", True), ("torch", False)):
        assert (reader_of(backend).quick is not None) == is_quick
    if has_bf16("cpu"):
        assert reader_of("bf16").bf16 and reader_of("bf16").quick is None
    exact = Linker.load(reading, device="cpu", backend="torch").link(TEXTS)
    eight = Linker.load(reading, device="cpu", backend="openvino").link(TEXTS)
    for one, other in zip(exact, eight, strict=True):
        for a, b in zip(one.links, other.links, strict=True):
            assert a.probability == pytest.approx(b.probability, abs=0.1)
