"""``entlink bundle``: make a bundle for another knowledge base, or check one."""

from __future__ import annotations

from pathlib import Path

import click

from entlink.cli.options import device_option, quiet_option, threads_option


@click.group("bundle", short_help="Make or check a bundle.")
def command() -> None:
    """Make a bundle for another knowledge base, or check one.

    A bundle is one folder with everything that linking needs: knowledge base, models, thresholds.
    """


@command.command("create", short_help="Join a knowledge base with another bundle's models.")
@click.option(
    "--kb",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A knowledge base, as `entlink kb build` makes it.  [default: that of --like]",
)
@click.option(
    "--like",
    default=None,
    metavar="NAME|DIR",
    help="The bundle whose models to use.  [default: the built-in bundle]",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to put the new bundle.",
)
@click.option(
    "--index",
    metavar="INDEX",
    help="flat, hnsw, ivfpq, or a faiss factory; also with settings, as 'ivfpq; nprobe=64'.  "
    "[default: as --like, flat]",
)
@click.option(
    "--retriever",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="This retriever in place of that of --like; with its --decision.",
)
@click.option(
    "--reranker",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="This reranker in place of that of --like; with its --decision.",
)
@click.option(
    "--decision",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="This decision.json in place of that of --like.",
)
@click.option("--no-reranker", is_flag=True, help="Without a reranker: quicker, less accurate.")
@click.option("--no-check", is_flag=True, help="Do not look at how well it can be linked to.")
@threads_option
@quiet_option
def create(
    kb: Path | None,
    like: str | None,
    out: Path,
    index: str | None,
    retriever: Path | None,
    reranker: Path | None,
    decision: Path | None,
    no_reranker: bool,
    no_check: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Index the knowledge base in --kb with the models of --like; nothing is trained.

    With a flat index every vector is compared, which suits up to some 100,000 entities; hnsw and
    ivfpq are approximate. At the end it says what could be mended in the knowledge base: names that
    several entities share, entities without a description, and whether entities are found again by
    their names.
    """
    from entlink.bundle import DECISION, create_bundle, open_bundle
    from entlink.retrieve.index_config import IndexConfig

    chosen = IndexConfig.parse(index) if index else None
    parts = {"retriever": retriever, "reranker": reranker, DECISION: decision}
    given: dict[str, Path | None] = {name: part for name, part in parts.items() if part}
    if reranker and no_reranker:
        raise click.UsageError("--reranker and --no-reranker exclude each other; give one of them")
    if no_reranker:
        given["reranker"] = None
    source = kb or open_bundle(like).path
    opened = create_bundle(source, like, out, index=chosen, parts=given)
    click.echo(f"{out}: made; use it with: entlink link --bundle {out} FILE")
    if not (no_check or quiet):
        from entlink.linker import Linker
        from entlink.quality import check_quality

        quality = check_quality(Linker.load(opened, device="cpu", threads=threads))
        for line in quality.lines():
            click.echo(line, err=True)


@command.command("index", short_help="Make a bundle's vectors before their first use.")
@click.argument("bundle", metavar="DIR")
@click.option("--part", metavar="I/N", help="Only the I-th of N parts; the others elsewhere.")
@device_option
@threads_option
def index(bundle: str, part: str | None, device: str, threads: int | None) -> None:
    """Encode the entities of the bundle in DIR, and index them, before it is first used.

    A run that was killed goes on where it stood. Of an approximate index, processes or machines
    that share the cache folder (ENTLINK_CACHE) may each encode a part; the last call is without
    --part. The folder is printed.
    """
    import logging

    from entlink.bundle import open_bundle
    from entlink.linker import choose_device
    from entlink.retrieve.shards import Part
    from entlink.vectors import make_vectors

    logging.getLogger("entlink").setLevel(logging.INFO)
    chosen = Part.parse(part) if part else None
    opened = open_bundle(bundle)
    click.echo(make_vectors(opened, part=chosen, device=choose_device(device, threads)))


@command.command("int8", short_help="Make the reranker's eight-bit version.")
@click.argument("bundle", required=False, metavar="NAME|DIR")
def int8(bundle: str | None) -> None:
    """Make the eight-bit version of a bundle's reranker and compare it with single precision.

    So too of what reads contexts in its retriever, if it has that.

    It is kept in the cache, and from then on linking on this computer's CPU uses it. One that is
    too far from single precision is refused. Needs the extra: pip install 'entlink[openvino]'.
    """
    from dataclasses import asdict

    import orjson

    from entlink.backends import export_context_reader, export_reranker, int8_folder
    from entlink.bundle import open_bundle
    from entlink.encode.dual import DualEncoder
    from entlink.kb.store import KnowledgeBase

    opened = open_bundle(bundle)
    kb = KnowledgeBase.open(opened.path)
    encoder = DualEncoder.load(opened.path / "retriever")
    report: dict[str, object] = {}
    if encoder.reader is not None:
        found = export_context_reader(opened, kb, encoder)
        report["retriever"] = {"folder": str(int8_folder(opened, "retriever")), **asdict(found)}
    if encoder.reader is None or opened.has("reranker"):
        comparison = export_reranker(opened, kb)
        report = {"folder": str(int8_folder(opened)), **asdict(comparison), **report}
    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


@command.command("verify", short_help="Check every file of a bundle.")
@click.argument("bundle", metavar="DIR")
def verify(bundle: str) -> None:
    """Compare every file of the bundle in DIR with its checksum."""
    from entlink.bundle import verify_bundle

    verify_bundle(Path(bundle))
    click.echo(f"{bundle}: whole and unchanged")
