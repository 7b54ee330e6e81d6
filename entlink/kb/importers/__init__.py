"""Readers of entity files, one format a module; each has ``read(path, settings, on_bad=...)``."""

from __future__ import annotations

import importlib
from pathlib import Path

from entlink.errors import InputError
from entlink.kb.importers.records import OnBad, Records
from entlink.kb.importers.settings import DEFAULT, Settings

_HERE = "entlink.kb.importers"
FORMATS = {  # name: the module that reads it
    "jsonl": f"{_HERE}.jsonl",
    "csv": f"{_HERE}.table",
    "tsv": f"{_HERE}.table",
    "excel": f"{_HERE}.excel",
    "spacy": f"{_HERE}.spacy_kb",
    "obo": f"{_HERE}.obo",
    "owl": f"{_HERE}.owl",
    "skos": f"{_HERE}.skos",
    "terms": f"{_HERE}.terms",
    "wikidata": f"{_HERE}.wikidata",
    "wikipedia": f"{_HERE}.wikipedia",
}
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".obo": "obo",
    ".owl": "owl",
    ".ttl": "skos",
    ".rdf": "skos",
    ".nt": "skos",
    ".json": "wikidata",
    ".xml": "wikipedia",
}
_PACKED = (".gz", ".bz2", ".xz")


def guess_format(path: Path) -> str:
    """The format that a file's name tells; InputError where it tells none."""
    if (path / "contents").is_file():
        return "spacy"
    name = Path(path.stem) if path.suffix.lower() in _PACKED else path
    found = _SUFFIXES.get(name.suffix.lower())
    if found is None:
        raise InputError(
            f"{path}: its name does not tell its format; say --format {'|'.join(sorted(FORMATS))}"
        )
    return found


def read_source(
    path: Path,
    format: str | None = None,
    settings: Settings = DEFAULT,
    *,
    on_bad: OnBad | None = None,
) -> Records:
    """The records of one file, in the named format or in the one that its name tells."""
    module = importlib.import_module(FORMATS[format or guess_format(path)])
    records: Records = module.read(path, settings, on_bad=on_bad)
    return records


def needs(package: str, what: str) -> InputError:
    """The error to raise where an optional package is missing."""
    return InputError(f"reading {what} needs {package}; pip install 'entlink[kb]'")
