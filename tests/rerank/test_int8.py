"""The eight-bit reranker: its bytes against the weights, its logits against single precision."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from entlink.eightbit import _openvino, has_openvino, to_bytes
from entlink.errors import BundleError, ConfigError
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder
from entlink.rerank.int8 import Comparison, Int8Reader, compare, export_int8
from entlink.rerank.sample import PairSample, sample_pairs
from tests.tiny import ENTITIES, cross_encoder

if not has_openvino():
    pytest.skip("needs the extra: pip install entlink[openvino]", allow_module_level=True)


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.floats(-100, 100, width=32),
    )
)
def test_bytes_are_wrong_by_at_most_one_step(weights: np.ndarray) -> None:
    found, zeros, scales = to_bytes(weights)
    assert found.dtype == zeros.dtype == np.uint8
    back = (found.astype(np.float64) - zeros) * scales
    spread = np.maximum(weights.max(axis=1), 0) - np.minimum(weights.min(axis=1), 0)
    assert (np.abs(back - weights).max(axis=1) <= spread / 255 * 1.01 + 1e-30).all()
    assert (back[weights == 0] == 0).all()


@pytest.fixture(scope="module")
def encoder() -> CrossEncoder:
    return cross_encoder(seed=1)


@pytest.fixture(scope="module")
def folder(encoder: CrossEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("int8")
    export_int8(encoder, made)
    encoder.save(made / "source")
    return made


@pytest.fixture(scope="module")
def reader(encoder: CrossEncoder, folder: Path) -> Int8Reader:
    return Int8Reader(folder, folder / "source", encoder.pairs)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> PairSample:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(ENTITIES, folder)
    return sample_pairs(KnowledgeBase.open(folder), n_candidates=5)


def test_eight_bits_are_near_single_precision(
    encoder: CrossEncoder, reader: Int8Reader, sample: PairSample
) -> None:
    comparison = compare(encoder, reader, sample)
    comparison.check()
    exact, found = (
        each.score(sample.contexts, sample.entities, sample.pairs) for each in (encoder, reader)
    )
    assert comparison.max_difference == pytest.approx(np.abs(exact - found).max())
    assert comparison.mean_difference == pytest.approx(np.abs(exact - found).mean())
    assert 0 < comparison.mean_difference < exact.std() / 10  # not the same, and not far
    best = [np.asarray(x).reshape(-1, 5).argmax(axis=1) for x in (exact, found)]
    assert comparison.n_changed == (best[0] != best[1]).sum()
    assert comparison.pairs_per_second > 0 < comparison.exact_pairs_per_second
    assert comparison.n_mentions == len(ENTITIES) and comparison.n_pairs == 5 * len(ENTITIES)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_padding_and_batches_matter_less_than_the_bytes(
    reader: Int8Reader, sample: PairSample, batch_size: int
) -> None:
    """A last bit of single precision can decide how an activation is rounded."""
    expected = reader.score(sample.contexts, sample.entities, sample.pairs)
    found = reader.score(sample.contexts, sample.entities, sample.pairs, batch_size=batch_size)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_it_can_be_sent_to_another_process(reader: Int8Reader, sample: PairSample) -> None:
    again = pickle.loads(pickle.dumps(reader))
    expected = reader.score(sample.contexts, sample.entities, sample.pairs)
    found = again.score(sample.contexts, sample.entities, sample.pairs)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_process_reads_too(folder: Path) -> None:
    """In another process, since OpenVINO would end ours."""
    code = f"""
import os, sys
import numpy as np
from pathlib import Path
from entlink.rerank.cross_encoder import CrossEncoder, PairTokenizer
from entlink.rerank.int8 import Int8Reader
folder = Path({str(folder)!r})
reader = Int8Reader(folder, folder / "source", PairTokenizer.load(folder / "source"))
given = [("the", "jordan", "x")], [("jordan", "river"), ("a", "b")], [(0, 0), (0, 1)]
parent = reader.score(*given)
if (child := os.fork()) == 0:
    found = reader.score(*given)
    exact = CrossEncoder.load(folder / "source").score(*given)
    alike = np.allclose(found, exact, atol=1e-5) and not np.allclose(found, parent, atol=1e-5)
    os._exit(0 if alike else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert done.returncode == 0


def test_the_file_holds_bytes(encoder: CrossEncoder, folder: Path) -> None:
    model = _openvino().Core().read_model(folder / "reranker.xml")
    kinds = [
        op.get_output_element_type(0).get_type_name()
        for op in model.get_ops()
        if op.get_type_name() == "Constant" and len(op.shape) == 2 and min(op.shape) > 30
    ]
    assert kinds.count("u8") == 2 * 6 + 1  # two layers and the pooler; the others are embeddings
    sizes = {name: p.numel() for name, p in encoder.model.named_parameters()}
    in_bytes = sum(n for name, n in sizes.items() if name.endswith("weight") and n >= 32 * 32)
    tables = sum(n for name, n in sizes.items() if "embeddings.weight" in name)
    limit = (in_bytes - tables) + 2 * tables + 2 * 15 * len(sizes) * 32
    assert (folder / "reranker.bin").stat().st_size < limit < 4 * sum(sizes.values())


def test_its_use_is_not_reported_to_anybody() -> None:
    code = (
        "import sys\nfrom entlink.eightbit import _openvino\n_openvino().Core()\n"
        "print('openvino' in sys.modules, [m for m in sys.modules if 'telemetry' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, _, reporters = done.stdout.strip().partition(" ")
    assert loaded == "True" and "openvino_telemetry" not in reporters


def test_another_model_is_too_far(reader: Int8Reader, sample: PairSample) -> None:
    with pytest.raises(ConfigError, match="too far from single precision") as caught:
        compare(cross_encoder(seed=2), reader, sample).check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mean", "most", "changed", "fits"),
    [
        (0.05, 1.9, 1, True),
        (0.2, 0.9, 1, False),
        (0.05, 2.1, 1, False),
        (0.05, 0.9, 4, False),
    ],
)
def test_the_tolerance(mean: float, most: float, changed: int, fits: bool) -> None:
    comparison = Comparison(800, 100, most, mean, changed)
    if fits:
        comparison.check()
    else:
        with pytest.raises(ConfigError, match="use --backend torch"):
            comparison.check()


def test_a_damaged_file_is_one_line(reader: Int8Reader, tmp_path: Path) -> None:
    (tmp_path / "reranker.xml").write_text("<net", encoding="utf-8")
    damaged = Int8Reader(tmp_path, tmp_path, reader.pairs)
    with pytest.raises(BundleError, match="not an eight-bit model") as caught:
        damaged.score([("a", "b", "c")], [("d", "e")], [(0, 0)])
    assert "\n" not in str(caught.value)


def test_the_sample_is_the_same_each_time_and_holds_the_namesakes(tmp_path: Path) -> None:
    build_kb(ENTITIES, tmp_path)
    kb = KnowledgeBase.open(tmp_path)
    sample = sample_pairs(kb, n_mentions=10, n_candidates=4)
    assert sample == sample_pairs(kb, n_mentions=10, n_candidates=4)
    assert sample != sample_pairs(kb, n_mentions=10, n_candidates=4, seed=1)
    assert sample.counts == (4,) * 10 and len(sample.contexts) == 10
    names = [name for name, _ in sample.entities]
    lists = np.asarray(sample.pairs).reshape(10, 4, 2)
    for i, (_, name, _) in enumerate(sample.contexts):
        assert (lists[i, :, 0] == i).all() and len(set(lists[i, :, 1])) == 4
        found = {names[place] for place in lists[i, :, 1]}
        assert name in found
        if name == "Jordan":
            assert "Michael Jordan" in found  # another of his names
    assert json.dumps(sample.pairs)  # plain integers
