"""entlink beside spaCy's own entity_linker, on the same documents, in one run.

    python -m tests.speed_spacy [FILE.jsonl[.gz]] [--bundle DIR] [--repeat N]

The file has one document a line with its mentions (docs/formats.md); both get these as `doc.ents`.
Without a file it is the sample text with the mentions that entlink finds. spaCy's linker gets the
same knowledge base: entities, names, and how often a name means an entity. Its context model has
random weights, which take as long as trained ones; what it gets right is measured by priors alone.
One thread. The first pass over the documents is not timed.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import spacy
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from entlink.bundle import open_bundle
from entlink.kb.store import KnowledgeBase

SAMPLE = Path(__file__).resolve().parents[1] / "kb" / "sample" / "sample.jsonl"
VECTOR = 64
Gold = dict[tuple[int, int], str]  # by character offsets


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path), default=SAMPLE)
@click.option("--bundle", default=None, help="Name or folder; the built-in one by default.")
@click.option("--repeat", default=5, show_default=True, help="Passes over the documents.")
@click.option("--limit", default=None, type=int, help="So many documents only.")
def main(file: Path, bundle: str | None, repeat: int, limit: int | None) -> None:
    """Print a table: documents and mentions a second, and the share of in-KB gold linked right."""
    import torch

    torch.set_num_threads(1)
    opened = open_bundle(bundle)
    kb = KnowledgeBase.open(opened.path)
    lines = read(file)[:limit]
    found = spacy.blank("en")
    found.add_pipe("entlink_mentions", config={"bundle": bundle})
    bytes_, golds = [], []
    for line in lines:
        doc, gold = given(found, line)
        bytes_.append(doc.to_bytes())
        golds.append(gold)
    in_kb = kb.rows_of(sorted({g for gold in golds for g in gold.values()}))
    click.echo(f"{len(lines)} documents, {sum(map(len, golds))} mentions, KB of {len(kb):,}\n")
    click.echo(f"{'':38}{'docs/s':>8}{'mentions/s':>12}{'right':>8}")
    lookup = spacy_kb(kb, found)
    for title, nlp in (
        ("spaCy entity_linker, priors", spacy_linker(found, lookup, context=False)),
        ("spaCy entity_linker, priors and context", spacy_linker(found, lookup, context=True)),
        ("entlink without the reranker", entlink(bundle, max_pairs=0)),
        ("entlink", entlink(bundle, max_pairs=None)),
    ):
        seconds, docs = timed(nlp, bytes_, repeat)
        n = sum(len(doc.ents) for doc in docs)
        share = right(docs, golds, in_kb) if "context" not in title else None
        shown = f"{share:.3f}" if share is not None else "-"
        click.echo(f"{title:38}{len(docs) / seconds:8.1f}{n / seconds:12.1f}{shown:>8}")


def read(path: Path) -> list[dict[str, Any]]:
    """The documents of a JSONL file."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def given(nlp: Language, line: dict[str, Any]) -> tuple[Doc, Gold]:
    """The doc with its mentions as entities, each at least a token, and what they mean."""
    if "mentions" not in line:
        return nlp(line["text"]), {}
    doc, gold, last = nlp.make_doc(line["text"]), {}, 0
    spans: list[Span] = []
    for m in sorted(line["mentions"], key=lambda m: (m["start"], -m["end"])):
        span = doc.char_span(m["start"], m["end"], label="ENTITY", alignment_mode="expand")
        if span is not None and span.start >= last:
            spans.append(span)
            last = span.end
            if m.get("entity", "NIL") != "NIL":
                gold[span.start_char, span.end_char] = m["entity"]
    doc.set_ents(spans)
    return doc, gold


def spacy_kb(kb: KnowledgeBase, nlp: Language) -> InMemoryLookupKB:
    """The same entities and names for spaCy; of names without counts all bearers count alike."""
    lookup = InMemoryLookupKB(nlp.vocab, entity_vector_length=VECTOR)
    entities = [entity for some in kb.iterate() for entity in some]
    vectors = np.random.default_rng(0).normal(size=(len(entities), VECTOR)).astype(np.float32)
    frequencies = [round(10 ** (e.popularity or 0.0)) for e in entities]
    lookup.set_entities([e.id for e in entities], frequencies, list(vectors))
    names = sorted({name for e in entities for name in (e.name, *e.aliases) if name.strip()})
    for begin in range(0, len(names), 1000):
        for name, hits in kb.by_aliases(names[begin : begin + 1000]).items():
            total = sum(hit.prior for hit in hits)
            priors = [hit.prior / total if total else 1 / len(hits) for hit in hits]
            # rounded down, since spaCy refuses a sum above one
            shares = [int(p * 10_000) / 10_000 for p in priors]
            lookup.add_alias(name, [entities[hit.row].id for hit in hits], shares)
    return lookup


def spacy_linker(base: Language, kb: InMemoryLookupKB, *, context: bool) -> Language:
    """A pipeline of spaCy's entity_linker alone, its context model not trained."""
    nlp = spacy.blank("en", vocab=base.vocab)
    config = {"incl_context": context, "entity_vector_length": VECTOR, "n_sents": 0}
    linker: Any = nlp.add_pipe("entity_linker", config=config)
    doc = nlp.make_doc("Paris is large.")
    name = kb.get_alias_strings()[0]
    entity = kb.get_alias_candidates(name)[0].entity_
    doc.set_ents([Span(doc, 0, 1, label="ENTITY", kb_id=entity)])
    doc[0].is_sent_start = True
    linker.initialize(lambda: [Example(doc, doc)], nlp=nlp, kb_loader=lambda vocab: kb)
    return nlp


def entlink(bundle: str | None, *, max_pairs: int | None) -> Language:
    """A pipeline of entlink alone."""
    nlp = spacy.blank("en")
    config = {"bundle": bundle, "mentions": "ents", "max_pairs": max_pairs, "threads": 1}
    nlp.add_pipe("entlink", config=config)
    return nlp


def timed(nlp: Language, docs: Sequence[bytes], repeat: int) -> tuple[float, list[Doc]]:
    """Seconds of a pass over fresh docs with sentence marks, the least of ``repeat``; its docs."""
    sentences = spacy.blank("en")
    sentences.add_pipe("sentencizer")
    least, linked = float("inf"), []
    for _ in range(repeat + 1):
        fresh = [sentences.get_pipe("sentencizer")(Doc(nlp.vocab).from_bytes(b)) for b in docs]
        started = time.perf_counter()
        linked = list(nlp.pipe(fresh, batch_size=64))
        seconds = time.perf_counter() - started
        least = min(least, seconds) if _ else least
    return least, linked


def right(docs: Iterable[Doc], golds: Iterable[Gold], in_kb: dict[str, int]) -> float | None:
    """Share of the gold mentions whose entity is in the KB that were linked to it."""
    pairs = [
        (gold[e.start_char, e.end_char], e.kb_id_)
        for doc, gold in zip(docs, golds, strict=True)
        for e in doc.ents
        if gold.get((e.start_char, e.end_char)) in in_kb
    ]
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
