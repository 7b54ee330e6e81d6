"""What an entity is, as one phrase: "American film director", "city in Nebraska, United States"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entlink.kb.demonyms import DEMONYMS
from entlink.records import Entity

Values = Mapping[tuple[str, bool], Sequence[str]]  # (property, entity is the head) -> names
Used = frozenset[tuple[str, bool]]  # facts that the phrase already tells

_MAX_OCCUPATIONS = 3
_MAX_KINDS = 2
_HUMAN = frozenset(("human", "person"))
_PERSON_FACTS = ("P106", "P27", "P19", "P20", "P1412", "P26", "P172", "P69", "P551", "P1303")


def _listed(text: str) -> list[str]:
    return [word for line in text.split("\n") for word in line.split("|") if word]


# Kinds that say less than any other that an entity has; the later in the list, the less.
_WEAK_KINDS = """
capital|county seat|college town|port settlement|border town|county town|enterprise
business|business enterprise|organization|organisation|public company|3d film|feature film
animated feature film|animated film|republic|constitutional monarchy|country|island nation
landlocked country|state or insular area capital in the united states|independent city
hanseatic city|administrative territorial entity|administrative division|human settlement
geographic region|brand|trademark|website|literary work|work|creative work|profession
occupation|position|academic major|academic discipline|specialty|open-access publisher
private not-for-profit educational institution
public educational institution of the united states|land-grant university
land-grant institution|university building|big city|global city|metropolis|megacity
city with millions of inhabitants|city or town|place with town rights and privileges
mediterranean country|island country|member state of the united nations
member state of the european union|social state|episcopal see|cultural center
designation for an administrative territorial entity|economic unit
designation for an administrative territorial entity of a single country|entity|object
concept|term|group of humans|organisms known by a particular common name|taxon|class
group or class of chemical substances|type of sport|wikidata metaclass|second-order class
first-order metaclass|group or class of chemical entities|location|building|structure
film character|wikimedia list article|wikimedia category|wikimedia disambiguation page
"""
_WEAKNESS = {kind: place for place, kind in enumerate(_listed(_WEAK_KINDS), start=1)}
# Occupations that say less than any other, the later the less.
_WEAK_OCCUPATIONS = """
singer-songwriter|songwriter|actor|film director|comedian|screenwriter|film producer
television director|television producer|composer|record producer|director|producer
businessperson|lawyer|author|writer|artist|scientist|diplomat|statesperson|teacher
university teacher|professor|pedagogue|translator|military officer|military personnel
soldier|executive producer|voice actor|model|television presenter|presenter
radio personality|entrepreneur|lyricist|dancer|character actor|film score composer
sportsperson|autobiographer|blogger|spokesperson|investor|restaurateur|farmer|librarian
multi-instrumentalist|music executive|audio engineer|theatrical producer|socialite
memoirist|diarist|opinion journalist|acting|conducting|visual artist|editor|public speaker
bandleader|essayist|non-fiction writer|film editor|cinematographer
"""
_OCCUPATION_WEAKNESS = {
    name: place for place, name in enumerate(_listed(_WEAK_OCCUPATIONS), start=1)
}
_SAME_OCCUPATION = {
    "film actor": "actor", "television actor": "actor", "stage actor": "actor", "acting": "actor",
    "conducting": "conductor", "seiyū": "voice actor", "musician": "musician",
    "association football manager": "football manager",
}  # fmt: skip
_IMPLIED = {  # an occupation that the others in the set already say
    "musician": {"singer", "singer-songwriter", "guitarist", "pianist", "rapper", "drummer",
                 "composer", "jazz musician", "bassist", "violinist", "record producer"},
    "songwriter": {"singer-songwriter"}, "singer": {"singer-songwriter", "rapper", "opera singer"},
    "writer": {"novelist", "poet", "playwright", "screenwriter", "journalist", "author"},
    "author": {"novelist", "poet", "playwright", "journalist", "writer"},
    "film score composer": {"composer"}, "scientist": {"physicist", "chemist", "mathematician",
                                                     "biologist", "astronomer"},
    "voice actor": {"actor"}, "character actor": {"actor"}, "sportsperson": {"player"},
    "businessperson": {"entrepreneur"}, "statesperson": {"politician"},
}  # fmt: skip
_CREATORS = (
    ("P57", "directed by"), ("P175", "by"), ("P50", "by"), ("P178", "by"), ("P170", "created by"),
)  # fmt: skip
# What a relation implies where no type is known, in order of trust: (property, head?, kind).
_IMPLIED_KINDS = (
    ("P264", False, "record label"), ("P449", True, "television series"), ("P57", True, "film"),
    ("P161", True, "film"), ("P175", True, "musical work"), ("P50", True, "book"),
    ("P286", True, "sports team"), ("P118", True, "sports team"), ("P54", False, "sports team"),
    ("P1303", False, "musical instrument"), ("P106", False, "occupation"),
    ("P166", False, "award"), ("P102", False, "political party"),
    ("P69", False, "educational institution"), ("P140", False, "religion"),
    ("P37", False, "language"), ("P1412", False, "language"), ("P27", False, "country"),
    ("P264", True, "musical group"), ("P1376", True, "city"), ("P36", False, "city"),
    ("P131", False, "place"), ("P19", False, "place"), ("P551", False, "place"),
    ("P131", True, "place"), ("P47", True, "place"), ("P108", False, "organization"),
    ("P159", True, "organization"), ("P463", False, "organization"), ("P136", False, "genre"),
    ("P641", False, "sport"), ("P509", False, "cause of death"), ("P710", True, "conflict"),
)  # fmt: skip


def what_it_is(entity: Entity, values: Values) -> tuple[str, Used]:
    """The phrase ("" if nothing is known) and the facts that it already tells."""
    kinds = _kinds(entity, values)
    lowered = {kind.lower() for kind in kinds}
    if lowered & _HUMAN or (not kinds and any((p, True) in values for p in _PERSON_FACTS)):
        return _person(values)
    shown = _shown_kinds(kinds)
    if not shown:
        shown = [k for p, forward, k in _IMPLIED_KINDS if (p, forward) in values][:1]
    if not shown:
        above = [name for name in values.get(("P279", True), ()) if name != entity.name]
        if not above:
            return "", frozenset()
        return f"kind of {_and(above[:2])}", frozenset({("P279", True)})
    if any((prop, True) in values for prop in ("P57", "P161", "P50", "P175", "P178", "P449")):
        return _work(shown, values)
    if "band" in lowered or "musical group" in lowered or shown == ["musical group"]:
        return _group(shown, values)
    return _thing(entity, shown, values)


def _kinds(entity: Entity, values: Values) -> list[str]:
    names = [*entity.type_names, *values.get(("P31", True), ())]
    return list({name.lower(): name for name in reversed(names)}.values())[::-1]


def _shown_kinds(kinds: Sequence[str]) -> list[str]:
    """The one or two kinds that say most, worded alike whatever their case in the data."""
    ranked = sorted(kinds, key=lambda kind: _WEAKNESS.get(kind.lower(), 0))
    chosen: list[str] = []
    for kind in ranked:
        weak = kind.lower() in _WEAKNESS
        words = set(kind.lower().split())
        repeated = any(words & set(other.lower().split()) for other in chosen)
        if not chosen or (not weak and not repeated and len(chosen) < _MAX_KINDS):
            chosen.append(kind)
    return [_lowered(kind) for kind in chosen]


def _lowered(kind: str) -> str:
    """ "Music genre" -> "music genre", but "Academy Awards" and "U.S. state" stay."""
    first, _, rest = kind.partition(" ")
    if first[1:] != first[1:].lower() or any(w[:1].isupper() for w in rest.split()):
        return kind
    if first in DEMONYMS.values() or "." in first:
        return kind
    return kind[:1].lower() + kind[1:]


def _person(values: Values) -> tuple[str, Used]:
    used = {("P106", True), ("P27", True), ("P31", True)}
    countries = values.get(("P27", True), ()) or values.get(("P1532", True), ())
    adjectives = list(dict.fromkeys(DEMONYMS.get(c, "") for c in countries[:2]))
    work = _occupations(values)
    phrase = " ".join(("-".join(a for a in adjectives if a), _and(work) or "person")).strip()
    unnamed = [country for country in countries[:2] if country not in DEMONYMS]
    if unnamed and not any(adjectives):
        phrase += f" from {unnamed[0]}"
    return phrase, frozenset(used)


def _occupations(values: Values) -> list[str]:
    names = [
        name.lower() if name[1:].islower() else name for name in values.get(("P106", True), ())
    ]
    names = list(dict.fromkeys(_SAME_OCCUPATION.get(name, name) for name in names))
    sports = values.get(("P641", True), ())
    plays = ("P54", True) in values or ("P413", True) in values
    if sports and (plays or not names or "sportsperson" in names):
        player = f"{sports[0]} player" if plays or "ball" in sports[0] else f"{sports[0]} athlete"
        names = [player, *(name for name in names if name not in (player, "sportsperson"))]
    kept = [n for n in names if not _IMPLIED.get(n, frozenset()) & (set(names) - {n})] or names
    kept.sort(key=lambda name: _OCCUPATION_WEAKNESS.get(name, 0))
    return kept[:_MAX_OCCUPATIONS]


def _work(shown: Sequence[str], values: Values) -> tuple[str, Used]:
    used = {("P495", True), ("P31", True)}
    genres = [g for g in values.get(("P136", True), ()) if g.lower() not in shown][:1]
    origin = [DEMONYMS[c] for c in values.get(("P495", True), ())[:1] if c in DEMONYMS]
    kind = shown[0]
    phrase = " ".join((*origin, kind))
    if genres:
        genre = genres[0].removesuffix(f" {kind}")
        phrase = " ".join((*origin, genre, kind))
    for prop, word in _CREATORS:
        makers = values.get((prop, True), ())
        if makers:
            phrase += f" {word} {_and(makers[:2])}"
            if len(makers) <= 2:
                used.add((prop, True))
            break
    return phrase, frozenset(used)


def _group(shown: Sequence[str], values: Values) -> tuple[str, Used]:
    origins = values.get(("P495", True), ()) or values.get(("P17", True), ())
    origin = [DEMONYMS[c] for c in origins[:1] if c in DEMONYMS]
    genres = [g.removesuffix(" music") for g in values.get(("P136", True), ())[:1]]
    return " ".join((*origin, *genres, shown[0])), frozenset({("P495", True), ("P31", True)})


def _thing(entity: Entity, shown: Sequence[str], values: Values) -> tuple[str, Used]:
    used = {("P31", True)}
    country = next(iter(values.get(("P17", True), ()) or values.get(("P495", True), ())), "")
    if country == entity.name:
        country = ""
    inside = [name for name in values.get(("P131", True), ()) if name not in (entity.name, country)]
    seat = values.get(("P159", True), ())
    kinds = [k.removesuffix(f" of {c}").removesuffix(f" of the {c}") for k, c in
             ((kind, country.removesuffix(" of America")) for kind in shown)]  # fmt: skip
    phrase = _and(list(dict.fromkeys(kinds)))
    sport = values.get(("P641", True), ())
    if sport and sport[0].lower() not in phrase.lower():
        phrase = f"{sport[0]} {phrase}"
    if inside:
        used |= {("P131", True)} if len(inside) == 1 else set()
        phrase += f" in {inside[0]}"
    elif seat:
        phrase += f" based in {seat[0]}"
        used |= {("P159", True)} if len(seat) == 1 else set()
    if country and country.removesuffix(" of America") not in phrase:
        phrase += f", {country}" if inside or seat else f" in {country}"
        used.add(("P17", True))
    return phrase, frozenset(used)


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
