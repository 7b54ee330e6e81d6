"""Settings: what fits is taken, what does not is named."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entlink.config import from_mapping, load_config
from entlink.errors import ConfigError
from entlink.train.calibration import CalibrationTraining
from entlink.train.detector import DetectorConfig
from entlink.train.reranker_config import RerankerTraining
from entlink.train.retriever import RetrieverTraining


@dataclass(frozen=True, slots=True)
class Inner:
    size: int = 3
    lengths: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, slots=True)
class Outer:
    out: Path
    name: str = "x"
    rate: float = 0.5
    on: bool = True
    other: Path | None = None
    parts: tuple[Path, ...] = ()
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def load(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, Outer)


def test_values_of_every_kind(tmp_path: Path) -> None:
    text = """
        out = "a/b"
        name = "ä"
        rate = 2
        on = false
        other = "c"
        parts = ["d", "e"]
        inner = {size = 7, lengths = [3]}
        [[many]]
        size = 1
        [[many]]
        lengths = []
    """
    assert load(tmp_path, text) == Outer(
        out=Path("a/b"),
        name="ä",
        rate=2.0,
        on=False,
        other=Path("c"),
        parts=(Path("d"), Path("e")),
        inner=Inner(7, (3,)),
        many=(Inner(1), Inner(lengths=())),
    )
    assert type(load(tmp_path, 'out = "a"\nrate = 2').rate) is float
    assert load(tmp_path, 'out = "a"') == Outer(Path("a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('out = "a"\nnmae = "b"', "unknown setting 'nmae'; known are out, name, rate"),
        ('name = "b"', "setting 'out' is missing; add it"),
        ("out = 3", "out: Path is needed, found 3"),
        ('out = "a"\nname = 3', "name: str is needed, found 3"),
        ('out = "a"\nrate = "fast"', "rate: float is needed, found 'fast'"),
        ('out = "a"\nrate = true', "rate: float is needed, found True"),
        ('out = "a"\non = 1', "on: bool is needed, found 1"),
        ('out = "a"\nother = 1', "other: Path is needed, found 1"),
        ('out = "a"\nparts = "b"', "parts: a list is needed, found 'b'"),
        ('out = "a"\nparts = ["b", 1]', "parts: Path is needed, found 1"),
        ('out = "a"\ninner = 3', "inner: a table is needed, found 3"),
        ('out = "a"\ninner = {size = true}', "inner: size: int is needed, found True"),
        ('out = "a"\ninner = {sizes = 1}', "inner: unknown setting 'sizes'; known are size"),
        ('out = "a"\n[[many]]\nsize = 1.5', "many: size: int is needed, found 1.5"),
        ("out = ", "not TOML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'settings.toml'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(No such file"):
        load_config(tmp_path / "none.toml", Outer)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, Outer)
    (tmp_path / "bytes.toml").write_bytes(b'out = "\xff"')
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(tmp_path / "bytes.toml", Outer)


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("retriever", RetrieverTraining),
        ("reranker", RerankerTraining),
        ("calibration", CalibrationTraining),
        ("detector", DetectorConfig),
    ],
)
def test_the_recipes_fit_their_settings(root: Path, recipe: str, kind: type[object]) -> None:
    path = root / "kb" / "recipe" / f"{recipe}.toml"
    made: object = load_config(path, kind)
    for key, value in tomllib.loads(path.read_text(encoding="utf-8")).items():
        if isinstance(value, int | float):
            assert getattr(made, key) == value


def test_a_mapping_serves_as_well() -> None:
    assert from_mapping(Inner, {"size": 4}, where="here") == Inner(4)
    with pytest.raises(ConfigError, match=r"^here: unknown setting 'a'"):
        from_mapping(Inner, {"a": 4}, where="here")


def test_changes_take_the_place_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('out = "a"\nname = "b"\n[inner]\nsize = 1\n', encoding="utf-8")
    changes = ("out=/x/y z", "rate = 2", "inner.lengths=[5]", "on=false", 'name="7"', "rate=3.5")
    assert load_config(path, Outer, changes=changes) == Outer(
        out=Path("/x/y z"), name="7", rate=3.5, on=False, inner=Inner(size=1, lengths=(5,))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "write KEY=VALUE"),
        ("=3", "write KEY=VALUE"),
        ("a b=3", "write KEY=VALUE"),
        ("on=1\nrate=2", "bool is needed"),
        ("colour=1", "unknown setting 'colour'"),
        ("rate=fast", "float is needed, found 'fast'"),
        ("rate.slow=1", "float is needed"),
        ("inner=3", "a table is needed"),
    ],
)
def test_changes_that_do_not_fit(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('out = "a"\nrate = 1.0\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path, Outer, changes=(change,))
