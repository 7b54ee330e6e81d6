"""Ray: of three nodes on this machine one is killed in the middle, and the bytes are the same."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entlink.bundle import Bundle
from entlink.corpus import Progress, link_corpus
from entlink.linker import Linker
from entlink.records import Document
from tests.tiny import make_bundle

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = pytest.mark.slow

NAMES = ("Jordan", "Paris", "Georgia", "Amazon", "Prince", "Chicago Bulls", "Apple")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for actors; nodes are added by the tests."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # Ray kills where others fill memory
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()
    monkeypatch.undo()


def actors() -> dict[str, Any]:
    """What the cluster knows of its actors; the public call for it needs the dashboard."""
    found: dict[str, Any] = ray._private.state.actors()
    return found


def runs(actor: dict[str, Any]) -> bool:
    return bool(actor["State"] == "ALIVE")


def test_a_killed_node_changes_no_byte(
    bundle: Bundle, cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.jsonl"
    rows = [
        {"id": n, "text": f"{NAMES[n % 7]} met {NAMES[n // 7 % 7]} on day {n}."}
        for n in range(2000)
    ]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options: dict[str, Any] = {"bundle": bundle.path, "device": "cpu", "threads": 1}
    link_corpus(source, tmp_path / "local.jsonl", **options)

    nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=1) for _ in range(3))}
    killed: list[Any] = []

    def kill_one(progress: Progress) -> None:
        if not killed:  # the first shards are there, others under way
            actor = next(a for a in actors().values() if runs(a))
            killed.append(nodes.pop(actor["Address"]["NodeID"]))
            cluster.remove_node(killed[0], allow_graceful=False)
            while runs(actors()[actor["ActorID"]]):  # else the others may do all before it is known
                time.sleep(0.1)

    out = tmp_path / "ray.jsonl"
    summary = link_corpus(source, out, engine="ray", processes=3, on_progress=kill_one, **options)
    assert "an actor was lost" in caplog.text
    assert summary.n_documents == 2000
    assert out.read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    for node in nodes.values():
        cluster.remove_node(node)


def test_there_is_an_actor_for_each_gpu(bundle: Bundle, cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=4, num_gpus=2)  # Ray takes our word for them
    before = set(actors())
    seen: list[int] = []

    def count(_: Progress) -> None:
        seen.append(sum(a["State"] != "DEAD" for id_, a in actors().items() if id_ not in before))

    source = [Document(str(n), f"Jordan in {n}") for n in range(600)]
    summary = link_corpus(
        source,
        tmp_path / "o.jsonl",
        bundle=bundle.path,
        engine="ray",
        processes=0,
        on_progress=count,
    )
    assert (summary.n_documents, set(seen)) == (600, {2})
    cluster.remove_node(node)


@pytest.fixture(scope="module")
def room(cluster: Any) -> None:
    """Two cores for actors of Datasets."""
    cluster.add_node(num_cpus=2)


def linked_rows(rows: list[dict[str, Any]], bundle: Bundle, **options: Any) -> list[dict[str, Any]]:
    from entlink.corpus.ray import link_dataset

    linked = link_dataset(
        ray.data.from_items(rows), text="body", bundle=bundle.path, device="cpu", **options
    )
    return sorted(linked.take_all(), key=lambda row: str(row["key"]))


@pytest.mark.usefixtures("room")
def test_a_dataset_of_ones_own(bundle: Bundle) -> None:
    texts = ["Jordan met Paris.", None, "nothing"]
    rows = linked_rows([{"key": n, "body": text} for n, text in enumerate(texts)], bundle, id="key")
    (expected,) = Linker.load(bundle.path, device="cpu").link("Jordan met Paris.")
    assert [m["entity"] for m in rows[0]["mentions"]] == [k.entity_id for k in expected.links]
    assert [(row["body"], list(row["mentions"])) for row in rows[1:]] == [
        (None, []),
        ("nothing", []),
    ]
    assert [row["set_aside"] for row in rows] == [None] * 3


@pytest.mark.usefixtures("room")
def test_a_text_that_cannot_be_linked_costs_no_other(bundle: Bundle) -> None:
    texts = ["Jordan", "Jordan and Paris " * 9, "Paris"]
    rows = [{"key": f"k{n}", "body": text, "mentions": n} for n, text in enumerate(texts)]
    found = linked_rows(rows, bundle, id="key", max_chars=20)
    assert [row["mentions"] is None for row in found] == [False, True, False]
    assert [row["mentions_"] for row in found] == [0, 1, 2]
    assert found[0]["set_aside"] is found[2]["set_aside"] is None
    said = "document 'k1': a text of 153 characters, and the limit is 20"
    assert found[1]["set_aside"].startswith(said)
    with pytest.raises(ray.exceptions.RayTaskError, match=said):
        linked_rows(rows, bundle, id="key", max_chars=20, strict=True)


@pytest.mark.usefixtures("room")
def test_a_dataset_takes_the_options_of_a_corpus(bundle: Bundle, tmp_path: Path) -> None:
    text = "Jordan met Paris Hilton in Paris."
    rows = [{"key": 0, "body": text}]
    options: dict[str, Any] = {"reranker": False, "ids": ("Q1", "Q4"), "n_candidates": 2}
    (row,) = linked_rows(rows, bundle, **options)
    out = tmp_path / "o.jsonl"
    link_corpus([Document("0", text)], out, bundle=bundle.path, device="cpu", **options)
    expected = json.loads(out.read_bytes())["mentions"]
    assert [{k: v for k, v in m.items() if k != "label"} for m in row["mentions"]] == expected
    linker = without_reranker(Linker.load(bundle.path, device="cpu"))
    assert linked_rows(rows, bundle, linker=linker) == linked_rows(rows, bundle, reranker=False)


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("name", [{"text": "typo"}, {"id": "typo"}])
def test_a_column_that_a_dataset_has_not(bundle: Bundle, name: dict[str, Any]) -> None:
    from entlink.corpus.ray import link_dataset

    linked = link_dataset(
        ray.data.from_items([{"text": "Paris"}]), bundle=bundle.path, device="cpu", **name
    )
    with pytest.raises(ray.exceptions.RayTaskError, match="no column 'typo'; it has 'text'"):
        linked.take_all()


def without_reranker(linker: Linker) -> Linker:
    linker.reranker = None
    return linker
