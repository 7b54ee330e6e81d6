"""Pictures of studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def figure(path: Path, *, size: tuple[float, float]) -> Iterator[Any]:
    """A matplotlib figure that is written as SVG at the end, the same bytes for the same data."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "entlink", "svg.fonttype": "none"}):
        drawn = Figure(figsize=size, layout="constrained")
        yield drawn
        drawn.savefig(path, format="svg", metadata={"Date": None})
