"""Are explanations faithful? `make faithful` measures it over gold mentions (docs/explain.md)."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import click

import entlink
from entlink.analyse.faithful import measure_faithfulness
from entlink.evaluate.sets import read_sets
from entlink.records import Document, Mention


def main() -> None:
    """Read the command line, print a table for each kind of part, write all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="gold mentions")
    parser.add_argument("--bundle")
    parser.add_argument("--backend", default="openvino", help="of links; gradients are PyTorch's")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sentences", type=int, default=150, help="mentions, drawn")
    parser.add_argument("--words", type=int, default=30, help="mentions, drawn; 0: leave out")
    parser.add_argument(
        "--whole", type=int, default=20, help="mentions whose text's others are linked too"
    )
    parser.add_argument(
        "--whole-words", type=int, default=0, help="the same for words; a minute for each mention"
    )
    parser.add_argument("--out", type=Path, help="a folder for faithfulness.json")
    args = parser.parse_args()
    linker = entlink.load(args.bundle, backend=args.backend, threads=args.threads)
    documents = [
        Document(
            document.id,
            document.text,
            tuple(
                Mention(m.start, m.end, document.text[m.start : m.end])
                for m in document.mentions
                if m.entity is not None
            ),
        )
        for gold in read_sets(args.files)
        for document in gold.documents
    ]
    figures = []
    samples = (
        ("sentence", False, args.sentences),
        ("word", False, args.words),
        ("sentence", True, args.whole),
        ("word", True, args.whole_words),
    )
    for kind, whole, n in samples:
        if not n:
            continue
        found = measure_faithfulness(
            linker,
            documents,
            kind=kind,
            whole=whole,
            n_mentions=n,
            on_mention=lambda i: click.echo(f"mention {i}", err=True) if i % 20 == 0 else None,
        )
        figures.append(asdict(found))
        click.echo("\n".join([*found.lines(), ""]))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"bundle": linker.bundle.digest, "figures": figures}, indent=2)
        (args.out / "faithfulness.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
