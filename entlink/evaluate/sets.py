"""What is measured on: files of texts with gold mentions, and candidates given for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from entlink.bundle import file_digest
from entlink.errors import InputError
from entlink.evaluate.formats import read_corpus
from entlink.evaluate.formats.files import read_objects
from entlink.evaluate.formats.gold import GoldDocument, GoldMention
from entlink.records import NIL

_SPLITS = ("train", "train_restricted", "dev", "valid", "test")
Span = tuple[str, int, int]  # document, start, end
Candidates = Mapping[Span, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class GoldSet:
    """One file of texts with gold mentions."""

    name: str
    sha256: str  # of the file
    documents: tuple[GoldDocument, ...]
    split: str = ""  # train, dev or test, if the file's path says so

    def mentions(self) -> Iterator[tuple[GoldDocument, GoldMention, str]]:
        """(document, mention, gold id or NIL) of all mentions that have an answer, in order."""
        for document in self.documents:
            for mention in document.mentions:
                if mention.entity is not None:
                    yield document, mention, mention.entity


def read_sets(paths: Sequence[Path], *, format: str | None = None) -> list[GoldSet]:
    """Each file as one set, named by its stem, or by its path where two have the same stem.

    Raises InputError, one sentence, for a file that cannot be measured on.
    """
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise InputError(f"{twice}: given twice; a set counts once, so name each file once")
    stems = [_stem(path) for path in paths]
    return [
        _read_set(path, stem if stems.count(stem) == 1 else str(path), format)
        for path, stem in zip(paths, stems, strict=True)
    ]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def _split(path: Path) -> str:
    """The file's name or that of its folder, if it is that of a split."""
    return next((name for name in (_stem(path), path.parent.name) if name in _SPLITS), "")


def _read_set(path: Path, name: str, format: str | None) -> GoldSet:
    documents = tuple(read_corpus(path, format))
    for document in documents:
        spans: set[tuple[int, int]] = set()
        for m in document.mentions:
            if (m.start, m.end) in spans:
                raise InputError(
                    f"{path}: document {document.id!r} has two mentions at {m.start} to {m.end}; "
                    "a mention has one answer, so keep one of them"
                )
            spans.add((m.start, m.end))
    digest = file_digest(path) if path.is_file() else ""  # a folder of files has none
    found = GoldSet(name, digest, documents, _split(path))
    if next(found.mentions(), None) is None:
        raise InputError(f"{path}: no mention with an entity; give a file with gold links")
    return found


def check_reachable(gold: GoldSet, known: Collection[str], kb: str) -> None:
    """Raise InputError where a set has gold entities and the KB knows none of them."""
    ids = {entity for _, _, entity in gold.mentions()} - {NIL}
    if ids and not any(id in known for id in ids):
        raise InputError(
            f"{gold.name}: none of its {len(ids)} gold entities ({min(ids)}, ...) is in the "
            f"knowledge base {kb}; use the ids of that KB, or a bundle of another with --bundle"
        )


def read_candidates(path: Path, sets: Sequence[GoldSet]) -> Candidates:
    """The lists of ``{"doc", "start", "end", "candidates": [ids]}`` lines.

    Raises InputError for a bad line, for two lists of one span, and if no list fits the sets.
    """
    lists: dict[Span, tuple[str, ...]] = {}
    for where, value in read_objects(path):
        doc, start, end, ids = (value.get(key) for key in ("doc", "start", "end", "candidates"))
        if not (isinstance(doc, str) and type(start) is type(end) is int and _strings(ids)):
            raise InputError(
                f"{where}: no list of candidates; write "
                '{"doc": "d1", "start": 0, "end": 5, "candidates": ["Q90"]}'
            )
        assert isinstance(start, int) and isinstance(end, int) and isinstance(ids, list)
        if (doc, start, end) in lists:
            raise InputError(f"{where}: {doc!r} {start} to {end} has a list already; keep one")
        lists[doc, start, end] = tuple(dict.fromkeys(ids))
    if not any((d.id, m.start, m.end) in lists for gold in sets for d, m, _ in gold.mentions()):
        raise InputError(
            f"{path}: none of its {len(lists)} lists is for a gold mention of "
            f"{', '.join(gold.name for gold in sets)}; doc, start and end must be as there"
        )
    return lists


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
