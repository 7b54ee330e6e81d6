"""Of every format: things that were put into a file are things kept, or counted with a reason.

What went in is counted here, while it is written by other means than ours (csv, openpyxl, spaCy,
rdflib); what came of it is what a build reports and what its importer told.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.kb.build import build_from
from entlink.kb.importers import read_source
from entlink.kb.importers.records import PartOf, Records, Skipped
from entlink.kb.scratch import Source
from entlink.records import Entity

Thing = tuple[str, str, str]  # id, name, and what is odd about it
Write = Callable[[Path, Sequence[Thing]], int]  # returns how many things are in the file

ODD = ("", "", "", "hidden", "junk", "no name", "other")
IDS = st.sampled_from(["a", "b", "c", "d 1", "ä", "NIL", "e\x01", ""])
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\n\r\ufffe\uffff")
THINGS = st.lists(st.tuples(IDS, st.text(CHARACTERS, max_size=6), st.sampled_from(ODD)), max_size=8)
SOUND = ("sound", "Sound", "")  # so that there is something to build from


def place_of(path: Path, remark: str) -> str:
    """ "path:line", or "path: id" where a format has no lines."""
    rest = remark.removeprefix(str(path))
    assert rest != remark
    start = ": " if rest.startswith(": ") else ""
    return f"{path}{start}{rest.removeprefix(start).split(': ')[0]}"


def lines_of(path: Path, lines: Sequence[str]) -> int:
    path.write_bytes("\n".join(["", *lines, " "]).encode())
    return sum(bool(line.strip()) for line in lines)


def write_jsonl(path: Path, things: Sequence[Thing]) -> int:
    odd: dict[str, Callable[[str, str], object]] = {
        "junk": lambda id, name: [id, name],
        "hidden": lambda id, name: {"cui": id, "name": name, "type_ids": ["T"]},
        "no name": lambda id, name: {"id": id, "name": None},
        "other": lambda id, name: {"id": id, "name": name, "aliases": [1]},
    }
    rows = (odd[o](id, name) if o in odd else {"id": id, "name": name} for id, name, o in things)
    return lines_of(path, [json.dumps(row) for row in rows])


def write_csv(path: Path, things: Sequence[Thing]) -> int:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "name", "text"])
        rows = [[id, "" if odd == "no name" else name, 'a "b",\nc'] for id, name, odd in things]
        for row, (_, _, odd) in zip(rows, things, strict=True):
            table.writerow([*row, *(["more"] if odd == "junk" else [])])
        table.writerow(["", " ", ""])
    return len(rows)


def write_excel(path: Path, things: Sequence[Thing]) -> int:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["id", "name", "text"])
    n = 0
    for id, name, odd in things:
        values: tuple[object, ...] = (id, name, {"hidden": 3, "other": 2.5, "junk": True}.get(odd))
        cells = [openpyxl.cell.WriteOnlyCell(book.active, v) for v in map(printable, values)]
        for cell in cells:
            if cell.data_type == "f":  # "=A1" is meant as a text
                cell.data_type = "s"
        book.active.append([None if odd == "no name" and c is cells[1] else c for c in cells])
        n += any(str(c.value or "").strip() for c in cells if odd != "no name" or c is not cells[1])
        book.active.append([None, None, " "])
    book.save(path)
    return n


def printable(value: object) -> object:
    """A cell as Excel can hold it."""
    if not isinstance(value, str):
        return value
    return "".join(c for c in value if c.isprintable()) or None


def write_terms(path: Path, things: Sequence[Thing]) -> int:
    odd = {"junk": "{0}|{1}", "no name": "{0}||", "other": "{0}|o||{1}|s"}
    return lines_of(path, [odd.get(o, "{0}||{1}").format(id, name) for id, name, o in things])


def write_obo(path: Path, things: Sequence[Thing]) -> int:
    lines = ["format-version: 1.2", "[Typedef]", "id: part_of"]
    for id, name, odd in things:
        lines += ["", "[Instance]" if odd == "other" else "[Term]", f"id: {id}"]
        lines += [f"name: {name}"] if odd != "no name" else []
        lines += {"hidden": ["is_obsolete: true"], "junk": ["synonym: bare"]}.get(odd, [])
    lines_of(path, lines)
    return len(things)


def write_owl(path: Path, things: Sequence[Thing]) -> int:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    parts = [f'<r:RDF xmlns:r="{rdf}" xmlns:o="http://www.w3.org/2002/07/owl#"'
             ' xmlns:s="http://www.w3.org/2000/01/rdf-schema#">']  # fmt: skip
    for id, name, odd in things:
        kind = "NamedIndividual" if odd == "other" else "Class"
        label = f"<s:label>{escape(xml(name))}</s:label>" if odd != "no name" else ""
        more = {"hidden": "<o:deprecated>true</o:deprecated>",
                "junk": '<s:subClassOf r:resource="http://x.example/x"/>'}.get(odd, "")  # fmt: skip
        parts.append(f"<o:{kind} r:about={quoteattr(address(id))}>{label}{more}</o:{kind}>")
    path.write_text("\n".join([*parts, "</r:RDF>"]), encoding="utf-8")
    return len({address(id) for id, _, _ in things})


def write_skos(path: Path, things: Sequence[Thing]) -> int:
    rdflib = pytest.importorskip("rdflib")
    graph, skos = rdflib.Graph(), rdflib.namespace.SKOS
    for id, name, odd in things:
        node = rdflib.URIRef(address(id))
        graph.add((node, rdflib.RDF.type, skos.Concept))
        if odd != "no name":
            label = rdflib.Literal(xml(name), lang="de" if odd == "other" else None)
            graph.add((node, skos.altLabel if odd == "hidden" else skos.prefLabel, label))
    graph.serialize(path, format="turtle", encoding="utf-8")
    return len({address(id) for id, _, _ in things})


def address(id: str) -> str:
    return "http://x.example/" + "".join(f"{ord(c):x}" for c in id)


def xml(text: str) -> str:
    """What XML can hold of a text."""
    return "".join(c for c in text if c.isprintable())


def write_spacy(path: Path, things: Sequence[Thing]) -> int:
    from spacy.kb import InMemoryLookupKB
    from spacy.vocab import Vocab

    kb = InMemoryLookupKB(Vocab(), entity_vector_length=1)
    named = {id: (name, odd) for id, name, odd in things if id}
    for id in named:
        kb.add_entity(entity=id, freq=3, entity_vector=[1])
    for name in {name for name, odd in named.values() if name and odd != "no name"}:
        ids = [id for id, (its, odd) in named.items() if its == name and odd != "no name"]
        kb.add_alias(alias=name, entities=ids, probabilities=[1 / len(ids) / 2] * len(ids))
    kb.to_disk(path)
    return len(named)


def write_wikidata(path: Path, things: Sequence[Thing]) -> int:
    lines = []
    for id, name, odd in things:
        claim = {"rank": "normal", "mainsnak": {"snaktype": "value", "datavalue": {"value": {
            "entity-type": "item", "id": "Q4167410" if odd == "hidden" else "Q5"}}}}  # fmt: skip
        item = {
            "id": f"{'L' if odd == 'other' else 'Q'}{id}",
            "labels": {} if odd == "no name" else {"en": {"value": name}},
            "claims": {"P31": [claim]},
            "sitelinks": {"enwiki": {"title": name}} if odd != "junk" else [],
        }
        lines.append(json.dumps(item) + ("," if odd != "junk" else ", and more"))
    return lines_of(path, ["[", *lines, '{"id": "P1", "labels": {}}', "]"]) - 3


def write_wikipedia(path: Path, things: Sequence[Thing]) -> int:
    pages = []
    for id, name, odd in things:
        space = 4 if odd == "junk" else 0
        title = "" if odd == "no name" else xml(f"{id} {name}")
        text = "{{disambiguation}}" if odd == "hidden" else f"'''{xml(name)}''' is [[a|some]]."
        redirect = '<redirect title="Sound"/>' if odd == "other" else ""
        pages.append(
            f"<page><title>{escape(title)}</title><ns>{space}</ns>{redirect}"
            f"<revision><text>{escape(text)}</text></revision></page>"
        )
    path.write_text(f"<mediawiki>{''.join(pages)}</mediawiki>", encoding="utf-8")
    return len(pages)


WRITERS: dict[str, Write] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "excel": write_excel,
    "terms": write_terms,
    "obo": write_obo,
    "owl": write_owl,
    "skos": write_skos,
    "spacy": write_spacy,
    "wikidata": write_wikidata,
    "wikipedia": write_wikipedia,
}


@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=30, deadline=None)
@given(things=THINGS)
def test_what_goes_in_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, format: str, things: list[Thing]
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    path = folder / "file"
    n_in = WRITERS[format](path, [SOUND, *things])
    told: list[str] = []
    with_record: set[str] = set()

    def watched(records: Records) -> Records:
        for where, record in records:
            if isinstance(record, Entity | PartOf | Skipped):
                with_record.add(where)
            yield where, record

    found = watched(read_source(path, format, on_bad=told.append))
    report = build_from([Source(found)], folder / "kb", on_bad=lambda _: None)
    set_aside = {place_of(path, remark) for remark in told} - with_record
    assert report.n_records == (
        report.n_entities + report.n_duplicates + report.n_merged + report.n_refused
    )
    assert n_in == report.n_records + sum(report.skipped.values()) + len(set_aside), told
