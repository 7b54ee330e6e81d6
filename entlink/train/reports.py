"""Composed news reports: whole documents, in which headline, date line and lists decide.

In news a name is often not what it says: "BELGIUM" in a report on soccer is a team, "CINCINNATI" in
a table of baseball another than in one of football, and the town before the date is the town after
all. Which it is stands in the headline, in the rest of the list, or in the brackets around it, far
from the name. People are named in full once and by their last names from then on. The facts
(teams, their sport, place and country; people and their offices) are the knowledge base's; the
sentences are put together here (frames.py), in the manner of agencies.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from entlink.kb.demonyms import DEMONYMS
from entlink.records import Entity
from entlink.train import frames as f
from entlink.train.data import Example, Relation
from entlink.train.matches import Team, best_named, teams_by_sport

_HUMAN = "Q5"
_FIELD = re.compile(r"\{(\w+)\}")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_TEAMS = 8  # of a report
_SOCCER = "association football"
_LEAGUES = ("baseball", "basketball", "ice hockey", "American football")
_KINDS = {"national": 26, "clubs": 18, "league": 22, "individual": 12, "politics": 8, "people": 14}


@dataclass(slots=True)
class _Text:
    """A text as it is put together, and the mentions in it."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    spans: list[tuple[int, int, int]] = field(default_factory=list)  # start, end, row of the KB

    def add(self, text: str, row: int | None = None) -> None:
        if row is not None:
            self.spans.append((self.length, self.length + len(text), row))
        self.parts.append(text)
        self.length += len(text)


@dataclass(frozen=True, slots=True)
class _Person:
    row: int
    name: str
    what: str  # "film director"
    office: str  # that stands before the name, as "President", or ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the knowledge base has for reports, by row."""

    entities: Sequence[Entity]
    nations: Mapping[str, Sequence[Team]]  # by sport, national teams
    franchises: Mapping[str, Sequence[Team]]  # by sport, those that go by their town
    clubs: Mapping[str, Sequence[Team]]  # of soccer, by country
    countries: Mapping[str, int]  # those that have an adjective
    towns: Sequence[int]
    people: Sequence[_Person]
    others: Sequence[str]  # people's names, to fill sentences

    @classmethod
    def of(cls, entities: Sequence[Entity], relations: Sequence[Relation]) -> _Known:
        best = best_named(entities)
        countries = {name: best[name] for name in DEMONYMS if name in best}
        nations: dict[str, list[Team]] = {}
        others: dict[str, list[Team]] = {}
        for sport, many in teams_by_sport(entities, relations).items():
            for team in many:
                is_nation = len(team.names) == 1 and team.names[0] in countries
                (nations if is_nation else others).setdefault(sport, []).append(team)
        places = {t.place for many in others.values() for t in many if t.place is not None}
        towns = {r.head for r in relations if r.name == "capital of"} | places
        franchises = {
            sport: [team for team in others.get(sport, []) if team.place is not None]
            for sport in _LEAGUES
        }
        return cls(
            entities,
            {sport: many for sport, many in nations.items() if len(many) >= 4},
            {sport: many for sport, many in franchises.items() if len(many) >= _MOST_TEAMS},
            _by_country(entities, relations, others.get(_SOCCER, []), countries),
            countries,
            sorted(towns - set(countries.values())),
            _people(entities, relations),
            [e.name for e in entities if _HUMAN in e.types] or ["Smith"],
        )


@dataclass(frozen=True, slots=True)
class _Scene:
    """Who plays in one report, and how each field of a frame is filled."""

    values: Mapping[str, tuple[str, int | None]]  # field -> text, and the row that it means

    def write(self, text: _Text, frame: str, *, upper: bool) -> None:
        """Add a sentence; ``upper``: in capitals."""
        at = 0
        for match in _FIELD.finditer(frame):
            before = frame[at : match.start()]
            filled, row = self.values[match[1]]
            text.add(before.upper() if upper else before)
            text.add(filled.upper() if upper else filled, row)
            at = match.end()
        text.add(frame[at:].upper() if upper else frame[at:])


def report_examples(
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    *,
    n: int,
    seed: int,
    fillers: Sequence[str] = (),
) -> Iterator[Example]:
    """About ``n`` mentions in reports; none if the KB has nothing to report of.

    ``fillers`` are texts of which the beginnings stand between sentences about people.
    """
    known = _Known.of(entities, relations)
    if len(known.countries) < 4 or not known.towns:
        return
    random_ = random.Random(f"reports {seed}")
    count = 0
    for number in range(n):
        if count >= n:
            return
        (kind,) = random_.choices(list(_KINDS), list(_KINDS.values()))
        text = _Text()
        _report(known, kind, random_, text, fillers)
        whole = "".join(text.parts)
        for start, end, row in text.spans:
            yield Example(f"report-{seed}-{number}", whole, start, end, entities[row].id)
        count += len(text.spans)


def _report(
    known: _Known, kind: str, random_: random.Random, text: _Text, fillers: Sequence[str]
) -> None:
    if kind == "people":
        if known.people:
            _about_person(known, random_, text, fillers)
        return
    country, sport, teams = "", "", []
    frames = {"individual": f.INDIVIDUAL, "politics": f.POLITICS}.get(kind, f.NATIONAL)
    if kind == "national" and known.nations:
        sport = random_.choice([*known.nations, _SOCCER])
        teams = list(known.nations.get(sport, ()))
    elif kind == "clubs" and known.clubs:
        country, sport = random_.choice(sorted(known.clubs)), _SOCCER
        teams, frames = list(known.clubs[country]), random_.choice((f.CLUBS, f.TABLES))
    elif kind == "league" and known.franchises:
        sport = random_.choice(sorted(known.franchises))
        teams, frames = list(known.franchises[sport]), random_.choice((f.LEAGUE, f.MATCH))
    if frames not in (f.INDIVIDUAL, f.POLITICS) and not teams:
        return
    scene = _scene(
        known, random_, sport, random_.sample(teams, min(len(teams), _MOST_TEAMS)), country
    )
    scene.write(text, random_.choice(frames.heads), upper=random_.random() < 0.85)
    if random_.random() < 0.8:
        scene.write(text, random_.choice(frames.datelines), upper=False)
    for frame in random_.sample(frames.bodies, random_.randint(2, 5)):
        scene.write(text, frame, upper=frames.may_shout and random_.random() < 0.3)


def _about_person(
    known: _Known, random_: random.Random, text: _Text, fillers: Sequence[str]
) -> None:
    person = random_.choice(known.people)
    scene = _scene(known, random_, "", [], "", person)
    for frames in f.PEOPLE:
        scene.write(text, random_.choice(frames), upper=False)
        if fillers and random_.random() < 0.5:
            text.add(random_.choice(fillers)[: random_.randint(60, 240)].strip() + " ")


def _scene(
    known: _Known,
    random_: random.Random,
    sport: str,
    teams: Sequence[Team],
    country: str,
    person: _Person | None = None,
) -> _Scene:
    entities = known.entities
    values: dict[str, tuple[str, int | None]] = {}
    for i in range(_MOST_TEAMS if teams else 0):
        team = teams[i % len(teams)]
        name = random_.choice(team.names)
        values[f"T{i}"] = (name, team.row)
        values[f"F{i}"] = (entities[team.row].name, team.row)
        place = team.place if team.place is not None else random_.choice(known.towns)
        values[f"C{i}"] = (entities[place].name, place)
    for i, name in enumerate(random_.sample(sorted(known.countries), 4), start=1):
        values[f"N{i}"] = (name, known.countries[name])
        values[f"A{i}"] = (DEMONYMS[name], known.countries[name])
    if country:
        values["A"] = (DEMONYMS[country], known.countries[country])
    for key in "XY":
        town = random_.choice(known.towns)
        values[key] = (entities[town].name, town)
    if person is not None:
        values["W"] = (person.name, person.row)
        values["L"] = (person.name.split()[-1], person.row)
        values["O"] = (person.office, None)
        values["what"] = (person.what, None)
    called = "soccer" if sport == _SOCCER and random_.random() < 0.9 else sport
    fill = {key: random_.choice(known.others) for key in "PQRV"}
    fill |= {"n": str(random_.randint(2, 5)), "m": str(random_.randint(0, 2))}
    fill |= {"k": str(random_.randint(3, 9)), "b": str(random_.randint(10, 49))}
    fill |= {"d": f"{random_.randint(1, 28):02}", "d2": f"{random_.randint(1, 12):02}"}
    fill |= {"day": random_.choice(_DAYS), "cup": random_.choice(f.CUPS), "s": called}
    return _Scene(values | {key: (value, None) for key, value in fill.items()})


def _by_country(
    entities: Sequence[Entity],
    relations: Sequence[Relation],
    clubs: Sequence[Team],
    countries: Mapping[str, int],
) -> dict[str, list[Team]]:
    """The clubs of each country that has enough for a table."""
    of = {r.head: entities[r.tail].name for r in relations if r.name == "country"}
    found: dict[str, list[Team]] = {}
    for team in clubs:
        country = of.get(team.row, "")
        if country == "United Kingdom":  # whose leagues are those of its parts
            country = "England"
        if country in countries:
            found.setdefault(country, []).append(team)
    return {country: many for country, many in found.items() if len(many) >= 4}


def _people(entities: Sequence[Entity], relations: Sequence[Relation]) -> list[_Person]:
    """People whose last name can stand for them, with what they do."""
    jobs: dict[int, list[str]] = {}
    for r in relations:
        if r.name in ("occupation", "position held"):
            jobs.setdefault(r.head, []).append(entities[r.tail].name)
    people = []
    for row, many in sorted(jobs.items()):
        entity = entities[row]
        words = entity.name.split()
        if _HUMAN in entity.types and len(words) in (2, 3) and words[-1][:1].isupper():
            known = [o for o in f.OFFICES if any(job.startswith(o) for job in many)]
            what = min(many, key=lambda job: (len(job), job))
            people.append(_Person(row, entity.name, what, known[0] if known else ""))
    return people
