"""Measure what a knowledge base of N entities costs: encoding, disk, memory, milliseconds, recall.

    python kb/recipe/measure_scale.py all 6000000 --out out/scale-6000000
    python kb/recipe/measure_scale.py search --out out/scale-6000000 --index "ivfpq; nprobe=32"
    python kb/recipe/measure_scale.py project 100000000 --out out/scale-6000000

`all` runs the steps one after another, each in a process of its own, and notes what they measure in
measured.json; what is noted there is not done again. Entities are those that the mentions name, and
then such as `measure_kb.py recombine` puts together from real ones. `project` works out what
another number of entities costs from what was measured of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from measure_kb import measure_build, recombine
from measure_search import linked_texts, measure_search, named

STEPS = ("entities", "build", "bundle", "encode", "index", "link", "search")


def make_entities(out: Path, n: int, shared: Path) -> dict[str, object]:
    """Those that the mentions name, then recombined ones."""
    from entlink.kb.importers.jsonl import read_entities

    wanted = named(shared)
    everything = read_entities(shared / "data/wikidata/entities.jsonl.gz")
    real = [entity for entity in everything if entity.id in wanted]
    with (out / "named.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(entity)) + "\n" for entity in real)
    recombine(max(1, n - len(real)), shared / "data/wikidata", out / "made.jsonl.gz")
    return {"named": len(real), "entities": max(n, len(real) + 1)}


def build(out: Path) -> dict[str, object]:
    """The knowledge base: seconds, memory, size."""
    return measure_build([out / "named.jsonl", out / "made.jsonl.gz"], out / "kb")


def make_bundle(out: Path, index: str) -> dict[str, object]:
    """The built-in models with this knowledge base."""
    from entlink.bundle import create_bundle
    from entlink.retrieve.index_config import IndexConfig

    create_bundle(out / "kb", None, out / "bundle", index=IndexConfig.parse(index))
    return {"index": index}


def encode(out: Path) -> dict[str, object]:
    """Entities a second of one process; of a run that was killed, of what was left."""
    from entlink.bundle import open_bundle
    from entlink.kb.store import KnowledgeBase
    from entlink.retrieve.shards import SHARD, Part
    from entlink.vectors import make_vectors

    bundle = open_bundle(out / "bundle")
    n = len(KnowledgeBase.open(bundle.path))
    shards = make_vectors(bundle, part=Part(10**9, 10**9))  # none of them: where they will be
    n_before = len(list(shards.glob("*.npz")))
    wall, cpu = time.perf_counter(), time.process_time()
    make_vectors(bundle, part=Part())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n_encoded = n - min(n, n_before * SHARD)
    return {
        "entities": n_encoded,
        "seconds": round(wall, 1),
        "per_second": round(n_encoded / wall),
        "per_cpu_second": round(n_encoded / cpu),
        "shard_bytes": sum(file.stat().st_size for file in shards.glob("*.npz")),
        "peak_mb": _memory()["VmHWM"],
    }


def make_index(out: Path) -> dict[str, object]:
    """Joining the shards, training and filling the index: seconds, memory; bytes an entity."""
    from entlink.bundle import open_bundle
    from entlink.kb.store import KnowledgeBase
    from entlink.vectors import make_vectors

    bundle = open_bundle(out / "bundle")
    n = len(KnowledgeBase.open(bundle.path))
    started = time.perf_counter()
    folder = make_vectors(bundle)
    seconds = time.perf_counter() - started
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    stored = sizes["vectors.npy"] + sizes["scales.npy"]
    names = sum(sizes.values()) - sizes["index.faiss"] - stored
    return {
        "folder": str(folder),
        "settings": json.loads((folder / "index.json").read_text(encoding="utf-8")),
        "entities": n,
        "vectors": sizes["scales.npy"] // 4,
        "seconds": round(seconds, 1),
        "peak_mb": _memory()["VmHWM"],
        "index_bytes_per_entity": round(sizes["index.faiss"] / n, 1),
        "names_bytes_per_entity": round(names / n, 1),
        "stored_bytes_per_entity": round(stored / n, 1),
        "kb_bytes_per_entity": round((bundle.path / "kb.sqlite").stat().st_size / n, 1),
    }


def link(out: Path, shared: Path) -> dict[str, object]:
    """Opening a bundle, and linking texts with it: seconds, and memory beyond the imports."""
    for name in ("faiss", "openvino", "spacy.pipeline", "tokenizers"):  # before memory is read
        with suppress(ImportError):
            import_module(name)

    from entlink.bundle import open_bundle
    from entlink.linker import Linker, choose_device

    choose_device("cpu", 1)
    imports = _memory()
    open_bundle(out / "bundle")  # once for each bundle and computer: its large files are read
    started = time.perf_counter()
    linker = Linker.load(out / "bundle", device="cpu", threads=1)
    opened = time.perf_counter() - started
    after_open = _memory()["VmRSS"] - imports["VmRSS"]
    linker.link("Barack Obama spoke in Chicago.")  # the recogniser is loaded
    after_one = _memory()["VmRSS"] - imports["VmRSS"]
    documents = linked_texts(shared)
    started, n, most = time.perf_counter(), 0, _memory()
    for document in documents:
        n += sum(len(linked.links) for linked in linker.link(document))
        most = max(most, _memory(), key=lambda memory: memory["VmRSS"])
    return {
        "open_seconds": round(opened, 3),
        "documents": len(documents),
        "mentions": n,
        "ms_per_mention": round(1000 * (time.perf_counter() - started) / n, 2),
        "stages_ms": {k: round(1000 * s / n, 2) for k, s in linker.seconds.items()},
        "mb_after_imports": imports["VmRSS"],
        "mb_opened": round(after_open, 1),
        "mb_after_one_text": round(after_one, 1),
        "mb_beyond_imports": round(most["VmRSS"] - imports["VmRSS"], 1),
        "of_it_mapped_files": round(most["RssFile"] - imports["RssFile"], 1),
    }


def project(n: int, out: Path) -> dict[str, object]:
    """What n entities cost, by docs/scale.md's formulas, from what was measured here."""
    from entlink.retrieve.index_config import IndexConfig

    measured = json.loads((out / "measured.json").read_text(encoding="utf-8"))
    index, rate = measured["index"], measured["encode"]["per_cpu_second"]
    vectors = round(n * index["vectors"] / index["entities"])

    def scanned(count: int) -> float:
        """Vectors that a query is compared with, by the settings for so many."""
        config = IndexConfig("ivfpq").resolved(count, 128)
        lists, probed = config.factory.split(",")[0][3:], config.search.split("=")[1]
        return count * int(probed) / int(lists)

    per = {name: value for name, value in index.items() if name.endswith("_bytes_per_entity")}
    factor = scanned(vectors) / scanned(index["vectors"])
    return {
        "entities": n,
        "vectors": vectors,
        "index": IndexConfig("ivfpq").resolved(vectors, 128).factory,
        "disk_gb": {name.split("_")[0]: round(value * n / 1e9, 1) for name, value in per.items()},
        "encode_core_hours": round(n / rate / 3600, 1),
        "kb_build_hours": round(n / measured["build"]["entities_per_second"] / 3600, 1),
        "index_ram_gb": round(per["index_bytes_per_entity"] * n / 1e9, 1),
        "ms_per_query": round(measured["search"]["ms_per_query"] * factor, 1),
    }


def run_all(n: int, out: Path, shared: Path, index: str) -> dict[str, object]:
    """All steps that measured.json lacks, each in a process of its own."""
    noted = out / "measured.json"
    for step in STEPS:
        measured = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
        if step in measured:
            continue
        command = [sys.executable, __file__, step, str(n), "--out", str(out)]
        command += ["--shared", str(shared)]
        command += ["--index", index] if step == "bundle" else []
        sys.stderr.write(f"{step} ...\n")
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
        measured[step] = json.loads(done.stdout)
        noted.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return dict(json.loads(noted.read_text(encoding="utf-8")))


def _memory() -> dict[str, float]:
    """MB that are resident, of them those of mapped files, and the most there ever were."""
    wanted = ("VmRSS", "RssFile", "VmHWM")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: round(int(found[name].split()[0]) / 1024, 1) for name in wanted}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=(*STEPS, "all", "project"))
    parser.add_argument("n", nargs="?", type=int, help="of `all` and `project`: entities")
    parser.add_argument("--out", type=Path, required=True, help="the folder of one measurement")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--index", help="of `all` and `bundle`; `search`: other settings")
    options = parser.parse_args()
    out, shared, n = options.out, options.shared, options.n
    if n is None and options.step in ("all", "entities", "project"):
        parser.error("say how many entities")
    run: dict[str, Callable[[], dict[str, object]]] = {
        "entities": lambda: make_entities(out, n, shared),
        "build": lambda: build(out),
        "bundle": lambda: make_bundle(out, options.index or "ivfpq"),
        "encode": lambda: encode(out),
        "index": lambda: make_index(out),
        "link": lambda: link(out, shared),
        "search": lambda: measure_search(out / "bundle", shared, options.index),
        "all": lambda: run_all(n, out, shared, options.index or "ivfpq"),
        "project": lambda: project(n, out),
    }
    out.mkdir(parents=True, exist_ok=True)
    os.environ["ENTLINK_CACHE"] = str(out.absolute() / "cache")
    sys.stdout.write(json.dumps(run[options.step](), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
