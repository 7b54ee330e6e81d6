"""A study of the retriever as a page in Markdown, as JSON, and its curves as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from entlink.evaluate.benchmark.machine import machine
from tests.studies.drawing import figure
from tests.studies.retrieval_measure import K, Measured, pooled
from tests.studies.retrieval_rows import Done, Study, write_json

_KS = (1, 10, 100)
_CURVE = (1, 2, 3, 5, 10, 20, 30, 50, 64, 100)


def page(study: Study, done: Sequence[Done]) -> str:
    """All tables."""
    found = machine()
    parts = [
        f"# {study.title}\n",
        f"Recall@k over gold mentions whose entity is in the knowledge base, pooled over "
        f"{', '.join(path.name.split('.')[0] for path in study.sets)}"
        f"{f' (the first {study.limit} of each)' if study.limit else ''}; "
        f"{found['processor']}, {found['cores']} cores.\n",
        *_tables(study, done),
    ]
    return "\n".join(parts)


def write_page(study: Study, done: Sequence[Done], out: Path) -> None:
    """Write study.md, study.json and, with matplotlib, study.svg."""
    temporary = out / ".study.md.tmp"
    temporary.write_text(page(study, done), encoding="utf-8")
    os.replace(temporary, out / "study.md")
    rows = [asdict(one) for one in done]
    write_json(out / "study.json", {"title": study.title, "machine": machine(), "rows": rows})
    try:
        _plot(study, done, out / "study.svg")
    except ImportError:
        return


def _tables(study: Study, done: Sequence[Done]) -> Iterator[str]:
    for kb in study.kbs:
        rows = {one.row: _pooled(one, kb.name) for one in done}
        first = next(iter(rows.values()))
        yield f"## {kb.name}\n"
        heads = [f"recall@{k}" for k in _KS]
        yield _line(["", "mentions", *heads, "recall@1 less the first row's"])
        yield _line(["---"] * 6)
        for name, found in rows.items():
            less = found.recall(1) - first.recall(1)
            cells = [f"{found.recall(k):.3f}" for k in _KS]
            yield _line([name, f"{found.n:,}", *cells, "" if found is first else f"{less:+.3f}"])
        yield "\nEach set, recall@1 and recall@100:\n"
        sets = list(done[0].measured[kb.name])
        yield _line(["", *sets])
        yield _line(["---"] * (1 + len(sets)))
        for one in done:
            own = one.measured[kb.name]
            yield _line(
                [one.row, *(f"{own[s].recall(1):.3f} / {own[s].recall(100):.3f}" for s in sets)]
            )
        yield "\nRecall@k:\n"
        yield _line(["k", *map(str, _CURVE)])
        yield _line(["---"] * (1 + len(_CURVE)))
        for name, found in rows.items():
            yield _line([name, *(f"{found.recall(k):.3f}" for k in _CURVE)])
        yield ""
    yield from _trainings(done)


def _trainings(done: Sequence[Done]) -> Iterator[str]:
    """Each training once: how long it took, and what each evaluation on dev gave."""
    seen: dict[str, Done] = {}
    for one in done:
        if one.training:
            seen.setdefault(str(one.training["settings"]), one)
    if not seen:
        return
    yield "## Trainings\n"
    heads = ["", "minutes", "on", "round, step: recall@1, @10, @100 on dev", "commit", "date"]
    yield _line(heads)
    yield _line(["---"] * len(heads))
    for one in seen.values():
        steps = [
            f"{int(e['round'])}, {int(e['step'])}: "
            + ", ".join(f"{e[f'recall@{k}']:.3f}" for k in _KS)
            for e in one.training["evaluations"]
            if "recall@1" in e
        ]
        minutes = f"{one.training['seconds'] / 60:.1f}"
        device = str(one.training.get("device", ""))
        yield _line([one.row, minutes, device, "; ".join(steps), one.commit, one.date])
    yield ""


def _pooled(done: Done, kb: str) -> Measured:
    return pooled(list(done.measured[kb].values()))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plot(study: Study, done: Sequence[Done], path: Path) -> None:
    with figure(path, size=(4.5 * len(study.kbs) + 2.5, 4.2)) as drawn:
        plots = drawn.subplots(1, len(study.kbs), squeeze=False, sharey=True)[0]
        for plot, kb in zip(plots, study.kbs, strict=True):
            for one in done:
                found = _pooled(one, kb.name)
                ks = range(1, K + 1)
                plot.plot(ks, [found.recall(k) for k in ks], label=one.row, linewidth=1.2)
            plot.set(xscale="log", xlabel="k", title=kb.name)
            plot.grid(alpha=0.3)
        plots[0].set_ylabel("recall@k")
        plots[-1].legend(fontsize=7, loc="lower right")
