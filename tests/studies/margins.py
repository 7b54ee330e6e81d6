"""Does distillation part the true entity from its rivals? Histograms of normalised margins.

    python -m tests.studies.margins --kb work/kb_described --teacher work/reranker \\
        --student "not distilled=work/retriever" --student "M3SE=work/distilled" \\
        --out out/distil-margins FILE.jsonl.gz ...

Each mention's candidates are those that the first student finds, and the true entity. A model's
scores of them are scaled to 0 (the least) to 1 (the greatest); a margin is the true entity's scaled
score less a rival's, so from -1 to 1, whatever the model's own scale (after Menon et al. 2022).
Writes OUT.md, OUT.json and OUT.svg.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError, InputError
from entlink.inputs import mention_input, pair_context
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder
from entlink.rerank.reading import read_candidates
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.data import Example, read_examples
from tests.studies.drawing import figure

BINS = np.linspace(-1.0, 1.0, 41)
Floats = NDArray[np.float64]


def margins(scores: NDArray[np.float32], true: int) -> Floats:
    """(k,) scores of one mention's candidates -> (k - 1,) margins of the true one; 0 if all tie."""
    values = np.asarray(scores, dtype=np.float64)
    spread = values.max() - values.min()
    scaled = (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
    return np.asarray(np.delete(scaled[true] - scaled, true))


def figures(found: Sequence[Floats]) -> dict[str, float]:
    """Over all pairs: mean and share above zero; over mentions: the true one is first."""
    pairs = np.concatenate(found)
    return {
        "n_mentions": float(len(found)),
        "n_pairs": float(len(pairs)),
        "mean_margin": float(pairs.mean()),
        "median_margin": float(np.median(pairs)),
        "above_zero": float((pairs > 0).mean()),
        "above_half": float((pairs > 0.5).mean()),
        "true_is_first": float(np.mean([(some > 0).all() for some in found])),
    }


def candidates_of(
    retriever: Retriever, examples: Sequence[Example], gold: Mapping[str, int], *, k: int
) -> list[NDArray[np.int64]]:
    """Rows of each mention's candidates: the true entity first, then what is found, k in all."""
    inputs = [mention_input(e.text, e.start, e.end, label=e.label) for e in examples]
    rows = []
    for e, found in zip(examples, retriever.retrieve(inputs, k=k), strict=True):
        others = found.rows[found.rows != gold[e.gold]][: k - 1]
        rows.append(np.asarray([gold[e.gold], *others], dtype=np.int64))
    return rows


def student_scores(
    retriever: Retriever, examples: Sequence[Example], rows: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float32]]:
    """Each candidate's best cosine, in the order of ``rows``."""
    inputs = [mention_input(e.text, e.start, e.end, label=e.label) for e in examples]
    scores = []
    for wanted, found in zip(rows, retriever.rank(inputs, rows), strict=True):
        by_row = dict(zip(found.rows.tolist(), found.cosines.tolist(), strict=True))
        scores.append(np.asarray([by_row[row] for row in wanted.tolist()], dtype=np.float32))
    return scores


def study(
    kb: KnowledgeBase,
    teacher: CrossEncoder,
    students: Mapping[str, Path],
    examples: Sequence[Example],
    *,
    k: int,
) -> dict[str, list[Floats]]:
    """The margins of each mention, for the teacher and every student."""
    gold = kb.rows_of(sorted({e.gold for e in examples}))
    examples = [e for e in examples if e.gold in gold]
    found: dict[str, list[NDArray[np.float32]]] = {}
    rows: list[NDArray[np.int64]] | None = None
    for name, folder in students.items():
        encoder = DualEncoder.load(folder)
        retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
        if rows is None:
            rows = candidates_of(retriever, examples, gold, k=k)
        found[name] = student_scores(retriever, examples, rows)
    if not rows:
        raise InputError("no mention has its entity in the KB; give other files")
    contexts = [pair_context(e.text, e.start, e.end) for e in examples]
    every = {"teacher": read_candidates(teacher, kb, contexts, rows), **found}
    return {
        name: [margins(some, 0) for some in scores if len(some) > 1]
        for name, scores in every.items()
    }


def write(found: Mapping[str, Sequence[Floats]], out: Path) -> str:
    """Table, JSON and picture; returns the table."""
    values = {name: figures(some) for name, some in found.items()}
    columns = [name for name in next(iter(values.values())) if not name.startswith("n_")]
    n = next(iter(values.values()))
    lines = ["| model | " + " | ".join(c.replace("_", " ") for c in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, row in values.items():
        lines.append("| " + " | ".join([name, *(f"{row[c]:.3f}" for c in columns)]) + " |")
    lines += ["", f"{n['n_mentions']:,.0f} mentions, {n['n_pairs']:,.0f} pairs."]
    text = "\n".join(lines) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    counts = {name: histogram(some).tolist() for name, some in found.items()}
    raw = {"bins": BINS.tolist(), "figures": values, "shares": counts}
    out.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    with figure(out.with_suffix(".svg"), size=(8, 1.0 + 1.6 * len(found))) as drawn:
        panels = drawn.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (name, some) in zip(panels, found.items(), strict=True):
            axes.bar(BINS[:-1], histogram(some), width=np.diff(BINS), align="edge", color="#2980b9")
            axes.axvline(0.0, color="#2c3e50", linewidth=0.8)
            mean = values[name]["mean_margin"]
            axes.set_title(f"{name}: mean {mean:.2f}", fontsize=9, loc="left")
        panels[-1].set_xlabel("margin of the true entity over a rival, each list scaled to 0 to 1")
    return text


def histogram(found: Sequence[Floats]) -> Floats:
    """Share of all pairs in each bin."""
    counts, _ = np.histogram(np.concatenate(found), bins=BINS)
    return np.asarray(counts / max(1, counts.sum()))


def named(value: str) -> tuple[str, Path]:
    """NAME=DIR"""
    name, equals, folder = value.partition("=")
    if not (name and equals and folder):
        raise ConfigError(f"--student is {value!r}; write NAME=DIR")
    return name, Path(folder)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--kb", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--teacher", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--student", "students", multiple=True, required=True, metavar="NAME=DIR")
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--mentions", "n", default=500, show_default=True, type=click.IntRange(min=1))
@click.option("--candidates", "k", default=20, show_default=True, type=click.IntRange(min=2))
def main(
    files: tuple[Path, ...],
    kb: Path,
    teacher: Path,
    students: tuple[str, ...],
    out: Path,
    n: int,
    k: int,
) -> None:
    """Margins of the teacher and the students on mentions of FILES."""
    opened = KnowledgeBase.open(kb)
    examples = read_examples(files)
    known = opened.rows_of(sorted({e.gold for e in examples}))
    examples = [e for e in examples if e.gold in known]
    examples = random.Random(0).sample(examples, min(n, len(examples)))
    folders = dict(named(value) for value in students)
    click.echo(write(study(opened, CrossEncoder.load(teacher), folders, examples, k=k), out))


if __name__ == "__main__":
    main()
