from __future__ import annotations

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc

from entlink.detect.gazetteer import Gazetteer, bears_as_name
from entlink.detect.windows import MAX_TOKENS, Words, eligible_windows
from entlink.kb.aliases import normalise
from entlink.records import Entity
from tests.detect.fakes import FakeNames

ENTITIES = (
    Entity("E1", "New York City", aliases=("New York", "NYC")),
    Entity("E2", "York"),
    Entity("E3", "The New York Times", aliases=("New York Times",)),
    Entity("E4", "life"),
    Entity("E5", "president"),
    Entity("E6", "President", aliases=("The President",)),  # a film
    Entity("E7", "Germany", aliases=("german", "Deutschland")),
    Entity("E8", "iPhone"),
    Entity("E9", "United States of America", aliases=("US", "U.S.")),
    Entity("E10", "Vincent van Gogh", aliases=("van Gogh",)),
    Entity("E11", "Café Central"),
    Entity("E12", "May"),
    Entity("E13", "Results"),
    Entity("E14", "1984"),
    Entity("E15", "Paris"),
    Entity("E16", "Texas", aliases=("Paris, Texas",)),
    Entity("E17", "C++"),
    Entity("E18", "C#"),
    Entity("E19", "C"),
    Entity("E20", "Iraq"),
    Entity("E21", "The Hague", aliases=("Hague",)),
    Entity("E22", "Kingdom", aliases=("The Kingdom",)),
    Entity("E23", "NATO"),
)


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def found(nlp: Language, text: str, *ordinary: str) -> set[str]:
    doc = nlp.make_doc(text)
    gazetteer = Gazetteer(FakeNames(ENTITIES), ordinary=frozenset(ordinary))
    return {doc[s:e].text for s, e in gazetteer.find([doc])[0].windows}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left New York City for York.", {"New York City", "New York", "York"}),
        ("They saw York Minster.", set()),  # York has company
        ("She reads the New York Times.", {"New York Times", "New York"}),
        ("That is life, said the president.", set()),
        ("And so the President spoke of Life.", set()),  # the KB has it as a word as well
        ("he likes his iPhone", {"iPhone"}),
        ("we in the US live; it is with us", {"US"}),
        ("a painting by van Gogh hung there", {"van Gogh"}),
        ("she met him in cafe central", set()),
        ("she met him in Cafe Central", {"Cafe Central"}),
        ("it was in May that it rained", set()),
        ("in the year 1984 it rained", set()),
        ("they flew to Paris, Texas", {"Paris", "Texas"}),
        ("the train to New\nYork", {"New\nYork", "York"}),  # a wrapped line
        ("the train to New\n\nYork", set()),
        ("C++ is old. He wrote it in C++ and in C#, not in C.", {"C++", "C#"}),
        ("in C #1 and in C#Corner", set()),
        # peoples, wherever they stand, of places that are there
        ("the Iraqi President met Cuban soldiers", {"Iraqi"}),
        ("It rained. Iraqis went home.", {"Iraqis"}),
        # articles that are part of the name, and those that are not
        ("and so The Hague it was", {"The Hague", "Hague"}),
        ("and so The Kingdom it was", {"Kingdom"}),
        # words in capitals have company only of such
        ("she asked NATO Secretary Anna Bell", {"NATO"}),
        ("so Anna Bell NATO it was", {"NATO"}),
        ("he saw NATO BASE there", set()),
    ],
)
def test_what_counts(nlp: Language, text: str, expected: set[str]) -> None:
    assert found(nlp, text) == expected


def test_a_word_that_starts_a_sentence_needs_to_be_seen_elsewhere(nlp: Language) -> None:
    assert found(nlp, "Results came late.") == set()
    assert found(nlp, "Results came late to the town of Results.") == {"Results"}
    assert found(nlp, "It rained. Germany won.") == set()
    assert found(nlp, "It rained. Germany won, and all over Germany people sang.") == {"Germany"}


def test_with_a_list_of_ordinary_words_it_needs_not_to_be_one(nlp: Language) -> None:
    assert found(nlp, "Results came late. Germany won.", "results") == {"Germany"}
    assert found(nlp, "He told us of Results and of Germany.", "results") == {"Germany"}
    assert found(nlp, "GERMANY WIN AT LAST", "results") == {"GERMANY"}


def test_headlines_in_capitals(nlp: Language) -> None:
    assert found(nlp, "GERMANY GET LATE WIN IN PARIS") == set()
    text = "GERMANY GET LATE WIN IN PARIS. The team of Germany won."
    assert found(nlp, text) == {"GERMANY", "Germany"}
    assert "NEW YORK CITY" in found(nlp, "RAIN FALLS IN NEW YORK CITY TODAY")


def test_one_lookup_for_all_docs_and_none_for_what_is_known(nlp: Language) -> None:
    names = FakeNames(ENTITIES)
    gazetteer = Gazetteer(names)
    docs = [nlp.make_doc(t) for t in ("I saw Paris.", "I saw York.", "")]
    gazetteer.find(docs)
    assert names.n_lookups == 1
    gazetteer.find(docs)
    assert names.n_lookups == 1


_NLP = spacy.blank("en")

_WORDS = (
    "New York City Times The the of Germany GERMANY US us van Gogh life President Paris , . \n "
    "\n\n ( ) ( : Results RESULTS iPhone 1984 May \U0001f600 باريس Café St A B"
)
WORDS = st.sampled_from(_WORDS.split(" "))
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)


def named(surface: str) -> bool:
    """Whether any entity's name or alias, compared one by one, is this surface with a capital."""
    return any(bears_as_name(entity, surface) for entity in ENTITIES)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, start=st.integers(0, 10), length=st.integers(1, 10))
def test_names_inside_a_span_equal_brute_force(text: str, start: int, length: int) -> None:
    doc = _NLP.make_doc(text)
    span = (min(start, len(doc)), min(start + length, len(doc)))
    inside = Gazetteer(FakeNames(ENTITIES)).find([doc], [[span]])[0].inside
    words = [any(c.isalnum() for c in token.text) for token in doc]
    assert inside == {
        (a, b)
        for a in range(*span)
        for b in range(a + 1, min(span[1], a + MAX_TOKENS) + 1)
        if words[a] and words[b - 1] and named(doc[a:b].text)
    }


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_equals_brute_force_over_all_windows(text: str) -> None:
    """Oracle: every window of the doc, compared with every name of every entity one by one."""
    doc = _NLP.make_doc(text)
    windows = Gazetteer(FakeNames(ENTITIES)).find([doc])[0].windows
    eligible = set(eligible_windows(Words.of(doc)))
    expected = []
    for start in range(len(doc)):
        for end in range(start + 1, min(len(doc), start + MAX_TOKENS) + 1):
            surface = doc[start:end].text
            bearers = [
                e
                for e in ENTITIES
                if any(normalise(name) == normalise(surface) for name in (e.name, *e.aliases))
            ]
            one_word = len(surface.split()) == 1 and not surface.isupper()
            small = any(
                e.name == e.name.lower() and normalise(e.name) == normalise(surface)
                for e in bearers
                if not any(c.isdigit() for c in e.name)
            )
            if (start, end) in eligible and named(surface) and not (one_word and small):
                expected.append((start, end))
    assert list(windows) == expected


SMALL = (
    Entity("S1", "Quorvex aton", aliases=("Quorvex",)),
    Entity("S2", "meat", aliases=("Red meat",)),
    Entity("S3", "Red wine", aliases=("Falcon of the north",)),
    Entity("S4", "English law"),
    Entity("S5", "England"),
    Entity("S6", "Swiss army"),
    Entity("S7", "20th century", aliases=("The end", "May day")),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the pumps of Quorvex aton were sold", {"Quorvex aton", "Quorvex"}),
        ("Quorvex aton was sold", {"Quorvex aton"}),
        ("the pumps of Quorvex Aton were sold", {"Quorvex Aton"}),  # by its capitals
        ("the pumps of QUORVEX aton were sold", {"QUORVEX"}),
        ("the pumps of Quorvex,\naton, were sold", {"Quorvex"}),
        ("the pumps of Quorvex\naton were sold", {"Quorvex\naton", "Quorvex"}),
        ("she eats Red meat and drinks Red wine", {"Red meat", "Red wine"}),
        ("Red meat is sold. Red wine is not.", {"Red wine"}),  # an alias, and a name
        ("they saw Falcon of the north.", {"Falcon of the north"}),
        ("under English law", {"English"}),  # a people whose country is there
        ("under the Swiss army", {"Swiss army"}),  # and one whose country is not
        ("the 20th century, The end on May day", set()),
    ],
)
def test_exact_names_that_end_small(nlp: Language, text: str, expected: set[str]) -> None:
    doc = nlp.make_doc(text)
    windows = Gazetteer(FakeNames(SMALL)).find([doc])[0].windows
    assert {doc[s:e].text for s, e in windows} == expected


def test_an_alias_that_ends_in_an_ordinary_word_is_none(nlp: Language) -> None:
    doc = nlp.make_doc("she eats Red meat and drinks Red wine")
    gazetteer = Gazetteer(FakeNames(SMALL), ordinary=frozenset(["meat", "wine"]))
    assert [doc[s:e].text for s, e in gazetteer.find([doc])[0].windows] == ["Red wine"]


_DRINKS = "Quorvex aton Red red wine meat Falcon of the north NORTH , . ( ) and"


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.sampled_from(_DRINKS.split()), max_size=20).map(" ".join))
def test_exact_names_equal_brute_force(text: str) -> None:
    """Oracle: every window whose end is small, compared letter by letter with every name."""
    doc = _NLP.make_doc(text)
    words = [token.text for token in doc]
    expected = set()
    for a in range(len(words)):
        for b in range(a + 2, min(len(words), a + MAX_TOKENS) + 1):
            surface = " ".join(words[a:b])
            own = any(surface == e.name for e in SMALL)
            alias = any(surface in e.aliases for e in SMALL)
            if words[a][0].isupper() and words[b - 1].islower() and (own or alias):
                first = next((i for i in range(a - 1, -1, -1) if words[i][0].isalpha()), -1)
                starts = first == -1 or "." in words[first + 1 : a]
                if own or not starts:
                    expected.add((a, b))
    found = Gazetteer(FakeNames(SMALL)).find([doc])[0].windows
    assert {(a, b) for a, b in found if words[b - 1].islower()} == expected


ILLS = (
    Entity("D1", "heart failure", aliases=("failure of the heart", "HF")),
    Entity("D2", "Crohn's disease", aliases=("Crohn Disease",)),
    Entity("D3", "type 2 diabetes", aliases=("Diabetes Mellitus, Type 2", "T2D")),
    Entity("D4", "beta-thalassemia"),
    Entity("D5", "amyotrophic lateral sclerosis", aliases=("ALS",)),
    Entity("D6", "acute lymphoblastic leukemia", aliases=("ALL",)),
    Entity("D7", "Cancer", aliases=("the cancer", "ca")),
    Entity("D8", "hepatitis A", aliases=("type I hepatitis",)),
    Entity("D9", "mucolipidosis II", aliases=("I-cell disease",)),
)


def ills(nlp: Language, text: str, *ordinary: str) -> list[str]:
    doc = nlp.make_doc(text)
    gazetteer = Gazetteer(FakeNames(ILLS, any_case=True), ordinary=frozenset(ordinary))
    return [doc[s:e].text for s, e in gazetteer.find([doc])[0].windows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The patient had heart failure and type 2 diabetes.",
            ["heart failure", "type 2 diabetes"],
        ),
        ("Failure of the heart, or HEART FAILURE", ["Failure of the heart", "HEART FAILURE"]),
        ("her crohn's disease and his Crohn’s disease", ["crohn's disease", "Crohn’s disease"]),
        ("for beta-thalassemia, beta thalassemia", ["beta-thalassemia", "beta thalassemia"]),
        ("a cancer, Cancers and the cancer", ["cancer", "cancer"]),
        ("als is german for as; ALS is not", ["ALS"]),
        ("All had it; of all, some had ALL", ["ALL"]),
        ("in ca. ten years, hf", []),  # too short
        ("he saw Prof HF Smith", ["HF"]),
        (
            "from I-cell disease, i-cell disease and I - cell disease",
            ["I-cell disease", "i-cell disease"],
        ),
        ("hepatitis A or type I; hepatitis a", ["hepatitis A"]),
        ("hepatitis and type I hepatitis", ["type I hepatitis"]),
        ("heart, failure; heart (failure) type 2\n\ndiabetes", []),
        ("type 2\ndiabetes", ["type 2\ndiabetes"]),
        ("diabetes mellitus, type 2", []),  # a comma breaks it
    ],
)
def test_names_in_any_case(nlp: Language, text: str, expected: list[str]) -> None:
    assert ills(nlp, text, "cancer", "heart", "failure") == expected


def test_what_counts_counts_in_any_case_too(nlp: Language) -> None:
    doc = nlp.make_doc("we in the US saw The Hague; it was a life for the president of York")
    windows = Gazetteer(FakeNames(ENTITIES, any_case=True)).find([doc])[0].windows
    found = [doc[s:e].text for s, e in windows]
    assert found == ["US", "The Hague", "Hague", "life", "president", "York"]


def test_spans_asked_about_are_names_in_any_case(nlp: Language) -> None:
    doc = nlp.make_doc("with heart failure, cancer and als")
    for any_case, expected in (
        (False, {"cancer", "als"}),
        (True, {"cancer", "als", "heart failure"}),
    ):
        names = FakeNames(ILLS, any_case=any_case)
        inside = Gazetteer(names).find([doc], [[(0, len(doc))]], windows=False)[0].inside
        assert {doc[s:e].text for s, e in inside} == expected


_ILL = "heart Heart failure of the crohn Crohn 's ' disease type 2 diabetes DIABETES beta - "
_ILL += "thalassemia ALS als Als cancer Cancer CANCER hepatitis A a I cell , . ( ) T2D HF"


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(st.sampled_from(_ILL.split()), max_size=20),
    spaces=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_any_case_equals_brute_force(words: list[str], spaces: list[bool]) -> None:
    """Oracle: every window without a break in it and a function word at an end, and every name."""
    doc = Doc(_NLP.vocab, words=words, spaces=spaces[: len(words)])
    expected = set(Gazetteer(FakeNames(ILLS)).find([doc])[0].windows)
    names = [name for entity in ILLS for name in (entity.name, *entity.aliases)]
    for a in range(len(words)):
        for b in range(a + 1, min(len(words), a + MAX_TOKENS) + 1):
            surface, part = doc[a:b].text, words[a:b]
            same = [name for name in names if normalise(name) == normalise(surface)]
            ends = {"of", "the", "a", "'s"}
            if (
                not {",", "(", ")"} & set(part)
                and not any(
                    w == "." and words[i - 1] != "A" for i, w in enumerate(words[:b]) if i > a
                )
                and (part[0] not in {*ends, "A", "I"} or (part[1:2] == ["-"] and not spaces[a]))
                and part[0] not in {"-", "'", "."}
                and part[-1] not in {*ends, "-", "'", "."}
                and (
                    (b - a > 1 and same)
                    or (surface == "HF" and "HF" in same)
                    or (
                        sum(c.isalpha() for c in surface) > 2
                        and any(not n.isupper() or surface.isupper() for n in same)
                    )
                )
            ):
                expected.add((a, b))
    found = Gazetteer(FakeNames(ILLS, any_case=True)).find([doc])[0].windows
    assert list(found) == sorted(expected)
