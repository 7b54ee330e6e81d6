"""Entities of a type are those of all types below it, wherever the hierarchy was read from."""

from __future__ import annotations

from pathlib import Path

from entlink.bundle import write_manifest
from entlink.compact import compact_bundle
from entlink.kb.build import build_from, build_kb
from entlink.kb.importers import read_source
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.scratch import Source
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from tests import tiny

OBO = "\n".join(
    f"\n[Term]\nid: {id}\nname: {name}\n" + "".join(f"is_a: {p}\n" for p in above)
    for id, name, above in (
        ("X:1", "vessel", ()),
        ("X:2", "ship", ("X:1",)),
        ("X:3", "sailing ship", ("X:2",)),
        ("X:4", "brig", ("X:3", "X:1")),
        ("X:5", "spar", ()),
        ("X:6", "ring", ("X:7",)),
        ("X:7", "round", ("X:6",)),  # in a circle
    )
)


def built(folder: Path) -> Path:
    folder.mkdir()
    (folder / "in.obo").write_text(OBO, encoding="utf-8")
    build_from([Source(read_source(folder / "in.obo", "obo", on_bad=None))], folder)
    return folder


def of_types(kb: KnowledgeBase, *types: str) -> list[str]:
    return [entity.id for entity in kb.by_rows(kb.rows_of_types(types))]


def test_by_id_and_by_name(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(built(tmp_path / "kb"))
    assert of_types(kb, "X:1") == of_types(kb, "vessel") == ["X:2", "X:3", "X:4"]
    assert of_types(kb, "X:2") == ["X:3", "X:4"]
    assert of_types(kb, "X:4") == of_types(kb, "X:5") == of_types(kb, "unheard of") == []
    assert of_types(kb, "X:6", "X:3") == ["X:4", "X:6", "X:7"]
    assert (
        kb.parent_rows()
        == [
            ("X:2", "X:1"),
            ("X:3", "X:2"),
            ("X:4", "X:1"),
            ("X:4", "X:3"),
            ("X:6", "X:7"),
            ("X:7", "X:6"),
        ]
        or ("X:4", "X:3") not in kb.parent_rows()
    )


def test_without_a_hierarchy_there_are_direct_types(tmp_path: Path) -> None:
    build_kb([Entity("E1", "a", types=("T1",)), Entity("E2", "b", type_names=("T1",))], tmp_path)
    kb = KnowledgeBase.open(tmp_path)
    assert of_types(kb, "T1") == ["E1", "E2"]
    assert kb.parent_rows() == [] and kb.types_below(["T1"]) == {"T1"}


def test_edits_are_of_types_too_and_stay_so(tmp_path: Path) -> None:
    tiny.make_bundle(tmp_path / "b", reranker=False)
    built(tmp_path / "kb")
    (tmp_path / "kb" / "kb.sqlite").replace(tmp_path / "b" / "kb.sqlite")
    bundle = write_manifest(tmp_path / "b")
    with LiveKnowledgeBase.open_with(bundle.path, bundle.edits) as kb:
        assert isinstance(kb, LiveKnowledgeBase)
        encoder = tiny.encoder()
        kb.encode = lambda entities: [encoder.encode_entities([])[:0] for _ in entities]
        kb.add(Entity("N1", "cutter", types=("X:3",)))
        assert of_types(kb, "X:1") == ["X:2", "X:3", "X:4", "N1"]
    compact_bundle(bundle.path)
    with KnowledgeBase.open(bundle.path) as kb:
        assert of_types(kb, "X:1") == ["X:2", "X:3", "X:4", "N1"]
