"""OBO, OWL, SKOS and term dictionaries: small ones of ours, real ones where there are any.

The oracle of our own readers of OBO and OWL is pronto, which reads the same file its own way.
"""

from __future__ import annotations

import gzip
import json
import re
import warnings
from pathlib import Path
from typing import TypeVar

import pytest

from entlink.errors import InputError
from entlink.kb.importers import obo, owl, read_source, skos, terms
from entlink.kb.importers.records import (
    Parent,
    PropertyName,
    Record,
    Records,
    Redirect,
    Relation,
    Skipped,
)
from entlink.kb.importers.settings import Settings
from entlink.records import Entity

_R = TypeVar("_R")

OBO = r"""format-version: 1.2
ontology: ours

[Term]
id: X:1
name: vessel
def: "Something that \"floats\"; it has a keel." [ours:1]
synonym: "boat" EXACT []
synonym: "ship\, small" RELATED [a:b]
alt_id: X:9
xref: Y:1

[Term]
id: X:2
name: sloop
is_a: X:1 {source="us"} ! vessel
relationship: has_part X:3 ! mast

[Term]
id: X:3
name: mast
is_a: X:4 ! spar

[Term]
id: X:5
name: old
is_obsolete: true
replaced_by: X:2

[Typedef]
id: has_part
name: has part
"""


def of(kind: type[_R], records: Records) -> list[_R]:
    return [record for _, record in records if isinstance(record, kind)]


def test_obo(tmp_path: Path) -> None:
    path = tmp_path / "o.obo"
    path.write_text(OBO, encoding="utf-8")
    found: list[tuple[str, Record]] = list(obo.read(path))
    assert [r for _, r in found if isinstance(r, Entity)] == [
        Entity(
            "X:1",
            "vessel",
            aliases=("boat", "ship, small"),
            description='Something that "floats"; it has a keel.',
            extra={"xref": ["Y:1"]},
        ),
        Entity("X:2", "sloop", types=("X:1",), type_names=("vessel",)),
        Entity("X:3", "mast", types=("X:4",), type_names=("spar",)),
    ]
    assert of(Redirect, iter(found)) == [Redirect("X:9", "X:1"), Redirect("X:5", "X:2")]
    assert of(Parent, iter(found)) == [Parent("X:2", "X:1"), Parent("X:3", "X:4")]
    assert of(Relation, iter(found)) == [Relation("X:2", "has_part", "has part", "X:3")]
    assert of(PropertyName, iter(found)) == [PropertyName("has_part", "has part")]
    assert of(Skipped, iter(found)) == [Skipped("obsolete")]
    assert found[0][0] == f"{path}:4"


def test_obo_says_in_which_line(tmp_path: Path) -> None:
    path = tmp_path / "o.obo"
    path.write_bytes(
        b"[Term]\nid: X:1\nname: a\nname: b\nnonsense\n\xff\xfe: x\nsynonym: bare EXACT []\n\n"
        b"[Term]\nid: X:2\n\n[Term]\nname: c\n\n[Term]\nid: X:3\nname: d\nrelationship: has\n"
    )
    told: list[str] = []
    assert [e.id for e in of(Entity, obo.read(path, on_bad=told.append))] == ["X:1", "X:3"]
    assert [line[len(str(path)) :].split(": ")[0] for line in told] == [
        ":4", ":5", ":6", ":1", ":9", ":12", ":15",
    ]  # fmt: skip
    with pytest.raises(InputError, match=":4: 'name' appears twice"):
        list(obo.read(path))


def pronto_terms(path: Path) -> dict[str, tuple[str, frozenset[str], str | None, frozenset[str]]]:
    pronto = pytest.importorskip("pronto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ontology = pronto.Ontology(str(path))
        return {
            term.id: (
                str(term.name).strip(),
                frozenset(s.description.strip() for s in term.synonyms) - {term.name.strip()},
                (str(term.definition).strip() or None) if term.definition else None,
                frozenset(t.id for t in term.superclasses(distance=1, with_self=False)),
            )
            for term in ontology.terms()
            if not term.obsolete and term.name
        }


def ours(path: Path) -> dict[str, tuple[str, frozenset[str], str | None, frozenset[str]]]:
    return as_tuples(of(Entity, obo.read(path)))


def as_tuples(
    entities: list[Entity],
) -> dict[str, tuple[str, frozenset[str], str | None, frozenset[str]]]:
    return {
        e.id: (e.name, frozenset(e.aliases), e.description, frozenset(e.types)) for e in entities
    }


def test_obo_as_pronto_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "o.obo"
    path.write_text(OBO.replace("is_a: X:4 ! spar\n", ""), encoding="utf-8")
    assert ours(path) == pronto_terms(path)


@pytest.mark.slow
def test_a_real_ontology_as_pronto_reads_it(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "raw" / "doid_2016-09-01.obo.gz"
    found = ours(path)
    assert len(found) > 6000
    # pronto gives up the whole file for one blank in a list of references: without those lists
    text = gzip.decompress(path.read_bytes()).decode()
    bare = re.sub(r'^((?:def|synonym): ".*?"[^\["]*)\[.*\]', r"\1[]", text, flags=re.MULTILINE)
    (tmp_path / "bare.obo").write_text(bare, encoding="utf-8")
    assert found == pronto_terms(tmp_path / "bare.obo")


OWL = """<?xml version="1.0"?>
<rdf:RDF xmlns="http://ours.example/o#" xml:base="http://ours.example/o"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  xmlns:owl="http://www.w3.org/2002/07/owl#"
  xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
  xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#">
  <owl:Ontology rdf:about="http://ours.example/o"/>
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/X_1">
    <rdfs:label>vessel</rdfs:label>
    <oboInOwl:hasExactSynonym>boat</oboInOwl:hasExactSynonym>
  </owl:Class>
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/X_2">
    <rdfs:label>sloop</rdfs:label>
    <rdfs:subClassOf rdf:resource="http://purl.obolibrary.org/obo/X_1"/>
  </owl:Class>
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/X_3"/>
</rdf:RDF>
"""


def test_owl(tmp_path: Path) -> None:
    path = tmp_path / "o.owl"
    path.write_text(OWL, encoding="utf-8")
    told: list[str] = []
    found = list(read_source(path, on_bad=told.append))
    assert [r for _, r in found if isinstance(r, Entity)] == [
        Entity("X:1", "vessel", aliases=("boat",)),
        Entity("X:2", "sloop", types=("X:1",), type_names=("vessel",)),
    ]
    assert of(Parent, iter(found)) == [Parent("X:2", "X:1")]
    assert told == [f"{path}: X:3: a class without a label; give it an rdfs:label"]
    path.write_text(OWL[:300], encoding="utf-8")
    with pytest.raises(InputError, match="not readable as xml"):
        list(owl.read(path))
    path.write_text(OWL.replace("owl:Class", "owl:Thing"), encoding="utf-8")
    with pytest.raises(InputError, match="no class in it"):
        list(owl.read(path))
    with pytest.raises(InputError, match="no such file"):
        list(owl.read(tmp_path / "absent.owl"))


MORE_OWL = OWL.replace(
    "</rdf:RDF>",
    """
  <owl:ObjectProperty rdf:about="http://purl.obolibrary.org/obo/X_90">
    <rdfs:label>has_part</rdfs:label>
  </owl:ObjectProperty>
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/X_4">
    <rdfs:label>yawl</rdfs:label>
    <obo:IAO_0000115>Two masts.</obo:IAO_0000115>
    <oboInOwl:hasAlternativeId>X:44</oboInOwl:hasAlternativeId>
    <oboInOwl:hasRelatedSynonym>dandy</oboInOwl:hasRelatedSynonym>
    <rdfs:subClassOf rdf:resource="http://purl.obolibrary.org/obo/X_1"/>
    <rdfs:subClassOf><owl:Restriction>
      <owl:onProperty rdf:resource="http://purl.obolibrary.org/obo/X_90"/>
      <owl:someValuesFrom rdf:resource="http://purl.obolibrary.org/obo/X_2"/>
    </owl:Restriction></rdfs:subClassOf>
  </owl:Class>
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/X_5">
    <rdfs:label>old yawl</rdfs:label>
    <owl:deprecated rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">true</owl:deprecated>
    <obo:IAO_0100001 rdf:resource="http://purl.obolibrary.org/obo/X_4"/>
  </owl:Class>
</rdf:RDF>""",
).replace("<rdf:RDF ", '<rdf:RDF xmlns:obo="http://purl.obolibrary.org/obo/" ')


def test_owl_as_pronto_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "o.owl"
    path.write_text(MORE_OWL, encoding="utf-8")
    found = list(owl.read(path, on_bad=lambda _: None))
    assert as_tuples(of(Entity, iter(found))) == pronto_terms(path)
    assert len(pronto_terms(path)) == 3
    assert of(Redirect, iter(found)) == [Redirect("X:44", "X:4"), Redirect("X:5", "X:4")]
    assert of(Relation, iter(found)) == [Relation("X:4", "X:90", "has part", "X:2")]
    assert of(Skipped, iter(found)) == [Skipped("obsolete")]


def test_owl_that_pronto_does_not_read(tmp_path: Path) -> None:
    """Classes above that are declared elsewhere, and classes declared in other words."""
    path = tmp_path / "o.owl"
    more = """
      <owl:Class rdf:ID="a"><rdfs:label xml:lang="en">keel</rdfs:label>
        <rdfs:label xml:lang="de">Kiel</rdfs:label>
        <rdfs:subClassOf rdf:resource="http://www.w3.org/2002/07/owl#Thing"/>
        <rdfs:subClassOf rdf:resource="http://elsewhere.example/part"/></owl:Class>
      <rdf:Description rdf:about="http://ours.example/o#b"><rdfs:label>rib</rdfs:label>
        <rdf:type rdf:resource="http://www.w3.org/2002/07/owl#Class"/></rdf:Description>
      <owl:Class rdf:about="#c"><rdfs:label xml:lang="de">Spant</rdfs:label></owl:Class>
      <owl:NamedIndividual rdf:about="#d"><rdfs:label>Argo</rdfs:label></owl:NamedIndividual>
    </rdf:RDF>"""
    path.write_text(OWL.replace("</rdf:RDF>", more), encoding="utf-8")
    found = list(owl.read(path, on_bad=lambda _: None))
    o = "http://ours.example/o#"
    assert of(Entity, iter(found))[:2] == [
        Entity(f"{o}a", "keel", types=("http://elsewhere.example/part",)),
        Entity(f"{o}b", "rib"),
    ]
    assert of(Skipped, iter(found)) == [
        Skipped("no name in 'en'", f"{o}c"),
        Skipped("individuals, not classes (--format skos reads them)"),
    ]
    in_german = of(Entity, owl.read(path, Settings(language="de"), on_bad=lambda _: None))
    assert [e.name for e in in_german] == ["Kiel", "rib", "Spant", "vessel", "sloop"]


def test_owl_as_turtle(tmp_path: Path) -> None:
    path = tmp_path / "o.owl"
    text = """@prefix owl: <http://www.w3.org/2002/07/owl#> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    <http://ours.example/a> a owl:Class ; rdfs:label "keel" ; rdfs:comment "Below." .
    """
    path.write_text(text, encoding="utf-8")
    assert of(Entity, owl.read(path)) == [Entity("http://ours.example/a", "keel", (), "Below.")]


TTL = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix x: <http://ours.example/> .
x:a a skos:Concept ; skos:prefLabel "boat"@en, "Boot"@de ; skos:altLabel "vessel"@en, "canot"@fr ;
  skos:definition "it floats"@en ; skos:broader x:b ; skos:related x:c .
x:b a skos:Concept ; skos:prefLabel "craft"@en-GB ; skos:broader x:a .
x:c a skos:Concept ; skos:prefLabel "Anker"@de ; skos:related x:a .
x:d a x:Brand ; <http://schema.org/name> "Keel & Co" .
"""


def test_skos(tmp_path: Path) -> None:
    path = tmp_path / "v.ttl"
    path.write_text(TTL, encoding="utf-8")
    found = list(skos.read(path))
    x = "http://ours.example/"
    assert [r for _, r in found if isinstance(r, Entity)] == [
        Entity(f"{x}a", "boat", ("vessel",), "it floats", types=(f"{x}b",), type_names=("craft",)),
        Entity(f"{x}b", "craft", types=(f"{x}a",), type_names=("boat",)),
        Entity(f"{x}d", "Keel & Co", types=(f"{x}Brand",)),
    ]
    assert of(Skipped, iter(found)) == [Skipped("no name in 'en'", f"{x}c")]
    assert of(Relation, iter(found)) == [Relation(f"{x}a", "related", "related to", f"{x}c")]
    german = of(Entity, skos.read(path, Settings(language="de")))
    assert [e.name for e in german] == ["Boot", "Anker", "Keel & Co"]


def test_skos_without_a_label_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "v.ttl"
    path.write_text(
        TTL
        + """@prefix xl: <http://www.w3.org/2008/05/skos-xl#> .
        x:e a skos:Concept ; xl:prefLabel x:e1, x:e2 ; xl:altLabel x:e3 .
        x:e1 a xl:Label ; xl:literalForm "mast"@en . x:e2 xl:literalForm "Mast"@de .
        x:e3 xl:literalForm "pole"@en .
        x:f skos:altLabel "spar"@en . x:g skos:notation "7" . x:h a skos:Concept .
        """,
        encoding="utf-8",
    )
    found = list(skos.read(path))
    x = "http://ours.example/"
    assert Entity(f"{x}e", "mast", ("pole",)) in [record for _, record in found]
    assert [s for s in of(Skipped, iter(found)) if s.id != f"{x}c"] == [
        Skipped("no label (skos:prefLabel, rdfs:label)", f"{x}{letter}") for letter in "fgh"
    ]


def test_skos_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "v.ttl"
    path.write_text("@prefix x: <http://ours.example/> .\nx:a x:b x:c .\n", encoding="utf-8")
    with pytest.raises(InputError, match="nothing in it has a label"):
        list(skos.read(path))
    path.write_text("not turtle", encoding="utf-8")
    with pytest.raises(InputError, match="not readable as turtle"):
        list(skos.read(path))


def test_terms(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"C1|O1||Boat|Vessel|Boat\n\nC2||Mast\nC3|Keel\n||x\nC4||\xff\n")
    told: list[str] = []
    found = [record for _, record in terms.read(path, on_bad=told.append)]
    assert found == [
        Entity("C1", "Boat", ("Vessel",)),
        Redirect("O1", "C1"),
        Entity("C2", "Mast"),
    ]
    assert [line.split(": ")[0] for line in told] == [f"{path}:{n}" for n in (4, 5, 6)]


def test_a_real_dictionary(shared: Path) -> None:
    path = shared / "data" / "raw" / "medic_06Jul2012.txt.gz"
    found = of(Entity, read_source(path, "terms"))
    assert len(found) == 11_915
    names = {entity.id: {entity.name, *entity.aliases} for entity in found}
    assert {"Tooth Agenesis, Selective, 6", "STHAG6"} <= names["C567755"]


def test_obo_counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "o.obo"
    path.write_text(
        "[Term]\nid: a\nname: A\nis_a: ! nothing\nis_a:\nis_a: b ! B\n\n[Instance]\nid: i\n\n"
        "[Typedef]\nname: part of\n",
        encoding="utf-8",
    )
    told: list[str] = []
    found = list(read_source(path, on_bad=told.append))
    assert [record for _, record in found] == [
        Entity("a", "A", types=("b",), type_names=("B",)),
        Parent("a", "b"),
        Skipped("[Instance], not [Term]"),
    ]
    assert told == [
        f"{path}:1: a: an is_a without a term; write is_a: ID",
        f"{path}:11: a typedef without id; add 'id: ...'",
    ]


def test_obo_graphs(tmp_path: Path) -> None:
    path = tmp_path / "o.json.gz"
    start = "http://purl.obolibrary.org/obo/X_"
    nodes = [
        {"id": f"{start}1", "lbl": "vessel", "type": "CLASS"},
        {"id": f"{start}2", "lbl": "sloop", "type": "CLASS"},
        {"id": f"{start}3", "type": "CLASS"},
        {"id": f"{start}4", "lbl": "Argo", "type": "INDIVIDUAL"},
        {"id": f"{start}5", "lbl": "of no type"},
    ]
    edges = [{"sub": f"{start}2", "pred": "is_a", "obj": f"{start}1"}]
    graph = {"id": "o", "nodes": nodes, "edges": edges}
    path.write_bytes(gzip.compress(json.dumps({"graphs": [graph]}).encode()))
    told: list[str] = []
    found = list(read_source(path, "owl", on_bad=told.append))
    assert of(Entity, iter(found)) == [
        Entity("X:1", "vessel"),
        Entity("X:2", "sloop", types=("X:1",), type_names=("vessel",)),
    ]
    assert of(Skipped, iter(found)) == [Skipped("nodes that are no class")] * 2
    assert told == [f"{path}: X:3: a class without a label; give it an rdfs:label"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "JSON, but no OBO graphs"),
        ('{"graphs": []}', "JSON, but no OBO graphs"),
        ('{"graphs": [', "not JSON"),
        ('{"graphs": 3}', "not an ontology that pronto can read"),
        ('[{"id": "a"}]', "not an ontology that pronto can read"),
    ],
)
def test_no_ontology_in_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "o.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        list(read_source(path, "owl"))


def test_terms_in_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a||Ä|x\nb||B\n", encoding="utf-16")
    found = [record for _, record in read_source(path, "terms", Settings(encoding="UTF16"))]
    assert found == [Entity("a", "Ä", ("x",)), Entity("b", "B")]
