"""Composed reports of matches and of politics, in which a name stands for a team or a country.

News calls a team by its town or country ("Cleveland 3, Texas 1") and a country by its adjective ("a
German minister"). Labelled Wikipedia text, where such names are links to what they say, hardly
shows either. The facts are the knowledge base's (which teams there are, of which sport and of
which place); the sentences are put together here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from entlink.kb.aliases import normalise
from entlink.kb.demonyms import DEMONYMS, may_be_country
from entlink.records import Entity
from entlink.train.data import Example, Relation

_HUMAN = "Q5"
_IS_TEAM = re.compile(r"\b(club|team|franchise)\b", re.IGNORECASE)
_NATIONAL = re.compile(
    r"(?P<country>.+?) (?:men's )?(?:national )?(?P<sport>(?:association |soccer )?football|cricket"
    r"|rugby union|rugby league|ice hockey|field hockey|basketball|volleyball) team",
    re.IGNORECASE,
)
_YOUTH = re.compile(r"women|under|youth|junior", re.IGNORECASE)
_CLUB_LETTERS = re.compile(r"(?:[A-Z]\.){2,}|[A-Z]{2,3}\b\.?")  # F.C., AFC, SV
_MIN_TEAMS = 6  # of a sport, to play a round
_LEFT = ("", "W L PCT GB ", "Results of matches played on Saturday : ", "Standings : ")

_REPORTS = (
    "{0} beat {1} {n}-{m} on {day} .",
    "{day} 's results : {1} {n} {0} {m} {2} {k} {3} {n}",
    "{1} {n} {0} {m} ( halftime {m}-0 ) . Attendance : {big}",
    "{S} - {0} TOP AFTER {1} LOSE . {place} 1996-08-31 {1} lost {n}-{m} to {0} .",
    "{S} - {1} BEAT {0} IN {2} .",
    "{S} - {0} V {1} SCOREBOARD . {place} 1996-08-{big} Score on the second day .",
    "{S} - {p} NAMED AS {0} CAPTAIN .",
    "{S} - {0} TAKE LEAD AGAINST {1} .",
    "{p} scored in the {big}th minute to give {0} a {n}-{m} lead against {1} .",
    "{0} manager {p} said his players had not slept since they lost to {1} .",
    "Teams : {1} : {p} , {q} , {r} {0} : {r} , {p}",
    "EASTERN DIVISION W L PCT GB {2} 75 59 .560 - {1} 71 63 .530 {m} {0} {big} {n} .5{k}1 {k} "
    "1/2 {3} 63 72 .467 {k} CENTRAL DIVISION {4} 80 54 .597 - {5} 72 64 .529 9",
    "{2} {n} {1} {m} {0} {k} {3} {n} {4} {k} {5} {m} ( 10 innings )",
    "SCHEDULE {2} AT {1} {0} AT {3} {4} AT {5}",
    "{3} 4 2 1 1 5 3 7 {1} 4 2 1 1 6 5 7 {0} 4 2 1 1 3 2 7 {4} 4 2 1 1 3 3 7 {5} 4 1 3 0 3 2 6",
    "{0} {big} {n} .5{k}6 - {1} 71 63 .530 {m} {2} 69 66 .511 {n} {3} 63 72 .467 {k}",
    "{1} 3 2 1 0 {n} {m} 7 {0} 3 2 0 1 {k} {m} 6 {2} 3 1 1 1 4 {k} 4 {3} 3 0 2 1 1 {n} 2",
    "{1} at {0} {2} at {3}",
    "{0} AT {1} {2} AT {3}",
    "{day} 's schedule : {1} v {0} , {2} v {3}",
    "Scorers : {0} - the captain ( {k}th , {n}8th minutes ) {1} - an own goal ( 7{m}th )",
    "The {sport} coach of {0} said his side had not expected {1} to be so strong .",
    "{0} have signed a midfielder from {1} for {n} million pounds .",
    "The {0} defence was under pressure all night as {1} attacked .",
    "He played {big} games for {0} before he moved to {1} .",
    "{0} drew {n}-{n} with {1} in their {sport} match in {place} .",
    "{1} , who lost to {0} in the semi-final , are third in the league .",
    "{0} fans cheered when the striker scored against {1} .",
)
_PLACES = (  # the same names, where they are places after all
    "{S} - {1} BEAT {2} . {0} 1996-08-{big} {1} beat {2} {n}-{m} on {day} .",
    "{1} beat {2} {n}-{m} in {0} on {day} .",
    "{1} will play {2} in {0} next week .",
    "{0} 1996-12-0{n} Police said on {day} that {n} people were hurt in a fire .",
    "He was born in {0} and moved to {place} as a child .",
    "The match between {1} and {2} was played at a stadium near {0} .",
    "Officials from {0} met the minister on {day} to talk about trade .",
    "Prices rose {n} percent in {0} , a trader said .",
    "{p} won the {n},000 metres at the grand prix meeting in {0} on {day} .",
    "{p} , who lives in {0} , plays for {1} .",
    "Doctors in {0} will look at {1} striker {p} on {day} .",
    "A court in {0} heard the case on {day} .",
)
_COUNTRY_ADJECTIVE = (
    "A {0} minister said on {day} that talks with {place} would go on .",
    "{0} police said {n} men were held after the raid .",
    "The {0} government denied the report .",
    "{0} and {1} troops met near the border .",
    "{place} 1996-08-{big} {0} shares ended higher on {day} .",
    "The {0} team beat {place} {n}-{m} .",
    "Five {0} miners were flown home from {place} .",
    "He beat the {0} champion in {n} sets .",
    "{0} President met his {1} counterpart in {place} .",
    "The {0} central bank cut its rate by {n} percent .",
    "a {0} newspaper , quoting {1} diplomats , said so on {day} .",
    "{S} - {0} OPEN RESULTS . {place} 1996-09-0{n}",
)
_COUNTRY_NAME = (  # those who compete alone do so for the country, not for its football team
    "{n}. {p} ( {0} ) 3 minutes 5{m}.{big} seconds {k}. {q} ( {1} ) 3:51.40",
    "Leading results : {n}. {q} ( {1} ) 6{m}.{big} metres {k}. {p} ( {0} ) 59.{big}",
    "{p} ( {0} ) beat {q} ( {1} ) 6-{n} 4-6 6-{m}",
    "First round : {q} ( {1} ) beat {n} - {p} ( {0} ) 15-10 8-15 15-{k}",
    "284 {q} ( {1} ) 69 71 71 73 285 {p} ( {0} ) {big} 70 7{m} 71",
    "{p} of {0} won the women 's 100 metres in 10.{big} seconds .",
    "{p} of {0} beat {1} 's {q} in the final of the Open .",
    "Heat one : {0} ( {p} , {q} ) {n}:05.104 , {1} ( {r} ) {n}:07",
    "{0} said on {day} it would send {n} planes to {place} .",
    "Trade between {0} and {1} grew by {n} percent .",
)
_LANGUAGE_ADJECTIVE = (
    "The book was translated from {0} into {1} .",
    "She speaks {0} and a little {1} .",
    "In {0} , the word means river .",
    "He taught {0} grammar at a school in {place} .",
    "The {0} language has {n} dialects .",
    "The name comes from the {0} word for stone .",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Team:
    """A team, and the names by which a report may call it."""

    row: int
    names: tuple[str, ...]
    place: int | None  # the row of the place that bears its short name


def teams_by_sport(
    entities: Sequence[Entity], relations: Sequence[Relation]
) -> dict[str, list[Team]]:
    """The teams of each sport that has enough of them, by the KB's relation ``sport``."""
    best: dict[str, int] = {}  # the most popular entity of a name that is no team
    sports: dict[int, str] = {r.head: entities[r.tail].name for r in relations if r.name == "sport"}
    is_team = {
        row
        for row in sports.keys() - {r.tail for r in relations if r.name == "sport"}
        if _HUMAN not in entities[row].types
        and _IS_TEAM.search(entities[row].description or "")
        and not _YOUTH.search(entities[row].name)
    }
    for row, entity in enumerate(entities):
        national = _NATIONAL.fullmatch(entity.name)
        if national and not _YOUTH.search(entity.name):
            sport = national["sport"].lower()
            sports[row] = "association football" if "football" in sport else sport
            is_team.add(row)
    for row, entity in enumerate(entities):
        name = normalise(entity.name)
        if row not in is_team and entity.popularity is not None:
            rival = best.get(name)
            if rival is None or (entities[rival].popularity or 0.0) < entity.popularity:
                best[name] = row
    teams: dict[str, list[Team]] = {}
    for row in sorted(is_team):
        names, place = _names(entities[row].name, best)
        teams.setdefault(sports[row], []).append(Team(row, names, place))
    return {sport: many for sport, many in sorted(teams.items()) if len(many) >= _MIN_TEAMS}


def _names(name: str, places: Mapping[str, int]) -> tuple[tuple[str, ...], int | None]:
    """Short names of a team, and the place that is one of them: "Leeds" of "Leeds United F.C."."""
    national = _NATIONAL.fullmatch(name)
    if national:
        short = national["country"]
        return (short,), places.get(normalise(short))
    words = [word for word in name.split() if not _CLUB_LETTERS.fullmatch(word)] or name.split()
    for n in range(len(words), 0, -1):
        short = " ".join(words[:n])
        place = places.get(normalise(short))
        if place is not None:
            return tuple(dict.fromkeys((short, short, short, " ".join(words)))), place
    return (" ".join(words),), None


def match_examples(
    entities: Sequence[Entity], relations: Sequence[Relation], *, n: int, seed: int
) -> Iterator[Example]:
    """Reports of matches; in one of three, the name is the place's after all."""
    random_ = random.Random(seed)
    sports = teams_by_sport(entities, relations)
    weights = [len(many) ** 0.5 for many in sports.values()]
    people = _people(entities)
    for number in range(n if sports else 0):
        (sport,) = random_.choices(list(sports), weights)
        some = random_.sample(sports[sport], _MIN_TEAMS)
        names = [random_.choice(team.names) for team in some]
        place = some[0].place
        means_place = place is not None and random_.random() < 1 / 3
        frame = random_.choice(_PLACES if means_place else _REPORTS)
        row = place if means_place and place is not None else some[0].row
        if means_place:
            names[0] = entities[row].name
        if random_.random() < 0.35:
            names = [name.upper() for name in names]
        left = random_.choice(_LEFT) if "{3}" in frame else ""
        values = _values(random_, sport, people)
        yield _example(f"match-{number}", left + frame, names, values, entities[row].id)


def adjective_examples(entities: Sequence[Entity], *, n: int, seed: int) -> Iterator[Example]:
    """Countries by adjective or by name, where the country is meant; now and then a language."""
    random_ = random.Random(seed)
    by_name = {name: entities[row] for name, row in best_named(entities).items()}
    countries = sorted(country for country in DEMONYMS if country in by_name)
    people = _people(entities)
    for number in range(n if len(countries) > 1 else 0):
        country, other = random_.sample(countries, 2)
        names, gold = [DEMONYMS[country], DEMONYMS[other]], country
        frames: Sequence[str] = _COUNTRY_ADJECTIVE
        dice = random_.random()
        language = next((x for x in (f"{names[0]} language", names[0]) if x in by_name), None)
        if dice < 0.35:
            names, frames = [country, other], _COUNTRY_NAME
        elif dice < 0.55 and language is not None:
            frames, gold = _LANGUAGE_ADJECTIVE, language
        values = _values(random_, "soccer", people)
        frame = random_.choice(frames)
        yield _example(f"adjective-{number}", frame, names, values, by_name[gold].id)


def best_named(entities: Sequence[Entity]) -> dict[str, int]:
    """The row of the most popular entity of each name; of a country's name, the best country."""
    best: dict[str, tuple[bool, float, int]] = {}
    for row, entity in enumerate(entities):
        is_country = entity.name in DEMONYMS and may_be_country(entity)
        key = (is_country, entity.popularity or 0.0, -row)  # of equals the first
        if entity.name not in best or best[entity.name] < key:
            best[entity.name] = key
    return {name: -row for name, (_, _, row) in best.items()}


def _people(entities: Sequence[Entity]) -> list[str]:
    return [e.name for e in entities if _HUMAN in e.types] or ["Smith"]


def _values(random_: random.Random, sport: str, people: Sequence[str]) -> dict[str, str]:
    called = "soccer" if sport == "association football" else sport
    return {
        "n": str(random_.randint(2, 5)),
        "m": str(random_.randint(0, 2)),
        "k": str(random_.randint(1, 9)),
        "big": str(random_.randint(10, 31)),
        "day": random_.choice(_DAYS),
        "place": random_.choice(sorted(DEMONYMS)),
        "p": random_.choice(people),
        "q": random_.choice(people),
        "r": random_.choice(people),
        "sport": called,
        "S": called.upper(),
    }


def _example(
    name: str, frame: str, names: Sequence[str], values: Mapping[str, str], gold: str
) -> Example:
    """The first name is the mention, at its first place in the frame."""
    before, after = frame.split("{0}", 1)
    left = before.format(*names, **values)
    text = left + names[0] + after.format(*names, **values)
    return Example(name, text, len(left), len(left) + len(names[0]), gold)
