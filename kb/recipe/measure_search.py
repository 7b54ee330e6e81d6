"""What an approximate index keeps of what exact search finds, and how quick it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.evaluate.formats import GoldDocument, read_corpus
from entlink.inputs import MentionInput, mention_input, with_full_names
from entlink.linker import Linker
from entlink.records import Document, Mention
from entlink.retrieve.index import VectorIndex, open_index, use_threads
from entlink.retrieve.index_config import IndexConfig
from entlink.retrieve.stored import StoredVectors
from entlink.vectors import make_vectors

MENTIONS = ("test/msnbc_updated", "test/tweeki_b", "dev/tweeki_a", "dev/aida_testa")
QUERIES = 1000
LINKED = 100  # short messages that are linked, and a tenth as many texts of news
WHOLE = 200  # of them with all that retrieving does
K = 100  # entities that are asked for
THREADS = 2  # where mentions come in batches
_BATCH = 256
_TIMES = 3  # the quickest counts, for other programs may have been running
_FETCH = 2 * K + 20  # vectors that the retriever asks for, to have as many entities
_BLOCK = 1 << 15


def named(shared: Path) -> set[str]:
    """The ids of all entities that the mentions mean."""
    return {m.entity for d in _gold(shared, len(MENTIONS)) for m in d.mentions if m.entity}


def linked_texts(shared: Path) -> list[Document]:
    """Short messages, and some news."""
    texts = [Document(d.id, d.text) for d in _gold(shared, 2)]
    return texts[: -LINKED - 1 : -1] + texts[: LINKED // 10]


def measure_search(bundle: Path, shared: Path, index: str | None) -> dict[str, object]:
    """Queries one by one on one core; ``index`` has other settings than the bundle's.

    Exact search compares the stored vectors, one byte a number.
    """
    linker = Linker.load(bundle, device="cpu", threads=1)
    folder = make_vectors(linker.bundle)
    config = IndexConfig.load(folder / "index.json")
    if index:
        other = IndexConfig.parse(index)
        config = IndexConfig(config.factory, other.search or config.search, other.rescore)
    inputs, wanted = _mentions(linker, shared)
    encoder = linker.retriever.encoder
    queries = searched_with(encoder, inputs)
    searcher = open_index(folder, config)
    near, times = _timed(searcher, queries)
    started = time.perf_counter()
    for item in inputs[:WHOLE]:
        linker.retriever.retrieve([item], k=K)
    whole = (time.perf_counter() - started) / len(inputs[:WHOLE])
    in_batches = _in_batches(searcher, encoder, inputs)
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    exact = [entities(rows, p) for p in exactly(StoredVectors.open(folder), queries, _FETCH)]
    found = [entities(rows, positions) for positions in near]
    in_exact, in_found = (share_with(wanted, of) for of in (exact, found))
    return {
        "search": config.search,
        "rescore": config.rescore,
        "queries": len(queries),
        "ms_per_query": round(float(np.median(times)), 3),
        "ms_p95": round(float(np.percentile(times, 95)), 3),
        "ms_retrieve": round(1000 * whole, 3),  # with the mention's encoding, names, words
        "batch_threads": THREADS,
        "batch_per_second": round(in_batches),  # mentions, encoded and searched for
        "gold_in_exact": round(in_exact, 4),
        "gold_in_approximate": round(in_found, 4),
        "gold_kept": round(in_found / in_exact, 4),
        "recall_of_exact": round(recall(exact, found), 4),
    }


def searched_with(encoder: DualEncoder, inputs: list[MentionInput]) -> NDArray[np.float32]:
    """The vectors by which candidates are found: what a context reader adds only ranks them."""
    with torch.inference_mode():
        vectors = encoder.mention_vectors(encoder.mention_features(inputs, read=False))
    return np.asarray(vectors.numpy())


def exactly(stored: StoredVectors, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The positions of the k nearest stored vectors of each query, (n, k), by comparing all."""
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    places = np.full((len(queries), k), -1, dtype=np.int64)
    for begin in range(0, len(stored), _BLOCK):
        block = stored.at(slice(begin, begin + _BLOCK))
        scores = np.hstack([best, queries @ block.T])
        where = np.broadcast_to(np.arange(begin, begin + len(block)), (len(queries), len(block)))
        positions = np.hstack([places, where])
        order = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        places = np.take_along_axis(positions, order, axis=1)
    return np.take_along_axis(places, np.argsort(-best, axis=1, kind="stable"), axis=1)


def entities(rows: NDArray[np.int32], positions: NDArray[np.int64]) -> list[int]:
    """The rows of the first K entities."""
    return list(dict.fromkeys(rows[positions[positions >= 0]].tolist()))[:K]


def share_with(wanted: list[int], found: list[list[int]]) -> float:
    """How many of the wanted are among what was found for each."""
    return sum(w in f for w, f in zip(wanted, found, strict=True)) / len(wanted)


def recall(exact: list[list[int]], found: list[list[int]]) -> float:
    """The mean share of what is exact that was found."""
    pairs = zip(exact, found, strict=True)
    return float(np.mean([len(set(e) & set(f)) / len(e) for e, f in pairs]))


def _timed(
    index: VectorIndex, queries: NDArray[np.float32]
) -> tuple[list[NDArray[np.int64]], list[float]]:
    """What is found, and milliseconds, one query after another."""
    index.search(queries[:20], k=_FETCH)  # its pages are in memory
    found, times = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(index.search(query[None], k=_FETCH)[1][0])
        times.append(1000 * (time.perf_counter() - started))
    return found, times


def _in_batches(index: VectorIndex, encoder: DualEncoder, inputs: list[MentionInput]) -> float:
    """Mentions a second that are encoded and searched for with all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    use_threads(THREADS)
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        for begin in range(0, len(inputs), _BATCH):
            index.search(searched_with(encoder, inputs[begin : begin + _BATCH]), k=_FETCH)
        seconds.append(time.perf_counter() - started)
    torch.set_num_threads(before)
    use_threads(before)
    return len(inputs) / min(seconds)


def _mentions(linker: Linker, shared: Path) -> tuple[list[MentionInput], list[int]]:
    """Some mentions as the encoder reads them, and the rows of what they mean."""
    pairs = []
    for gold in _gold(shared, len(MENTIONS)):
        given = tuple(Mention(m.start, m.end, gold.text[m.start : m.end]) for m in gold.mentions)
        _, (mentions,) = linker.prepare([Document(gold.id, gold.text, given)])
        meant = {(m.start, m.end): m.entity for m in gold.mentions if m.entity}
        for m in with_full_names(mentions):
            text = mention_input(gold.text, m.start, m.end, label=m.label, full_name=m.full_name)
            pairs.append((text, meant.get((m.start, m.end), "")))
    known = linker.kb.rows_of(id for _, id in pairs)
    usable = [(text, known[id]) for text, id in pairs if id in known]
    chosen = np.random.default_rng(0).permutation(len(usable))[:QUERIES]
    return [usable[i][0] for i in chosen], [usable[i][1] for i in chosen]


def _gold(shared: Path, n: int) -> Iterator[GoldDocument]:
    for name in MENTIONS[:n]:
        yield from read_corpus(shared / "data" / "mentions" / f"{name}.jsonl.gz")
