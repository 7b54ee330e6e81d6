"""A bundle: one folder with everything a linker needs, each file with its checksum.

    manifest.json   format, version of entlink, and for each file its size and SHA-256
    kb.sqlite       the knowledge base
    retriever/      the dual encoder
    reranker/       the cross-encoder, a Hugging Face folder
    detector/       the recogniser, a spaCy pipeline
    decision.json   calibration and thresholds
    decision.unread.json   those for linking without the reranker, if they were fitted
    index.json      how vectors are searched, if not one by one (docs/scale.md)
    MODEL_CARD.md   what it was trained on and how good it is

Vectors and index follow from these; they are made at first use and kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import entlink
from entlink.errors import BundleError, InputError, reason
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.index_config import CONFIG_NAME, NAMES, IndexConfig

log = logging.getLogger(__name__)

FORMAT = 1
BUILTIN = "builtin"
MANIFEST = "manifest.json"
DECISION = "decision.json"
UNREAD = "decision.unread.json"
PARTS = ("retriever", "reranker", "detector", DECISION)
_REQUIRED = ("kb.sqlite", "retriever/config.json", "retriever/weights.safetensors", DECISION)
_OPTIONAL = ("reranker", "detector")
_LARGE = 64 << 20  # bytes; a file of so many is read once, and again only if it is another one


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle whose files are as the manifest says."""

    path: Path
    files: Mapping[str, str]  # relative path -> SHA-256

    @property
    def digest(self) -> str:
        """SHA-256 over everything in it."""
        listing = "".join(f"{name} {digest}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(listing.encode()).hexdigest()

    @property
    def index_digest(self) -> str:
        """SHA-256 over what the vectors depend on: the KB and the retriever."""
        names = [n for n in sorted(self.files) if n == "kb.sqlite" or n.startswith("retriever/")]
        listing = "".join(f"{name} {self.files[name]}\n" for name in names)
        return hashlib.sha256(listing.encode()).hexdigest()

    @property
    def edits(self) -> Path | None:
        """The folder beside it for edits of its knowledge base; None: it is the built-in one."""
        path = self.path.resolve()
        return None if path == builtin_path().resolve() else path.with_name(f"{path.name}.edits")

    def has(self, name: str) -> bool:
        """Is there such a file, or a folder of files?"""
        return any(file == name or file.startswith(f"{name}/") for file in self.files)


def builtin_path() -> Path:
    """Where the built-in bundle lies: in the installed package, or in the checkout."""
    package = Path(entlink.__file__).parent
    installed = package / "_builtin"
    return installed if installed.is_dir() else package.parent / "kb" / "builtin"


def open_bundle(name_or_path: str | Path | None = None) -> Bundle:
    """The built-in bundle (None or "builtin") or the one in a folder, every file checked.

    Raises BundleError where there is none, where a file is missing or changed, or where a newer
    version of entlink made it.
    """
    builtin = name_or_path is None or name_or_path == BUILTIN
    path = builtin_path() if builtin else Path(str(name_or_path))
    if not (path / MANIFEST).is_file():
        raise BundleError(
            f"{name_or_path or path}: no bundle of this name and no folder with a {MANIFEST}; "
            f"use {BUILTIN!r}, or make one with 'entlink bundle create'"
        )
    return verify_bundle(path, afresh=False)


def verify_bundle(path: Path, *, afresh: bool = True) -> Bundle:
    """Compare every file with the manifest; returns the bundle or raises BundleError.

    Unless ``afresh``, large files that were compared before, and have not been touched since, are
    not read again.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        version = manifest["format"]
        if isinstance(version, int) and version > FORMAT:  # the rest may look different there
            raise BundleError(
                f"{path}: made by a newer entlink ({manifest.get('entlink')}, bundle format "
                f"{version}; this one reads {FORMAT}); upgrade entlink"
            )
        if version != FORMAT:
            raise ValueError(f"its format is {version!r}")
        files = {str(n): (int(f["bytes"]), str(f["sha256"])) for n, f in manifest["files"].items()}
        if outside := [n for n in files if PurePosixPath(n).is_absolute() or ".." in n.split("/")]:
            raise ValueError(f"{outside[0]!r} lies outside the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{path / MANIFEST}: not a bundle's manifest ({reason(error)}); make the bundle again"
        ) from error
    for name in _REQUIRED:
        if name not in files:
            raise BundleError(f"{path}: its manifest lacks {name}; make the bundle again")
    for name, (n_bytes, digest) in files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file}: missing; copy the bundle again")
        if file.stat().st_size != n_bytes or _digest(file, afresh) != digest:
            raise BundleError(f"{file}: not what the bundle's manifest says; copy the bundle again")
    return Bundle(path, {name: digest for name, (_, digest) in files.items()})


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(file: Path, afresh: bool) -> str:
    """SHA-256 of a file; of a large one it is noted in the cache, for its size and times."""
    found = file.stat()
    if found.st_size < _LARGE or afresh:
        return file_digest(file)
    state = f"{file.resolve()}\n{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    noted = cache_dir() / "checked" / hashlib.sha256(os.fsencode(state)).hexdigest()
    try:
        return noted.read_text(encoding="ascii")
    except (OSError, ValueError):
        digest = file_digest(file)
    noted.parent.mkdir(exist_ok=True)
    temporary = noted.with_name(f"{noted.name}.{os.getpid()}.tmp")
    temporary.write_text(digest, encoding="ascii")
    os.replace(temporary, noted)
    return digest


def write_manifest(path: Path) -> Bundle:
    """List every file in the folder with size and checksum; makes the folder a bundle."""
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and file.name != MANIFEST and not file.name.startswith(".")
    )
    files = {
        name: {"bytes": (path / name).stat().st_size, "sha256": file_digest(path / name)}
        for name in names
    }
    manifest = {"format": FORMAT, "entlink": entlink.__version__, "files": files}
    temporary = path / f".{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path / MANIFEST)
    return verify_bundle(path)


def create_bundle(
    kb: Path,
    like: str | Path | None,
    out: Path,
    *,
    index: IndexConfig | None = None,
    parts: Mapping[str, Path | None] | None = None,
) -> Bundle:
    """A bundle of this knowledge base and that bundle's models; nothing is trained.

    ``index`` is how its vectors are to be searched, if not as in that bundle. ``parts`` (see
    ``PARTS``) take the place of that bundle's; a None leaves one out. ``out`` must not exist yet;
    it appears whole or not at all.
    """
    base = open_bundle(like)
    parts = _with_decision(base, _checked(parts or {}))
    if index is not None and index.factory not in NAMES:
        from entlink.retrieve.index import check_factory

        sizes = json.loads((base.path / "retriever/config.json").read_text(encoding="utf-8"))
        check_factory(index.factory, dim=int(sizes["vector"]))
    source = KnowledgeBase.open(kb).path
    if out.exists():
        raise InputError(f"{out}: exists already; name a folder that does not")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder) / "bundle"
        made.mkdir()
        _copy_parts(base, parts, made)
        shutil.copyfile(source, made / "kb.sqlite")
        if index is not None:
            (made / CONFIG_NAME).unlink(missing_ok=True)
            if not index.is_exact:
                (made / CONFIG_NAME).write_text(index.dump(), encoding="utf-8")
        write_manifest(made)
        os.replace(made, out)
    return verify_bundle(out)


def _copy_parts(base: Bundle, parts: Mapping[str, Path | None], made: Path) -> None:
    """All but the knowledge base, from ``base`` unless it is among ``parts``."""
    sources = {n: base.path / n for n in base.files if n.split("/")[0] not in parts}
    for top, part in parts.items():
        if part is not None and part.is_dir():
            sources |= {f"{top}/{f.relative_to(part)}": f for f in part.rglob("*") if f.is_file()}
        elif part is not None:
            sources[top] = part
    for name, source in sources.items():
        if name not in ("kb.sqlite", "MODEL_CARD.md"):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, made / name)


def _with_decision(base: Bundle, parts: Mapping[str, Path | None]) -> Mapping[str, Path | None]:
    """The parts with what then is the decision of a bundle that does not read."""
    if "reranker" in parts and parts["reranker"] is None:
        if DECISION not in parts and base.has(UNREAD):
            return {**parts, DECISION: base.path / UNREAD, UNREAD: None}
        return {**parts, UNREAD: None}
    return {**parts, UNREAD: None} if "retriever" in parts else parts


def _checked(parts: Mapping[str, Path | None]) -> Mapping[str, Path | None]:
    """They exist, and the decision is one for the models; InputError if not."""
    for name, part in parts.items():
        if name not in PARTS:
            raise InputError(f"{name!r} is no part of a bundle; there are {', '.join(PARTS)}")
        if part is None and name not in _OPTIONAL:
            raise InputError(f"a bundle needs its {name}; leave out {' or '.join(_OPTIONAL)} only")
        if part is not None and not (part.is_file() if "." in name else part.is_dir()):
            raise InputError(f"{part}: no such {'file' if '.' in name else 'folder'}; check it")
    for name in ("retriever", "reranker"):
        if parts.get(name) and not parts.get(DECISION):
            raise InputError(
                f"a decision is fitted for one {name}; give the decision of this one too, which "
                "'entlink train calibration' makes"
            )
    return parts


def cache_dir() -> Path:
    """The folder for what can be made again: $ENTLINK_CACHE, else the platform's habit.

    Where that cannot be written (a read-only home), one of this user's under the temporary folder.
    """
    from platformdirs import user_cache_path

    chosen = os.environ.get("ENTLINK_CACHE")
    wanted = Path(chosen) if chosen else user_cache_path("entlink", appauthor=False)
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    for folder in (wanted, Path(tempfile.gettempdir()) / f"entlink-{user}"):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            log.info("%s: cannot be written (%s); trying another cache folder", folder, error)
    raise BundleError(
        f"{wanted}: the cache cannot be written; set ENTLINK_CACHE to a folder that can"
    )
