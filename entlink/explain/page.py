"""An explanation as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entlink.explain.result import Effect, ExplainedCandidate, Explanation
from entlink.records import NIL

_N_EFFECTS = 5  # told of each kind
_N_TOKENS = 8
_WIDTH = 44  # of a part's text
_STAGES = {"answer": "the answer", "reading": "lost when read", "before reading": "not read"}
_KINDS = {
    "input": "one input left out",
    "sentence": "a sentence of the text taken out",
    "word": "a word taken out",
}


def lines(e: Explanation) -> Iterator[str]:
    """For people: the answer, the candidates, what the parts did, the vectors as words."""
    m = e.mention
    answer = "not in the knowledge base" if e.entity_id == NIL else f"{e.name} ({e.entity_id})"
    label = f", {m.label}" if m.label else ""
    longer = f", as {m.full_name!r}" if m.full_name else ""
    yield f"{_one_line(m.text)!r} at {m.start}{label}{longer}: {answer}, {e.probability:.3f}"
    yield f"{e.n_candidates} candidates, {e.n_read} of them read by the reranker"
    yield from (f"note: {note}" for note in e.notes)
    yield ""
    yield from _table(_HEAD, [_row(c, e) for c in e.candidates])
    if e.rival:
        yield ""
        yield f"Why {_called(e, e.entity_id)} and not {_called(e, e.rival)}: log-odds by kind"
        yield "  " + ", ".join(_signed_groups(e))
    for kind, title in _KINDS.items():
        yield from _effects(e, kind, title)
    yield from _tokens(e)
    yield from _readings(e)


_HEAD = ("", "entity", "id", "prob.", "before", "cosine", "prior", "logit", "odds", "what decided")


def _row(c: ExplainedCandidate, e: Explanation) -> tuple[str, ...]:
    decided = f"by {c.decided_by}" if c.decided_by else ""
    found = "" if c.retrieved else ", not retrieved"
    return (
        str(c.rank) if c.rank else "-",
        _cut(c.name or "none", 28),
        c.entity_id,
        f"{c.probability:.3f}",
        f"{c.first_probability:.3f}",
        _number(c.cosine, ".3f"),
        _number(c.prior, ".2f"),
        _number(c.reranker_score, "+.2f"),
        f"{c.log_odds:+.2f}",
        f"{_STAGES[c.stage]}{found} {decided}".strip(),
    )


def _signed_groups(e: Explanation) -> Iterator[str]:
    groups = e.candidate(e.entity_id).groups
    for name in sorted(groups, key=lambda name: -abs(groups[name])):
        yield f"{name} {groups[name]:+.2f}"


def _effects(e: Explanation, kind: str, title: str) -> Iterator[str]:
    found = [x for x in e.effects if x.kind == kind]
    found.sort(key=lambda x: -abs(x.log_odds))
    if not found:
        return
    yield ""
    yield f"With {title}, the log-odds change by (below zero: it spoke for the answer)"
    head = ("odds", "cosine", "logit", "of", "part")
    yield from _table(head, [_effect_row(x) for x in found[: _N_EFFECTS if kind == "word" else 12]])


def _effect_row(x: Effect) -> tuple[str, ...]:
    of = "text" if x.side == "mention" else x.side
    cosine, logit = _number(x.cosine, "+.3f"), _number(x.logit, "+.2f")
    return f"{x.log_odds:+.2f}", cosine, logit, of, _cut(_one_line(x.part), _WIDTH)


def _tokens(e: Explanation) -> Iterator[str]:
    if not e.tokens:
        return
    best = sorted((t for t in e.tokens if t.side != "mark"), key=lambda t: -abs(t.weight))
    yield ""
    yield "Tokens that the reranker's logits hang on most (gradient x input)"
    yield "  " + ", ".join(f"{t.token} {t.weight:+.2f} ({t.side})" for t in best[:_N_TOKENS])


def _readings(e: Explanation) -> Iterator[str]:
    for reading in e.readings:
        yield ""
        who = "the mention" if reading.of == "mention" else reading.of
        yield f"The vector of {who} read as words (of {reading.n_words})"
        yield "  " + ", ".join(f"{word} {share:.3f}" for word, share in reading.words[:8])
        yield "  not in its input: " + (", ".join(reading.expansion[:8]) or "none")
        yield "  in its input, but forgotten: " + (", ".join(reading.amnesia) or "none")
    moved = [
        f"{_called(e, c.entity_id)} from {c.retriever_rank} to {c.enriched_rank}"
        for c in e.candidates
        if c.enriched_rank is not None and c.entity_id in (e.entity_id, e.rival)
    ]
    if moved:
        yield ""
        yield "Lexical enrichment would move, by cosine: " + ", ".join(moved)


def _called(e: Explanation, entity_id: str) -> str:
    if entity_id == NIL:
        return "none"
    return f"{e.candidate(entity_id).name} ({entity_id})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [c + " " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True)]
        yield "  " + "  ".join(cells).rstrip()


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _one_line(text: str) -> str:
    kept = (c if c.isprintable() else " " if c.isspace() else "" for c in text)
    return " ".join("".join(kept).split())


def _cut(text: str, n: int) -> str:
    text = _one_line(text)
    return text if len(text) <= n else text[: n - 1] + "…"
