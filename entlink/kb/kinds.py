"""Which kinds and occupations say most about an entity: the tables behind its one-phrase text."""

from __future__ import annotations

import re


def _listed(text: str) -> list[str]:
    return [word for line in text.split("\n") for word in line.split("|") if word]


# Kinds that are told before any other that an entity has.
_STRONG_KINDS = """
sovereign state|state of the united states|u.s. state|continent|ocean|city
city of the united states|town|village|river|island|archipelago|mountain|mountain range|lake|sea
desert|county of england|university|public university|private university|association football club
basketball team|baseball team|american football team|ice hockey team|film|television series
musical group|band|record label|newspaper|magazine|airline|airport|international airport
political party|modern language|language|disease|infectious disease|programming language
operating system|music genre|chemical element|planet|album|studio album|song|single|video game
novel|book|war|battle|museum|art museum|bank|religion|international organization
intergovernmental organization|film character|literary character|deity|automobile manufacturer
video game developer|film production company|ethnic group|animal|fruit
"""
# Kinds that say less than any other; the later in the list, the less.
_WEAK_KINDS = """
capital|county seat|college town|port settlement|border town|county town|residenz|enterprise
business|business enterprise|public company|organization|organisation|3d film|feature film
animated feature film|animated film|republic|constitutional monarchy|country|island nation
island country|landlocked country|state or insular area capital in the united states
independent city|hanseatic city|legal state|rechtsstaat|administrative territorial entity
administrative division|human settlement|geographic region
first-level administrative country subdivision|second-level administrative country subdivision
brand|trademark|website|literary work|work|creative work|profession|occupation|position
academic major|academic discipline|discipline|specialty|open-access publisher
private not-for-profit educational institution|public educational institution of the united states
land-grant university|land-grant institution|university building|global city|metropolis|megacity
city with millions of inhabitants|city or town|place with town rights and privileges
mediterranean country|social state|member state of the united nations
member state of the european union|episcopal see|cultural center|economic unit|economic branch
industry|entity|object|concept|term|common name|group of humans
organisms known by a particular common name|taxon|class|group or class of chemical substances
liquid|type of sport|group or class of chemical entities|location|building|structure|activity
genre|castilian languages|anthophila|fictional human|video game character|animated character|human
"""
# Kinds after which it helps to hear what the thing is a kind of.
_LOOSE_KINDS = """
profession|occupation|position|academic major|academic discipline|discipline|specialty|entity
object|concept|term|common name|organisms known by a particular common name|taxon|class|liquid
type of sport|group or class of chemical substances|group or class of chemical entities|activity
genre|anthophila|chemical compound|disease|class of disease|anatomical structure|economic branch
industry
"""
COMPANIES = frozenset(
    ("business", "enterprise", "business enterprise", "public company", "company", "organization")
)
LOOSE_KINDS = frozenset(_listed(_LOOSE_KINDS))
RENAMED_KINDS = {
    "musical group": "band",
    "u.s. state": "state of the United States",
    "first-level administrative country subdivision": "region",
    "second-level administrative country subdivision": "district",
    "big city": "city",
    "city with millions of inhabitants": "city",
    "public educational institution of the united states": "public university or college",
    "private not-for-profit educational institution": "private university or college",
}
_KIND_RANK = {kind: place - 1000 for place, kind in enumerate(_listed(_STRONG_KINDS))}
_KIND_RANK |= {kind: place for place, kind in enumerate(_listed(_WEAK_KINDS), start=1)}

# Occupations that say less than any other, the later the less.
_WEAK_OCCUPATIONS = """
singer-songwriter|songwriter|actor|film director|comedian|screenwriter|film producer
television director|television producer|composer|record producer|director|producer|businessperson
lawyer|author|writer|artist|scientist|diplomat|statesperson|teacher|university teacher|professor
pedagogue|translator|military officer|military personnel|soldier|executive producer|voice actor
model|television presenter|presenter|radio personality|entrepreneur|lyricist|dancer
character actor|film score composer|sportsperson|blogger|spokesperson|investor|restaurateur|farmer
librarian|multi-instrumentalist|music executive|audio engineer|theatrical producer|memoirist
diarist|opinion journalist|visual artist|editor|public speaker|bandleader|essayist
non-fiction writer|film editor|cinematographer|truck driver|autobiographer
"""
_MAIN_OCCUPATIONS = """
monarch|pope|saint|president|physicist|mathematician|chemist|astronaut|explorer|painter
tennis player|association football player|basketball player|baseball player
racing automobile driver|boxer
"""
_OCCUPATION_RANK = dict.fromkeys(_listed(_MAIN_OCCUPATIONS), -1)
_OCCUPATION_RANK |= {name: i for i, name in enumerate(_listed(_WEAK_OCCUPATIONS), start=1)}
SAME_OCCUPATION = {
    "film actor": "actor",
    "television actor": "actor",
    "stage actor": "actor",
    "acting": "actor",
    "conducting": "conductor",
    "seiyū": "voice actor",
}
# An occupation -> others beside which it goes without saying.
IMPLIED_OCCUPATIONS: dict[str, frozenset[str]] = {
    "musician": frozenset(
        _listed(
            "singer|singer-songwriter|guitarist|pianist|rapper|drummer|composer|jazz musician"
            "|bassist|violinist|record producer|disc jockey"
        )
    ),
    "songwriter": frozenset(("singer-songwriter", "composer")),
    "singer": frozenset(("singer-songwriter", "rapper", "opera singer")),
    "writer": frozenset(("novelist", "poet", "playwright", "screenwriter", "journalist")),
    "author": frozenset(("novelist", "poet", "playwright", "journalist", "writer")),
    "film score composer": frozenset(("composer",)),
    "scientist": frozenset(("physicist", "chemist", "mathematician", "biologist", "astronomer")),
    "voice actor": frozenset(("actor",)),
    "character actor": frozenset(("actor",)),
    "businessperson": frozenset(("entrepreneur",)),
    "statesperson": frozenset(("politician",)),
}
# What a relation tells of someone whose occupation is not given: (property, head?, occupation).
OCCUPATION_SIGNS: tuple[tuple[str, bool, str], ...] = (
    ("P39", True, "politician"),
    ("P102", True, "politician"),
    ("P161", False, "actor"),
    ("P57", False, "film director"),
    ("P1303", True, "musician"),
    ("P264", True, "musician"),
    ("P86", False, "composer"),
    ("P50", False, "writer"),
    ("P58", False, "screenwriter"),
    ("P725", False, "voice actor"),
    ("P162", False, "film producer"),
)
# Relations that prove an occupation to be a main one: (property, head?, how many, occupations).
OCCUPATION_PROOFS: tuple[tuple[str, bool, int, frozenset[str]], ...] = (
    ("P161", False, 3, frozenset(("actor",))),
    ("P57", False, 1, frozenset(("film director", "television director"))),
    ("P58", False, 2, frozenset(("screenwriter",))),
    ("P86", False, 1, frozenset(("composer", "film score composer"))),
    (
        "P264",
        True,
        1,
        frozenset(("singer", "singer-songwriter", "musician", "rapper", "guitarist")),
    ),
    ("P50", False, 1, frozenset(("writer", "author", "novelist", "poet", "playwright"))),
    ("P102", True, 1, frozenset(("politician",))),
    ("P39", True, 1, frozenset(("politician", "monarch"))),
)
# What a relation implies where no kind is known, in order of trust: (property, head?, kind).
KIND_SIGNS: tuple[tuple[str, bool, str], ...] = (
    ("P264", False, "record label"),
    ("P1441", True, "fictional character"),
    ("P118", False, "league"),
    ("P286", False, "coach"),
    ("P449", True, "television series"),
    ("P57", True, "film"),
    ("P161", True, "film"),
    ("P750", True, "film"),
    ("P915", True, "film"),
    ("P58", True, "film"),
    ("P364", True, "film"),
    ("P50", True, "book"),
    ("P1346", True, "event"),
    ("P710", True, "event"),
    ("P118", True, "sports team"),
    ("P286", True, "sports team"),
    ("P54", False, "sports team"),
    ("P641", True, "team"),
    ("P1303", False, "musical instrument"),
    ("P106", False, "occupation"),
    ("P166", False, "award"),
    ("P102", False, "political party"),
    ("P69", False, "educational institution"),
    ("P140", False, "religion"),
    ("P1412", False, "language"),
    ("P37", False, "language"),
    ("P27", False, "country"),
    ("P6", False, "politician"),
    ("P35", False, "politician"),
    ("P57", False, "film director"),
    ("P161", False, "actor"),
    ("P725", False, "actor"),
    ("P50", False, "writer"),
    ("P264", True, "band"),
    ("P1376", True, "city"),
    ("P36", False, "city"),
    ("P19", False, "place"),
    ("P551", False, "place"),
    ("P131", False, "place"),
    ("P47", True, "place"),
    ("P915", False, "place"),
    ("P840", False, "place"),
    ("P108", False, "organization"),
    ("P159", True, "organization"),
    ("P452", True, "company"),
    ("P463", False, "organization"),
    ("P136", False, "genre"),
    ("P641", False, "sport"),
    ("P509", False, "cause of death"),
)
# States of the past, told after those of today: "Paris" is in France rather than its kingdom.
_FORMER = re.compile(
    r"^(Kingdom|Duchy|Grand Duchy|Electorate|Principality|Second|Third|First|Nazi|Weimar|West|East"
    r"|Free State|Confederate|Mandatory|Socialist|Crown|Electoral) (of )?(?!Denmark$|the )"
    r"|(Empire|dynasty|Confederation|Bay|Union|Horde|Caliphate|Raj|Reich)$"
    r"|^(Prussia|Yugoslavia|Czechoslovakia|Austria-Hungary|Cisleithania|Dutch Republic"
    r"|Republic of Venice|Province of Georgia|Republic of Baden|Ancient Rome|Roman Republic"
    r"|United Kingdom of Great Britain and Ireland|Czech Lands|British Hong Kong|Papal States"
    r"|Polish–Lithuanian Commonwealth|Russian Soviet Federative Socialist Republic|Francia"
    r"|Ukrainian Soviet Socialist Republic|Metropolitan France|Warwickshire|Lancashire|Seine"
    r"|Isarkreis|Cisalpine Gaul|General Government|Congress Poland|.* People's Republic"
    r"|Allied-occupied .*|(French )?(Fourth|Second|First) .*Republic)$"
)
_LIVING_NAMES = """
European Union|African Union|East Timor|West Virginia|East of England|West Bengal|West Midlands
East Java|West Java Province|East Sussex|West Sussex|West Flanders|East Flanders
"""
_LIVING = frozenset(_listed(_LIVING_NAMES))


def kind_rank(kind: str) -> int:
    """Where a kind stands: below zero it says much, above zero little."""
    return _KIND_RANK.get(kind.lower(), 0)


def occupation_rank(occupation: str) -> int:
    """Where an occupation stands: the lower the more it says."""
    return _OCCUPATION_RANK.get(occupation, 0)


def is_former(name: str) -> bool:
    """Whether a place's name looks like that of a state of the past."""
    return name not in _LIVING and bool(_FORMER.search(name))
