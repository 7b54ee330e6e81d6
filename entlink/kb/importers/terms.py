"""Term dictionaries, an entity a line: ``id|other ids||name|synonym|synonym`` (MEDIC and alike)."""

from __future__ import annotations

from pathlib import Path

from entlink.kb.importers.files import encoding_of, read_lines, recoded
from entlink.kb.importers.records import OnBad, Records, Redirect, bad
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The entities of a dictionary; the first name is the entity's own, and so is the first id."""
    encoding = encoding_of(settings.encoding or "utf-8")
    lines = recoded(path, encoding)
    if lines is not None or encoding == "utf-8":
        encoding = "utf-8-sig"
    for where, line in read_lines(path) if lines is None else lines:
        try:
            text = line.decode(encoding).strip()
        except UnicodeDecodeError as error:
            bad(f"{where}: not {error.encoding} ({error.reason}); save it as UTF-8", on_bad)
            continue
        if not text:
            continue
        before, bars, after = text.partition("||")
        ids = [id.strip() for id in before.split("|") if id.strip()]
        names = list(dict.fromkeys(name.strip() for name in after.split("|") if name.strip()))
        if not (bars and ids and names):
            bad(f"{where}: not 'id||name|other name' but {text[:80]!r}", on_bad)
            continue
        yield where, Entity(ids[0], names[0], tuple(names[1:]))
        for other in ids[1:]:
            yield where, Redirect(other, ids[0])
