"""What a user may choose about reading: one record for all formats, each takes what concerns it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to read sources; the defaults suit most."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tables: field: columns
    header: bool = True  # tables: the first row names the columns
    delimiter: str | None = None  # tables; None: told from the file
    encoding: str | None = None  # tables; None: UTF-8, or UTF-16 where its mark says so
    row_ids: str | None = ""  # tables without ids: put before a row's number; None: an error
    language: str = "en"  # of names and descriptions, where a source has several
    min_sitelinks: int = 0  # Wikidata: articles about the item, in all languages
    mentions: Path | None = None  # Wikipedia: where to write paragraphs with their links
    tell: Callable[[str], None] = logger.info  # told how a file was understood


DEFAULT = Settings()
