"""Bundles: what was written is what is opened, and any byte that changed is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

import entlink
from entlink import bundle as bundles
from entlink.bundle import (
    BUILTIN,
    FORMAT,
    MANIFEST,
    UNREAD,
    Bundle,
    builtin_path,
    cache_dir,
    create_bundle,
    open_bundle,
    verify_bundle,
    write_manifest,
)
from entlink.corpus.shards import LinkOptions
from entlink.decide import Decision
from entlink.errors import BundleError, ConfigError, EntlinkError, InputError
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Document, Entity, Mention
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig
from tests.tiny import DECISION, encoder, make_bundle

FILES = [
    "MODEL_CARD.md",
    "decision.json",
    "kb.sqlite",
    "reranker/config.json",
    "reranker/model.safetensors",
    "reranker/pair.json",
    "reranker/tokenizer.json",
    "reranker/tokenizer_config.json",
    "retriever/config.json",
    "retriever/weights.safetensors",
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def copied(original: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original.path, tmp_path / "copy"))


def one_line(error: pytest.ExceptionInfo[EntlinkError]) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    return message


def test_what_was_written_is_what_is_opened(original: Bundle) -> None:
    opened = open_bundle(original.path)
    assert opened == original == open_bundle(str(original.path)) == verify_bundle(original.path)
    assert sorted(opened.files) == FILES
    for name, digest in opened.files.items():
        assert hashlib.sha256((original.path / name).read_bytes()).hexdigest() == digest
    manifest = json.loads((original.path / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["format"] == FORMAT and manifest["entlink"] == entlink.__version__
    assert {n: f["bytes"] for n, f in manifest["files"].items()} == {
        name: (original.path / name).stat().st_size for name in FILES
    }


def test_what_it_has(original: Bundle) -> None:
    assert original.has("reranker") and original.has("kb.sqlite")
    assert not original.has("detector") and not original.has("rerank")


def test_a_copy_has_the_same_digests(original: Bundle, copied: Path) -> None:
    assert open_bundle(copied).digest == original.digest
    assert open_bundle(copied).index_digest == original.index_digest


@pytest.mark.parametrize("name", FILES)
def test_digests_follow_what_they_stand_for(original: Bundle, copied: Path, name: str) -> None:
    with (copied / name).open("ab") as file:
        file.write(b" ")
    changed = write_manifest(copied)
    assert changed.digest != original.digest
    of_vectors = name == "kb.sqlite" or name.startswith("retriever/")
    assert (changed.index_digest != original.index_digest) == of_vectors


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_one_changed_byte_is_found(copied: Path, name: str, where: str) -> None:
    data = bytearray((copied / name).read_bytes())
    at = {"first": 0, "middle": len(data) // 2, "last": -1}[where]
    data[at] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(BundleError) as caught:
        open_bundle(copied)
    message = one_line(caught)
    assert str(copied / name) in message and "not what the bundle's manifest says" in message


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_or_cut_is_found(copied: Path, name: str) -> None:
    data = (copied / name).read_bytes()
    (copied / name).write_bytes(data[:-1])
    with pytest.raises(BundleError, match="not what the bundle's manifest says"):
        open_bundle(copied)
    (copied / name).unlink()
    with pytest.raises(BundleError) as caught:
        open_bundle(copied)
    assert f"{copied / name}: missing" in one_line(caught)


def edit(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_newer_bundle_asks_for_an_upgrade(copied: Path) -> None:
    edit(copied, format=FORMAT + 1, entlink="9.0", files=["listed", "otherwise"])
    with pytest.raises(BundleError) as caught:
        open_bundle(copied)
    message = one_line(caught)
    assert "made by a newer entlink (9.0, bundle format 2; this one reads 1)" in message
    assert "upgrade entlink" in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"format": 1}',
        '{"format": 1, "files": []}',
        '{"format": "1", "files": {}}',
        '{"format": 0, "files": {}}',
        "{",
        "3",
        "\xff" * 2000,
    ],
)
def test_a_manifest_that_is_none(copied: Path, text: str) -> None:
    (copied / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError) as caught:
        open_bundle(copied)
    assert f"{copied / MANIFEST}: not a bundle's manifest" in one_line(caught)


@pytest.mark.parametrize("value", [3, {"bytes": "x", "sha256": ""}, {"sha256": ""}, None])
def test_files_that_are_not_described(copied: Path, value: object) -> None:
    edit(copied, files={"kb.sqlite": value})
    with pytest.raises(BundleError, match="not a bundle's manifest") as caught:
        open_bundle(copied)
    one_line(caught)


@pytest.mark.parametrize("name", ["../precious", "/etc/passwd", "retriever/../../precious"])
def test_files_outside_the_folder_are_no_part_of_a_bundle(copied: Path, name: str) -> None:
    """A bundle from elsewhere must not be able to read or write beside itself."""
    precious = copied.parent / "precious"
    precious.write_bytes(b"x")
    manifest = json.loads((copied / MANIFEST).read_text(encoding="utf-8"))
    entry = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    edit(copied, files=manifest["files"] | {name: entry})
    with pytest.raises(BundleError, match="lies outside the folder") as caught:
        open_bundle(copied)
    one_line(caught)


@pytest.mark.parametrize("name", ["kb.sqlite", "decision.json", "retriever/weights.safetensors"])
def test_a_bundle_without_what_is_needed(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}") as caught:
        write_manifest(copied)
    one_line(caught)


@pytest.mark.parametrize("name", ["no-such-bundle", "", "/", "a\nb", "builtin2"])
def test_an_unknown_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="no bundle of this name and no folder with") as caught:
        open_bundle(name)
    assert BUILTIN in str(caught.value)
    with pytest.raises(BundleError):
        open_bundle(tmp_path)


def test_the_builtin_bundle_is_the_default(
    original: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "builtin_path", lambda: original.path)
    assert open_bundle() == open_bundle(None) == open_bundle(BUILTIN) == original


def test_where_the_builtin_bundle_lies(root: Path) -> None:
    assert builtin_path() in (root / "kb" / "builtin", root / "entlink" / "_builtin")


def test_hidden_files_are_no_part_of_a_bundle(copied: Path) -> None:
    (copied / ".DS_Store").write_bytes(b"x")
    (copied / "retriever" / ".weights.safetensors.tmp").write_bytes(b"x")
    assert sorted(write_manifest(copied).files) == FILES


@pytest.fixture
def other_kb(tmp_path: Path) -> Path:
    build_kb([Entity("X1", "Somewhere"), Entity("X2", "Elsewhere")], tmp_path / "kb")
    return tmp_path / "kb"


def test_a_bundle_of_another_kb_and_the_same_models(
    original: Bundle, other_kb: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "bundle"
    made = create_bundle(other_kb, original.path, out)
    assert made == open_bundle(out)
    assert sorted(made.files) == [name for name in FILES if name != "MODEL_CARD.md"]
    same = {name for name in made.files if made.files[name] == original.files[name]}
    assert set(made.files) - same == {"kb.sqlite"}
    assert [e.id for e in KnowledgeBase.open(out).by_rows([0, 1])] == ["X1", "X2"]
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
    assert made.index_digest != original.index_digest


def test_the_decision_for_linking_without_a_reranker(copied: Path, tmp_path: Path) -> None:
    unread = replace(DECISION, nil_threshold=0.01)
    unread.save(copied / UNREAD)
    with_it = write_manifest(copied)
    linker = Linker.load(with_it)
    quick = linker.without_reranker()
    assert quick.reranker is None and quick.decision == unread
    assert linker.reranker is not None and linker.decision == DECISION
    assert quick.without_reranker().decision == unread
    assert LinkOptions(reranker=False).applied_to(linker).decision == unread  # type: ignore[attr-defined]

    made = create_bundle(with_it.path, with_it.path, tmp_path / "quick", parts={"reranker": None})
    assert Decision.load(made.path / "decision.json") == unread and not made.has(UNREAD)
    (expected,) = quick.link(["Somewhere."])
    (linked,) = Linker.load(made).link(["Somewhere."])
    assert linked == expected

    # models like those bring it along, and another retriever does not
    assert create_bundle(with_it.path, with_it.path, tmp_path / "same").has(UNREAD)
    encoder(seed=9).save(tmp_path / "student")
    parts = {"retriever": tmp_path / "student", "decision.json": copied / "decision.json"}
    assert not create_bundle(with_it.path, with_it.path, tmp_path / "other", parts=parts).has(
        UNREAD
    )


def test_without_such_a_decision_the_usual_one_stays(original: Bundle) -> None:
    quick = Linker.load(original).without_reranker()
    assert quick.reranker is None and quick.decision == DECISION


def test_a_bundle_with_another_retriever_and_no_reranker(
    original: Bundle, other_kb: Path, tmp_path: Path
) -> None:
    encoder(seed=9).save(tmp_path / "student")
    decision = replace(DECISION, nil_threshold=0.01, final=Decision.blank().final)
    decision.save(tmp_path / "student.json")
    parts = {
        "retriever": tmp_path / "student",
        "decision.json": tmp_path / "student.json",
        "reranker": None,
    }
    made = create_bundle(other_kb, original.path, tmp_path / "bundle", parts=parts)
    assert not made.has("reranker") and open_bundle(made.path) == made
    assert Decision.load(made.path / "decision.json") == decision
    for name in ("config.json", "weights.safetensors"):
        expected = (tmp_path / "student" / name).read_bytes()
        assert (made.path / "retriever" / name).read_bytes() == expected
    mention = Mention(0, 9, "Somewhere")
    (linked,) = Linker.load(made).link([Document("d", "Somewhere.", (mention,))])
    assert [link.entity_id for link in linked.links] == ["X1"]
    assert linked.links[0].candidates[0].reranker_score is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"retriever": "."}, "a decision is fitted for one retriever"),
        ({"retriever": ".", "decision.json": None}, "a bundle needs its decision.json"),
        ({"retriever": "none", "decision.json": "d.json"}, "none: no such folder"),
        ({"decision.json": "d.json"}, "d.json: no such file"),
        ({"engine": None}, "'engine' is no part of a bundle"),
    ],
)
def test_parts_that_do_not_fit(
    original: Bundle, other_kb: Path, tmp_path: Path, parts: dict[str, str | None], message: str
) -> None:
    given = {name: None if part is None else tmp_path / part for name, part in parts.items()}
    with pytest.raises(InputError, match=message) as caught:
        create_bundle(other_kb, original.path, tmp_path / "bundle", parts=given)
    one_line(caught)
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_never_overwritten(original: Bundle, other_kb: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "file", tmp_path / "folder"):
        if out.name == "file":
            out.write_text("precious", encoding="utf-8")
        else:
            out.mkdir()
        with pytest.raises(InputError, match="exists already") as caught:
            create_bundle(other_kb, original.path, out)
        one_line(caught)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "precious"


def test_a_bundle_appears_whole_or_not_at_all(
    original: Bundle, other_kb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def fails_late(source: Path, target: Path) -> object:
        if target.name == "kb.sqlite":
            raise OSError(28, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fails_late)
    with pytest.raises(OSError, match="No space left"):
        create_bundle(other_kb, original.path, tmp_path / "out" / "bundle")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bundle_is_not_made_from_a_damaged_one(
    copied: Path, other_kb: Path, tmp_path: Path
) -> None:
    with (copied / "decision.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match="not what the bundle's manifest says"):
        create_bundle(other_kb, copied, tmp_path / "bundle")
    write_manifest(copied)
    with pytest.raises(InputError, match="no knowledge base here"):
        create_bundle(tmp_path / "none", copied, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_cache_folder_is_the_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "a" / "b"))
    assert cache_dir() == tmp_path / "a" / "b"
    assert cache_dir().is_dir() and list(cache_dir().iterdir()) == []


def test_without_one_it_follows_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTLINK_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert tmp_path in cache_dir().parents
    assert "entlink" in cache_dir().parts


def test_a_cache_that_cannot_be_written_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only home: here a file stands in its place, for root may write anywhere."""
    (tmp_path / "home").write_text("no folder", encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "home" / "cache"))
    found = cache_dir()
    assert found.parent == temporary and found.name.startswith("entlink-")
    if hasattr(os, "getuid"):
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
    (tmp_path / "other").write_text("no folder", encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
    with pytest.raises(BundleError, match="set ENTLINK_CACHE to a folder that can") as caught:
        cache_dir()
    one_line(caught)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to read-only folders"
)
def test_a_read_only_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    assert cache_dir().name.startswith("entlink-")


def test_a_bundle_says_how_it_is_searched(original: Bundle, tmp_path: Path) -> None:
    def created(name: str, like: Path, index: IndexConfig | None) -> Bundle:
        return create_bundle(original.path, like, tmp_path / name, index=index)

    wanted = IndexConfig("HNSW8,SQ8", "efSearch=64")
    first = created("first", original.path, wanted)
    assert IndexConfig.load(first.path / CONFIG_NAME) == wanted and first.has(CONFIG_NAME)
    assert created("like it", first.path, None).has(CONFIG_NAME)
    for name, index in (("plain", None), ("flat", IndexConfig())):
        assert not created(name, original.path, index).has(CONFIG_NAME)
    assert not created("flat again", first.path, IndexConfig()).has(CONFIG_NAME)
    with pytest.raises(ConfigError, match="try flat, hnsw or ivfpq"):
        created("none", original.path, IndexConfig("IVFFF"))
    assert not (tmp_path / "none").exists()


def test_large_files_are_read_once_and_again_when_touched(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundles, "_LARGE", 1 << 10)
    read: list[str] = []
    digest = bundles.file_digest

    def counted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(bundles, "file_digest", counted)
    first = open_bundle(copied)
    assert "kb.sqlite" in read
    read.clear()
    assert open_bundle(copied) == first
    assert "kb.sqlite" not in read and "decision.json" in read  # the one is large, the other small
    assert verify_bundle(copied) == first and "kb.sqlite" in read
    data = bytearray((copied / "kb.sqlite").read_bytes())
    data[-1] ^= 1
    (copied / "kb.sqlite").write_bytes(data)
    for _ in range(2):
        with pytest.raises(BundleError, match="not what the bundle's manifest says"):
            open_bundle(copied)
