"""Which column of a table is the id, the name, the description: guessed, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entlink.errors import InputError

FIELDS = ("id", "name", "aliases", "description", "types", "popularity", "uses")
_SINGLE = ("id", "name", "popularity", "uses")  # fields that one column fills

_EXACT = {
    "id": """id identifier key code sku qid cui uri uuid entityid conceptid articlenumber
        productid itemid ean gtin isbn""",
    "name": """name title label canonicalname preferredname preferredlabel preflabel term
        productname entity headword company product displayname fullname""",
    "aliases": """aliases alias synonyms synonym altnames altname alternativenames altlabel
        altlabels alternativelabels alsoknownas aka othernames names nicknames abbreviation
        abbreviations acronym acronyms shortname shortnames""",
    "description": """description desc definition summary about gloss abstract shortdescription
        longdescription text details""",
    "types": """type types category categories class classes kind kinds group typeids
        semantictype semantictypes entitytype producttype""",
    "popularity": "popularity",
    "uses": "uses views pageviews inlinks frequency freq sales",
}
_BY_NAME = {word: field for field, words in _EXACT.items() for word in words.split()}
_BY_ENDING = (("id", "id"), ("code", "id"), ("name", "name"), ("title", "name"))  # last words
_NO_IDS = frozenset(  # "country code": many rows share one
    ("area", "country", "currency", "dial", "dialling", "dialing", "language", "locale", "post",
     "postal", "region", "state", "zip")
)  # fmt: skip
_WORDS = re.compile(r"[A-Z]*[^\W_A-Z]+|[A-Z]+")  # "articleID", "article_id": article, id


@dataclass(frozen=True, slots=True)
class Columns:
    """For each field the places of its columns; whatever is not named is kept as it is."""

    header: tuple[str, ...]
    fields: Mapping[str, tuple[int, ...]]
    doubtful_id: bool = False  # the column of ids is told by the last word of its name alone

    @property
    def rest(self) -> tuple[int, ...]:
        """Places of the columns that no field takes."""
        taken = {place for places in self.fields.values() for place in places}
        return tuple(place for place in range(len(self.header)) if place not in taken)

    def __str__(self) -> str:
        """One line that shows a person how the table is read."""
        told = [
            f"{field} <- {' and '.join(repr(self.header[place]) for place in self.fields[field])}"
            for field in FIELDS
            if field in self.fields
        ]
        if "id" not in self.fields:
            told.insert(0, "id <- the number of the row")
        line = ", ".join(told)
        if self.rest:
            line += f"; kept as they are: {', '.join(repr(self.header[p]) for p in self.rest)}"
        return line


def choose_columns(
    where: str, header: Sequence[str], chosen: Mapping[str, Sequence[str]]
) -> Columns:
    """Guess the fields of a table from its header; what the user has chosen comes first.

    Raises InputError where a chosen column is not there, or where no column looks like a name.
    """
    names = tuple(name.strip() or f"column {place}" for place, name in enumerate(header, start=1))
    fields = {
        field: tuple(_find(where, names, column) for column in columns)
        for field, columns in chosen.items()
    }
    for field in fields:
        if field in _SINGLE and len(fields[field]) > 1:
            raise InputError(f"{where}: {field!r} is given two columns; name one")
    taken = {place for places in fields.values() for place in places}
    folded = [re.sub(r"[\W_]+", "", name.casefold()) for name in names]
    for place, word in enumerate(folded):
        field = _BY_NAME.get(word, "")
        if field and place not in taken and field not in chosen:
            if field in fields and field in _SINGLE:
                continue
            fields[field] = (*fields.get(field, ()), place)
            taken.add(place)
    doubtful_id = False
    for ending, field in _BY_ENDING:
        for place, name in enumerate(names):
            if field not in fields and place not in taken and _ends_in(name, ending):
                fields[field] = (place,)
                taken.add(place)
                doubtful_id = doubtful_id or field == "id"
    if "name" not in fields:
        raise InputError(
            f"{where}: no column looks like a name among {', '.join(map(repr, names))}; "
            "say which, as in --columns id=COLUMN,name=COLUMN"
        )
    return Columns(names, fields, doubtful_id)


def _ends_in(name: str, ending: str) -> bool:
    """Whether this is the last of several words, and they are not those of a country code."""
    words = [word.casefold() for word in _WORDS.findall(name)]
    return len(words) > 1 and words[-1] == ending and _NO_IDS.isdisjoint(words)


def parse_choice(text: str) -> dict[str, tuple[str, ...]]:
    """Read "id=sku,name=title,aliases=brand,aliases=short" into {field: columns}."""
    chosen: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or field not in FIELDS:
            raise InputError(
                f"--columns: {part!r} is not FIELD=COLUMN; fields are {', '.join(FIELDS)}"
            )
        chosen[field] = (*chosen.get(field, ()), column)
    return chosen


def _find(where: str, names: Sequence[str], column: str) -> int:
    for candidates in (names, [name.casefold() for name in names]):
        wanted = column if candidates is names else column.casefold()
        if wanted in candidates:
            return list(candidates).index(wanted)
    if column.isdigit() and 1 <= int(column) <= len(names):
        return int(column) - 1
    raise InputError(
        f"{where}: no column {column!r}; there are {', '.join(map(repr, names))}, or say its number"
    )
