"""Edits become part of the bundle: whole, once, and whatever is killed in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from entlink.bundle import Bundle, open_bundle
from entlink.cli.app import run
from entlink.compact import _swap, compact_bundle
from entlink.errors import BundleError
from entlink.kb.build import build_kb
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Entity
from tests import tiny

NEW = Entity("N1", "Novum", ("Jordan",), "a new town", popularity=2.0)
UPDATED = Entity("Q4", "Paris", ("Lutetia",), "capital city of France", popularity=4.4)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny.make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def bundle(original: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(original.path, tmp_path / "mine"))


def edited(bundle: Path) -> Linker:
    linker = Linker.load(bundle, device="cpu")
    linker.kb.add(NEW)
    linker.kb.update(UPDATED)
    linker.kb.remove("Q5")
    return linker


def names(kb: KnowledgeBase) -> dict[str, set[str]]:
    """Which entities bear each name."""
    found = {}
    for surface in ("Jordan", "Novum", "Paris", "Lutetia", "City of Light", "Paris Hilton"):
        rows = [hit.row for hit in kb.by_aliases([surface])[surface]]
        found[surface] = {entity.id for entity in kb.by_rows(rows)}
    return found


EXPECTED = {
    "Jordan": {"Q1", "Q2", "Q3", "N1"},
    "Novum": {"N1"},
    "Paris": {"Q4", "Q6"},
    "Lutetia": {"Q4"},
    "City of Light": set(),
    "Paris Hilton": set(),
}


def test_the_next_link_call_sees_an_edit(bundle: Path) -> None:
    linker, other = Linker.load(bundle, device="cpu"), Linker.load(bundle, device="cpu")
    assert "Novum" not in [k.mention.text for k in other.link("He saw Novum at last.")[0].links]
    linker.kb.add(NEW)
    for one in (linker, other):
        (link,) = one.link("He saw Novum at last.", n_candidates=100)[0].links
        assert "N1" in {candidate.entity_id for candidate in link.candidates}
    linker.kb.remove("N1")
    ids = {c.entity_id for d in other.link("He saw Novum.") for k in d.links for c in k.candidates}
    assert "N1" not in ids


def test_compacted_it_is_the_same(bundle: Path) -> None:
    linker = edited(bundle)
    before = open_bundle(bundle).files
    assert names(linker.kb) == EXPECTED
    entities = [entity for batch in linker.kb.iterate() for entity in batch]
    made, n_edits = compact_bundle(bundle)
    assert n_edits == 3
    assert {n for n in before if made.files[n] != before[n]} == {"kb.sqlite"}
    assert sorted(p.name for p in bundle.parent.iterdir()) == ["cache", "mine", "mine.edits"]
    for kb in (KnowledgeBase.open(bundle), LiveKnowledgeBase.open_with(bundle, made.edits)):
        assert [entity for batch in kb.iterate() for entity in batch] == entities
        assert names(kb) == EXPECTED
        assert kb.version == 0
    assert compact_bundle(bundle)[1] == 0
    again = edited_again(bundle)
    assert again.kb.by_id("N2") is not None


def edited_again(bundle: Path) -> Linker:
    linker = Linker.load(bundle, device="cpu")
    linker.kb.add(Entity("N2", "Another"))
    return linker


@pytest.mark.parametrize("any_case", [True, False])
def test_names_in_any_case_stay_so(tmp_path: Path, bundle: Path, any_case: bool) -> None:
    build_kb(tiny.ENTITIES, tmp_path / "kb", any_case=any_case)
    assert run(["bundle", "create", "--kb", str(tmp_path / "kb"), "--like", str(bundle), "--out",
                str(tmp_path / "b"), "--no-check"]) == 0  # fmt: skip
    linker = Linker.load(tmp_path / "b", device="cpu")
    text = "he saw novum at last, and novum again"
    linker.kb.add(NEW)
    compacted = compact_bundle(tmp_path / "b")[0]
    for one in (linker, Linker.load(compacted, device="cpu")):
        assert one.kb.any_case is any_case
        assert len(one.link(text)[0].links) == 2 * any_case


def test_counted_uses_stay(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "priors.jsonl").write_text(
        '{"surface": "Paris", "counts": {"Q4": 6, "Q5": 3, "Q6": 1}}\n'
        '{"surface": "the city", "counts": {"Q4": 1}}\n'
    )
    build_kb(tiny.ENTITIES, tmp_path / "kb", priors=tmp_path / "priors.jsonl")
    assert run(["bundle", "create", "--kb", str(tmp_path / "kb"), "--like", str(bundle), "--out",
                str(tmp_path / "b"), "--no-check"]) == 0  # fmt: skip
    edited(tmp_path / "b")
    compact_bundle(tmp_path / "b")
    kb = KnowledgeBase.open(tmp_path / "b")
    hits = kb.by_aliases(["Paris", "the city"])
    ids = {row: kb.by_rows([row])[0].id for many in hits.values() for row in [h.row for h in many]}
    found = {s: [(ids[h.row], h.prior, h.count) for h in many] for s, many in hits.items()}
    assert found == {"Paris": [("Q4", 0.6, 6), ("Q6", 0.1, 1)], "the city": [("Q4", 1.0, 1)]}


def test_who_has_it_open_goes_on(bundle: Path) -> None:
    linker = edited(bundle)
    compact_bundle(bundle)
    assert names(linker.kb) == EXPECTED
    with pytest.raises(BundleError, match="compacted or replaced by another process"):
        linker.kb.add(Entity("N3", "Late"))
    with pytest.raises(BundleError, match="compacted or replaced by another process"):
        linker.kb.remove("Q1")
    assert names(Linker.load(bundle, device="cpu").kb) == EXPECTED


KILLED = textwrap.dedent("""
    import os, signal, sys
    from entlink import compact
    from entlink.kb.overlay import Overlay
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "before":
        compact._swap = die
    else:
        Overlay.begin_anew = die
    compact.compact_bundle(sys.argv[1])
""")


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_swap(bundle: Path, when: str) -> None:
    edited(bundle).kb.close()
    done = subprocess.run([sys.executable, "-c", KILLED, str(bundle), when])
    assert done.returncode == -signal.SIGKILL
    linker = Linker.load(bundle, device="cpu")  # whole: every checksum is compared
    assert names(linker.kb) == EXPECTED
    linker.kb.add(Entity("N2", "Another"))
    assert names(linker.kb) == EXPECTED
    fresh = Linker.load(bundle, device="cpu")
    assert fresh.kb.by_id("N2") is not None
    assert compact_bundle(bundle)[1] == (4 if when == "before" else 1)
    assert names(KnowledgeBase.open(bundle)) == EXPECTED
    assert not list(bundle.parent.glob(f".{bundle.name}.*"))  # and nothing of it stays


def test_two_steps_where_there_is_no_single_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    monkeypatch.setattr(sys, "platform", "another")
    _swap(tmp_path / "old", tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "which").read_text() == "new"


def test_the_builtin_bundle_is_not_compacted() -> None:
    with pytest.raises(BundleError, match="the built-in bundle is not edited"):
        compact_bundle("builtin")


def test_by_command(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "more.csv"
    table.write_text("id,name,description\nN1,Novum,a new town\nN2,Ovum,an egg\n")
    one = ["--id", "N3", "--name", "Trium", "--alias", "Tria", "--type", "town"]
    assert run(["kb", "add", str(table), "--bundle", str(bundle)]) == 0
    assert run(["kb", "add", *one, "--bundle", str(bundle)]) == 0
    assert run(["kb", "add", *one, "--bundle", str(bundle)]) == 2
    assert "there is an entity 'N3'; update it instead" in capsys.readouterr().err
    assert run(["kb", "add", *one, "--update", "--bundle", str(bundle)]) == 0
    assert run(["kb", "remove", "N2", "Q1", "--bundle", str(bundle)]) == 0
    assert run(["kb", "remove", "N2", "--bundle", str(bundle)]) == 2
    assert run(["kb", "show", "N3", "--kb", str(bundle)]) == 0
    assert "Tria" in capsys.readouterr().out
    assert run(["kb", "search", "ovum", "--kb", str(bundle)]) == 1
    assert run(["kb", "compact", "--bundle", str(bundle)]) == 0
    assert "6 edits are part of it now" in capsys.readouterr().err
    assert set(KnowledgeBase.open(bundle).rows_of(["N1", "N2", "N3", "Q1"])) == {"N1", "N3"}
    for args in (["kb", "add"], ["kb", "add", "--id", "x"], ["kb", "add", "absent.csv"]):
        assert run([*args, "--bundle", str(bundle)]) == 2
