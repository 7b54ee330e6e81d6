"""What an entity is, as one phrase: "American film director", "city in Nebraska, United States"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from entlink.kb.demonyms import DEMONYMS
from entlink.kb.kinds import (
    COMPANIES,
    IMPLIED_OCCUPATIONS,
    KIND_SIGNS,
    LOOSE_KINDS,
    OCCUPATION_PROOFS,
    OCCUPATION_SIGNS,
    RENAMED_KINDS,
    SAME_OCCUPATION,
    is_former,
    kind_rank,
    occupation_rank,
)
from entlink.records import Entity

Side = tuple[str, bool]  # (property, whether the entity is the head)
Values = Mapping[Side, Sequence[str]]  # names at the other end, the best known first
Used = frozenset[Side]  # facts that the phrase already tells

_MAX_OCCUPATIONS = 3
_MAX_KINDS = 2
_HUMAN = frozenset(("human", "person"))
_PERSON_FACTS = ("P106", "P27", "P19", "P20", "P1412", "P26", "P172", "P69", "P551", "P1303")
_WORK_FACTS = ("P57", "P161", "P50", "P178", "P449", "P58", "P750", "P364")
_CREATORS = (
    ("P57", "directed by"),
    ("P50", "by"),
    ("P178", "developed by"),
    ("P170", "created by"),
    ("P175", "by"),
)
_HIGH_OFFICE = re.compile(
    r"^(President|Vice President|Prime Minister|Chancellor|King|Queen|Emperor|Pope|Governor|Mayor"
    r"|Secretary|First Lady|monarch|Pharaoh|Sultan|Tsar|United States [Ss]enator)"
)
_STATES = re.compile(r"^(sovereign state|state of the United States|country|continent)")
_REGIONS: tuple[Side, ...] = (("P1376", True), ("P131", True), ("P150", False))
_OF_A_COUNTRY = re.compile(r"^(city|town|village) of (?:the )?(.+)$")
# Words that begin a kind and are names, so that their capital stays.
_CAPITALISED = frozenset(DEMONYMS.values()) | {"Academy", "Roman", "Catholic", "Christian"}


def what_it_is(entity: Entity, values: Values) -> tuple[str, Used]:
    """The phrase ("" if nothing is known) and the facts that it already tells."""
    kinds = _kinds(entity, values)
    lowered = {kind.lower() for kind in kinds}
    if lowered & _HUMAN or (not kinds and any((p, True) in values for p in _PERSON_FACTS)):
        return _person(values)
    shown = _shown_kinds(kinds) or _implied_kind(values)
    if not shown:
        return _class(entity, values)
    if shown[0] == "band":
        return _band(values)
    if any((prop, True) in values for prop in _WORK_FACTS):
        return _work(shown[0], values)
    return _thing(entity, shown, values)


def _kinds(entity: Entity, values: Values) -> list[str]:
    names = [*entity.type_names, *values.get(("P31", True), ())]
    return list({name.lower(): name for name in reversed(names)}.values())[::-1]


def _shown_kinds(kinds: Sequence[str]) -> list[str]:
    """The one or two kinds that say most, worded alike whatever their case in the data."""
    chosen: list[str] = []
    for kind in sorted(kinds, key=kind_rank):
        words = set(re.findall(r"\w+", kind.lower()))
        said = any(words & set(re.findall(r"\w+", other.lower())) for other in chosen)
        alone = bool(chosen) and (kind_rank(chosen[0]) != 0 or " of " in chosen[0])
        if not chosen or not (alone or said or kind_rank(kind) != 0):
            chosen.append(kind)
    return [RENAMED_KINDS.get(kind.lower(), _lowered(kind)) for kind in chosen[:_MAX_KINDS]]


def _lowered(kind: str) -> str:
    """The kind without the capital of a title: "Music genre", but not "Academy Awards"."""
    first, _, rest = kind.partition(" ")
    if first[1:] != first[1:].lower() or any(w[:1].isupper() for w in rest.split()):
        return kind
    return kind if first in _CAPITALISED or "." in first else kind[:1].lower() + kind[1:]


def _implied_kind(values: Values) -> list[str]:
    genres = " ".join(values.get(("P136", True), ())).lower()
    if "television" in genres or "sitcom" in genres or "series" in genres:
        return ["television series"]
    if "film" in genres:
        return ["film"]
    return [kind for prop, forward, kind in KIND_SIGNS if (prop, forward) in values][:1]


def _class(entity: Entity, values: Values) -> tuple[str, Used]:
    above = [name for name in values.get(("P279", True), ()) if name != entity.name]
    if above:  # the least known is the most specific
        return f"kind of {_and(above[::-1][:2])}", frozenset({("P279", True)})
    for side in (("P279", False), ("P31", False)):
        if below := values.get(side, ()):
            used = frozenset({side}) if len(below) <= 2 else frozenset()
            return f"class of things such as {_and(below[:2])}", used
    return "", frozenset()


def _person(values: Values) -> tuple[str, Used]:
    used = {("P106", True), ("P27", True), ("P31", True)}
    countries = values.get(("P27", True), ()) or values.get(("P1532", True), ())
    adjectives = list(dict.fromkeys(DEMONYMS[c] for c in countries if c in DEMONYMS))[:2]
    work = _occupations(values)
    phrase = " ".join(("-".join(adjectives), _and(work) or "person")).strip()
    if countries and not adjectives:
        phrase += f" from {countries[0]}"
    office = [name for name in values.get(("P39", True), ()) if _HIGH_OFFICE.match(name)][:1]
    return ", ".join((phrase, *office)), frozenset(used)


def _occupations(values: Values) -> list[str]:
    names = [
        name.lower() if name[1:].islower() else name for name in values.get(("P106", True), ())
    ]
    names = list(dict.fromkeys(SAME_OCCUPATION.get(name, name) for name in names))
    sports = values.get(("P641", True), ())
    plays = ("P54", True) in values or ("P413", True) in values
    if sports and (plays or not names or "sportsperson" in names):
        player = f"{sports[0]} player" if plays or "ball" in sports[0] else f"{sports[0]} athlete"
        player = player.replace("american ", "American ")
        names = [player, *(name for name in names if name not in (player, "sportsperson"))]
    if not names:
        names = _implied_occupations(values)
    rest = set(names)
    kept = [n for n in names if not IMPLIED_OCCUPATIONS.get(n, frozenset()) & (rest - {n})]
    shown = {
        work
        for prop, forward, least, works in OCCUPATION_PROOFS
        if len(values.get((prop, forward), ())) >= least
        for work in works
    }
    kept = sorted(kept or names, key=lambda name: (name not in shown, occupation_rank(name)))
    return kept[:_MAX_OCCUPATIONS]


def _implied_occupations(values: Values) -> list[str]:
    names = [work for prop, forward, work in OCCUPATION_SIGNS if (prop, forward) in values]
    if "voice" in values.get(("P1303", True), ()):
        names = ["singer" if name == "musician" else name for name in names]
    return list(dict.fromkeys(names))


def _work(kind: str, values: Values) -> tuple[str, Used]:
    used = {("P31", True)}
    origins = values.get(("P495", True), ())
    origin = [DEMONYMS[c] for c in origins[:1] if c in DEMONYMS]
    if origin and len(origins) == 1:
        used.add(("P495", True))
    genre = next(iter(values.get(("P136", True), ())), "")
    if set(genre.lower().split()) & set(kind.split()) and len(genre.split()) <= 3:
        phrase = " ".join((*origin, genre.lower()))
    elif genre and len(genre.split()) <= 2 and "film" not in genre:
        phrase = " ".join((*origin, genre, kind))
    else:
        phrase = " ".join((*origin, kind))
    if len(values.get(("P136", True), ())) == 1:
        used.add(("P136", True))
    for prop, word in _CREATORS:
        makers = values.get((prop, True), ())
        if makers:
            phrase += f" {word} {_and(makers[:2])}"
            used |= {(prop, True)} if len(makers) <= 2 else set()
            break
    return phrase, frozenset(used)


def _band(values: Values) -> tuple[str, Used]:
    origins = values.get(("P495", True), ()) or values.get(("P17", True), ())
    origin = [DEMONYMS[c] for c in origins[:1] if c in DEMONYMS]
    genres = [g.removesuffix(" music") for g in values.get(("P136", True), ())[:1]]
    return " ".join((*origin, *genres, "band")), frozenset({("P495", True), ("P31", True)})


def _thing(entity: Entity, shown: Sequence[str], values: Values) -> tuple[str, Used]:
    used: set[Side] = {("P31", True)}
    of_country = _OF_A_COUNTRY.match(shown[0])
    kind = of_country.group(1) if of_country else _and(shown)
    where, told = _where(entity, of_country.group(2) if of_country else "", kind, values)
    sport = next(iter(values.get(("P641", True), ())), "")
    if sport and sport.lower() not in kind.lower() and not kind.startswith(sport.split()[0]):
        kind = f"{sport} {kind}"
    if kind.lower() in COMPANIES and ("P452", True) in values:
        industries = [name.removesuffix(" industry") for name in values["P452", True]]
        kind = f"{_and([_lowered(name) for name in industries[:2]])} company"
        origin = next(iter(values.get(("P495", True), ())), "")
        if not where and origin in DEMONYMS:
            kind = f"{DEMONYMS[origin]} {kind}"
            used |= {("P495", True)}
    above = [name for name in values.get(("P279", True), ()) if name != entity.name]
    if above and shown[0].lower() in LOOSE_KINDS and not where:
        kind += f", kind of {above[-1]}"
        used |= {("P279", True)} if len(above) == 1 else set()
    return kind + where, frozenset(used | told)


def _where(entity: Entity, country: str, kind: str, values: Values) -> tuple[str, set[Side]]:
    """A tail such as " in Nebraska, United States", and the facts that it tells."""
    used: set[Side] = set()
    countries = values.get(("P17", True), ())
    if not country and countries and entity.name not in countries:
        country = _country(countries)
        used |= {("P17", True)} if len(countries) == 1 else set()
    if seat := _capital_of(entity, values):
        used |= {("P1376", True)} if tuple(values.get(("P1376", True), ())) == (seat,) else set()
        return f", capital of {seat}", used
    inside = "" if _STATES.match(kind) else _region((entity.name, *countries, country), values)
    if inside and inside not in kind:
        where = f" in {inside}"
        used |= {side for side in _REGIONS if tuple(values.get(side, ())) == (inside,)}
    elif seats := [s for s in values.get(("P159", True), ()) if s != entity.name]:
        where = f" based in {seats[0]}"
        used |= {("P159", True)} if len(seats) == 1 else set()
    else:
        where = ""
    if country and country not in kind + where:
        where += f", {country}" if where else f" in {country}"
    if not where and ("P30", True) in values:
        where = f" in {_and(values['P30', True][:2])}"
        used.add(("P30", True))
    return where, used


def _capital_of(entity: Entity, values: Values) -> str:
    """The country of today that the place is the capital of."""
    seats = values.get(("P36", False), ())
    if "capital" in entity.type_names:
        seats = (*seats, *values.get(("P1376", True), ()))
    # New York and Philadelphia once were, too.
    once = {"United States"} if "federal district" not in entity.type_names else set()
    present = [s for s in seats if s in DEMONYMS and not is_former(s) and s not in once]
    return present[0] if present else ""


def _country(countries: Sequence[str]) -> str:
    """Of several countries of a place the one least told of: great powers come and go."""
    present = [name for name in countries if name in DEMONYMS and not is_former(name)]
    return present[-1] if present else countries[0]


def _region(known: Sequence[str], values: Values) -> str:
    """What the place is the seat of, or lies in, below the country."""
    for side in _REGIONS:
        for name in values.get(side, ()):
            if name not in known and name not in DEMONYMS and not is_former(name):
                return name
    return ""


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
