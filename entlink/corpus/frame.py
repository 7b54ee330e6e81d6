"""Links of a pandas column of texts, as another frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entlink.corpus.items import Item, batches
from entlink.corpus.shards import LinksTexts, link_batch
from entlink.errors import InputError
from entlink.records import Document

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("row", "start", "end", "text", "label", "entity", "name", "probability", "candidates")


def link_frame(
    frame: pd.DataFrame,
    *,
    text: str = "text",
    linker: LinksTexts | None = None,
    bundle: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    n_candidates: int = 10,
) -> pd.DataFrame:
    """The mentions in a frame's column of texts and their links, one row a mention.

    Column ``row`` is the index of the text's row in ``frame``, so that ``links.merge(frame,
    left_on="row", right_index=True, suffixes=("", "_document"))`` has both; ``candidates`` is a
    list of (id, name, probability). Cells that hold no string have no mentions. Raises InputError
    if there is no such column, or for the first text that cannot be linked.
    """
    import pandas as pd

    if text not in frame.columns:
        columns = ", ".join(map(repr, frame.columns))
        raise InputError(f"the frame has no column {text!r}; it has {columns}")
    if linker is None:
        from entlink.linker import Linker

        linker = Linker.load(bundle, device=device, threads=threads)
    rows = list(_rows(frame, text, linker, n_candidates))
    links = pd.DataFrame(rows, columns=list(_COLUMNS))
    types = {"start": "int64", "end": "int64", "probability": "float64"}
    return links.astype(types) if not rows else links


def _rows(
    frame: pd.DataFrame, text: str, linker: LinksTexts, n_candidates: int
) -> Iterator[tuple[Any, ...]]:
    labels = list(frame.index)
    items = (
        Item(Document(str(place), value), where=f"row {labels[place]!r}")
        for place, value in enumerate(frame[text].tolist())
        if isinstance(value, str)
    )
    for batch in batches(items):
        for result in link_batch(linker, batch, n_candidates=n_candidates):
            if not isinstance(result, tuple):
                raise InputError(result.reason)
            item, document = result
            for link in document.links:
                yield (
                    labels[int(item.document.id)],
                    link.mention.start,
                    link.mention.end,
                    link.mention.text,
                    link.mention.label,
                    link.entity_id,
                    link.name,
                    link.probability,
                    [(c.entity_id, c.name, c.probability) for c in link.candidates],
                )
