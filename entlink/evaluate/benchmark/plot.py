"""The picture: accuracy against mentions per second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entlink.errors import ConfigError
from entlink.evaluate.benchmark.peer import Kind
from entlink.evaluate.formats.files import replacing

_OURS, _OTHERS = "#c0392b", "#34495e"


def write_plot(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Every timed system that was given mentions as a point; the same rows give the same bytes.

    Raises ConfigError if matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "the plot needs matplotlib, which is not installed; pip install 'entlink[peers]'"
        ) from error
    shown = [r for r in rows if r["mentions_per_second"] and r["kind"] != Kind.FINDS.value]
    with mpl.rc_context({"svg.hashsalt": "entlink", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for r in shown:
            _point(axes, r)
        axes.set_xscale("log")
        axes.set_xlabel("mentions per second")
        axes.set_ylabel("accuracy, mean over the sets")
        axes.set_title(title, fontsize=10)
        axes.margins(x=0.2, y=0.1)
        axes.grid(visible=True, which="major", alpha=0.3)
        with replacing(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})


def _point(axes: Any, r: Mapping[str, Any]) -> None:
    x, y = r["mentions_per_second"], r["macro"]["accuracy"]
    low, high = r["macro"]["interval"]
    colour = _OURS if r["name"].startswith("entlink") else _OTHERS
    is_sampled = r["kind"] == Kind.SAMPLED.value
    axes.errorbar(
        [x],
        [y],
        yerr=[[max(0.0, y - low)], [max(0.0, high - y)]],
        fmt="o",
        color=colour,
        markerfacecolor="white" if is_sampled else colour,
        elinewidth=0.8,
    )
    label = r["name"] + (" (sample)" if is_sampled else "")
    axes.annotate(
        label, (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8, color=colour
    )
