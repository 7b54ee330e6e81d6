"""OBO graphs, ontologies in JSON, through pronto, which reads them as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from entlink.errors import InputError, reason
from entlink.kb.importers import needs
from entlink.kb.importers.files import read_blocks
from entlink.kb.importers.records import (
    Located,
    OnBad,
    Parent,
    Records,
    Redirect,
    Relation,
    Skipped,
    bad,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The classes of an ontology, by id; obsolete ones and nodes that are no class are skipped."""
    try:
        import pronto.ontology
    except ImportError:
        raise needs("pronto", "OBO graphs") from None
    others = _nodes_but_classes(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on every oddity of style
        try:
            ontology = pronto.ontology.Ontology(str(path), import_depth=0)
        except BaseException as error:  # whatever its parsers meet; those in Rust panic
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise InputError(
                f"{path}: not an ontology that pronto can read ({reason(error)}); fetch it again"
            ) from None
        for term in sorted(ontology.terms(), key=lambda term: str(term.id)):
            where = f"{path}: {term.id}"
            if term.obsolete:
                yield where, Skipped("obsolete")
                for other in sorted(t.id for t in term.replaced_by):
                    yield where, Redirect(term.id, other)
            elif not (term.name or "").strip():
                bad(f"{where}: a class without a label; give it an rdfs:label", on_bad)
            else:
                yield from _term(where, term)
    for id in others:  # of which pronto says nothing
        yield f"{path}: {id}", Skipped("nodes that are no class")


def _nodes_but_classes(path: Path) -> list[str]:
    """Ids of the nodes that are neither class nor property.

    Refuses JSON that holds no graphs, at which pronto's reader would panic.
    """
    data = b"".join(read_blocks(path)).lstrip()
    if not data.startswith(b"{"):
        return []
    try:
        graphs = orjson.loads(data).get("graphs")
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({reason(error)}); fetch it again") from None
    if not graphs:
        raise InputError(f"{path}: JSON, but no OBO graphs in it; is it an ontology?")
    try:
        nodes = [node for graph in graphs for node in graph.get("nodes") or ()]
        others = [node for node in nodes if node.get("type") not in ("CLASS", "PROPERTY")]
        return [str(node.get("id")) for node in others]
    except (AttributeError, TypeError):
        return []  # which pronto will refuse


def _term(where: str, term: Any) -> Iterator[Located]:
    name = str(term.name).strip()
    parents = sorted(
        (parent.id, parent.name or "") for parent in term.superclasses(distance=1, with_self=False)
    )
    synonyms = sorted({str(s.description).strip() for s in term.synonyms} - {name, ""})
    yield (
        where,
        Entity(
            id=term.id,
            name=name,
            aliases=tuple(synonyms),
            description=str(term.definition).strip() if term.definition else None,
            types=tuple(id for id, _ in parents),
            type_names=tuple(label for _, label in parents if label),
        ),
    )
    for parent, _ in parents:
        yield where, Parent(term.id, parent)
    for other in sorted(term.alternate_ids):
        yield where, Redirect(other, term.id)
    for relation, targets in sorted(term.relationships.items(), key=lambda item: item[0].id):
        label = (relation.name or relation.id).replace("_", " ")
        for target in sorted(t.id for t in targets):
            yield where, Relation(term.id, relation.id, label, target)
