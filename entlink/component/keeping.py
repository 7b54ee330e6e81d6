"""What both components share: a bundle that is opened once, and a life on disk.

The config, which spaCy keeps, says which bundle. A component writes beside it only what the config
does not say: settings that were changed since, and, if it carries its bundle, a copy of that.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import orjson
import srsly  # type: ignore[import-untyped]
from spacy.tokens import Doc
from spacy.util import raise_error

from entlink.bundle import MANIFEST, Bundle, open_bundle, verify_bundle
from entlink.errors import BundleError, InputError

_SETTINGS: Final = "settings.json"
_BUNDLE: Final = "bundle"
_LIVE: Final = ("_loaded", "_tuning")  # what no other process can use

ErrorHandler = Callable[[str, Any, list[Doc], Exception], None]


class BundlePipe:
    """A component that has a bundle."""

    SETTINGS: ClassVar[tuple[str, ...]]  # names of the attributes that the config gives
    carry_bundle: bool

    def __init__(self, *, name: str, bundle: str | None) -> None:
        self.name = name
        self.bundle = bundle
        self._error_handler: ErrorHandler = raise_error
        self._opened: Bundle | None = None
        self._own = False  # is the bundle our own, rather than the one that the config names?
        self._configured: dict[str, Any] = {}

    # -- the bundle ----------------------------------------------------------------------------

    @property
    def opened(self) -> Bundle:
        """The bundle, its files checked once; BundleError if there is none."""
        if self._opened is None:
            self._opened = open_bundle(self.bundle)
        return self._opened

    def _begin(self, *, loading: bool) -> None:
        """At the end of making one: report a missing bundle now rather than at the first doc.

        A pipeline that carries its bundle may be loaded where the original is not.
        """
        self._configured = self._settings()
        try:
            self.opened  # noqa: B018
        except BundleError as error:
            if not self.carry_bundle:
                raise
            if not loading:
                warnings.warn(f"component {self.name!r}: {error}", stacklevel=3)

    def _settings(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in self.SETTINGS}

    def _check(self) -> None:
        """Raises ConfigError, in one sentence, for a setting that cannot work."""
        raise NotImplementedError

    # -- docs ----------------------------------------------------------------------------------

    def _process(self, docs: Sequence[Doc], **options: Any) -> None:
        raise NotImplementedError

    def __call__(self, doc: Doc, **options: Any) -> Doc:
        self._process([doc], **options)
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 64, **options: Any) -> Iterator[Doc]:
        """Take docs in batches, in order; all of a batch go through the models together.

        Where a batch fails, its docs are tried one by one, and those that fail go to the error
        handler (see `nlp.set_error_handler`), which by default raises.
        """
        waiting = iter(stream)
        while docs := list(islice(waiting, batch_size)):
            try:
                self._process(docs, **options)
            except Exception as error:
                if self._error_handler is raise_error:
                    raise
                docs = self._one_by_one(docs, error, options)
            yield from docs

    def _one_by_one(self, docs: list[Doc], error: Exception, options: dict[str, Any]) -> list[Doc]:
        if len(docs) == 1:
            self._error_handler(self.name, self, docs, error)
            return []
        done = []
        for doc in docs:
            try:
                self._process([doc], **options)
            except Exception as alone:
                self._error_handler(self.name, self, [doc], alone)
            else:
                done.append(doc)
        return done

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """What is called with (name, component, docs, error) for docs that fail."""
        self._error_handler = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """What `set_error_handler` set."""
        return self._error_handler

    # -- disk ----------------------------------------------------------------------------------

    def _write_more(self, folder: Path) -> None:
        """Write what a subclass has to keep beside settings and bundle."""

    def _read_more(self, folder: Path) -> None:
        """Read what `_write_more` wrote."""

    def _write_bundle(self, folder: Path) -> None:
        """Write the bundle into an empty folder."""
        for name in (*self.opened.files, MANIFEST):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.opened.path / name, folder / name)
        verify_bundle(folder)

    def _carries(self) -> bool:
        return self.carry_bundle or self._own

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Write into a folder what the config does not say; see the module's docstring."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        changed = {k: v for k, v in self._settings().items() if v != self._configured.get(k)}
        kept = {"changed": changed, "carries_bundle": self._carries()}
        target = folder / _BUNDLE
        if not self._carries():
            shutil.rmtree(target, ignore_errors=True)
        elif self._has_news() or self.opened.path.resolve() != target.resolve():
            with tempfile.TemporaryDirectory(prefix=".bundle.", dir=folder) as made:
                fresh = Path(made) / _BUNDLE
                fresh.mkdir()
                self._write_bundle(fresh)
                shutil.rmtree(target, ignore_errors=True)
                fresh.rename(target)
        self._write_more(folder)
        (folder / _SETTINGS).write_bytes(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS))

    def _has_news(self) -> bool:
        """Has it learned anything that is not in the opened bundle?"""
        return False

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> Self:
        """Take over what `to_disk` wrote; a bundle that it carries is used where it lies."""
        folder = Path(path)
        try:
            kept = orjson.loads((folder / _SETTINGS).read_bytes())
            changed, carries = dict(kept["changed"]), bool(kept["carries_bundle"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / _SETTINGS}: cannot be read as entlink's settings; save the pipeline "
                "again with nlp.to_disk"
            ) from error
        before = self.bundle
        for key in changed.keys() & set(self.SETTINGS):
            setattr(self, key, changed[key])
        self._check()
        for name in _LIVE:
            setattr(self, name, None)
        if carries:
            self._opened, self._own = verify_bundle(folder / _BUNDLE), True
        elif self._own or self.bundle != before:
            self._opened, self._own = None, False
        self.opened  # noqa: B018
        self._read_more(folder)
        return self

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """All files that `to_disk` writes, as one string of bytes."""
        with tempfile.TemporaryDirectory() as made:
            self.to_disk(made)
            files = {
                file.relative_to(made).as_posix(): file.read_bytes()
                for file in sorted(Path(made).rglob("*"))
                if file.is_file()
            }
        return bytes(srsly.msgpack_dumps(files))

    def from_bytes(self, data: bytes, *, exclude: Sequence[str] = ()) -> Self:
        """Take over what `to_bytes` gave; a bundle in it lies in a temporary folder from then."""
        folder = Path(tempfile.mkdtemp(prefix="entlink-"))
        weakref.finalize(self, _remove, folder, os.getpid())
        for name, content in srsly.msgpack_loads(data).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        self.from_disk(folder)
        self._unpacked = True
        return self

    _unpacked = False  # is its bundle in a temporary folder, which other machines do not have?

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | dict.fromkeys(_LIVE)
        if self._has_news() or self._unpacked:
            state["_packed"] = self.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("_packed", None)
        self.__dict__.update(state)
        if packed is not None:
            self.from_bytes(packed)


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked process must leave alone what its parent still uses
        shutil.rmtree(folder, ignore_errors=True)
