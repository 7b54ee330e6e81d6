"""Wikidata's JSON dumps, an item a line, streamed: nothing is kept but the line that is read."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from entlink.kb.importers.files import read_lines
from entlink.kb.importers.records import (
    Located,
    OnBad,
    Parent,
    PropertyName,
    Records,
    Redirect,
    Relation,
    Skipped,
    bad,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.kb.properties import ROLES
from entlink.records import Entity

_KIND, _ABOVE = "P31", "P279"  # instance of, subclass of
_UPKEEP = frozenset(  # pages of Wikimedia's own: nothing that a text names
    (
        "Q4167410",  # disambiguation page
        "Q4167836",  # category
        "Q11266439",  # template
        "Q13406463",  # list article
        "Q15184295",  # module
        "Q17633526",  # Wikinews article
        "Q22808320",  # disambiguation page for human names
    )
)
_NO_ARTICLES = frozenset(("commonswiki", "specieswiki", "wikidatawiki", "metawiki", "sourceswiki"))
_TOLD = frozenset(ROLES) - {_KIND}


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Items with a name in the language (or in "mul"), with the relations that facts tell.

    Pages of Wikimedia's upkeep and items below `min_sitelinks` are skipped. A line that cannot be
    read raises InputError or is told to `on_bad`.
    """
    for where, line in read_lines(path):
        line = line.removeprefix(codecs.BOM_UTF8).strip().rstrip(b",")
        if not line or line in (b"[", b"]"):
            continue
        try:
            item = orjson.loads(line)
            records = list(_records(where, item, settings))
        except orjson.JSONDecodeError as error:
            bad(f"{where}: not a JSON object ({error}); is the dump whole?", on_bad)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            bad(f"{where}: not an item of a Wikidata dump ({error!r}); leave it out", on_bad)
        else:
            yield from records


def _records(where: str, item: Mapping[str, Any], settings: Settings) -> Iterator[Located]:
    id, language = str(item["id"]), settings.language
    name = _text(item.get("labels"), language)
    if id.startswith("P"):
        yield where, PropertyName(id, name or id)
        return
    if not id.startswith("Q"):
        yield where, Skipped("no item")
        return
    claims = item.get("claims") or {}  # an empty object is written as a list
    kinds = _targets(claims.get(_KIND, ())) if claims else []
    links = item.get("sitelinks") or {}
    n_links = sum(site.endswith("wiki") and site not in _NO_ARTICLES for site in links)
    for parent in _targets(claims.get(_ABOVE, ())) if claims else ():
        yield where, Parent(id, parent)  # of those left out as well: types below them are kept
    if reason := _reason_to_skip(name, kinds, n_links, settings):
        yield where, Skipped(reason, id, name)
        return
    page = links.get(f"{language}wiki", {}).get("title")
    yield where, _entity(item, id, name, kinds, n_links, language, page)
    if page:
        yield where, Redirect(f"{language}wiki:{page}", id)
    for property, statements in claims.items() if claims else ():
        if property in _TOLD:
            for target in _targets(statements):
                yield where, Relation(id, property, property, target)


def _reason_to_skip(name: str, kinds: list[str], n_links: int, settings: Settings) -> str:
    if not name:
        return f"no name in {settings.language!r}"
    if not _UPKEEP.isdisjoint(kinds):
        return "a page of Wikimedia's own"
    if n_links < settings.min_sitelinks:
        return f"fewer than {settings.min_sitelinks} sitelinks"
    return ""


def _entity(
    item: Mapping[str, Any],
    id: str,
    name: str,
    kinds: list[str],
    n_links: int,
    language: str,
    page: str | None,
) -> Entity:
    aliases = item.get("aliases") or {}
    others = [a["value"].strip() for a in aliases.get(language, ())]
    others += [a["value"].strip() for a in aliases.get("mul", ())]
    extra: dict[str, object] = {"sitelinks": n_links}
    if page:
        extra["wikipedia"] = page
    return Entity(
        id=id,
        name=name,
        aliases=tuple(a for a in dict.fromkeys(others) if a and a != name),
        description=_text(item.get("descriptions"), language) or None,
        types=tuple(kinds),
        popularity=popularity_of(n_links),
        extra=extra,
    )


def popularity_of(n_links: int) -> float | None:
    """About log10 of the pages that link to an article, from the languages that have one.

    A curve through 58 items of which both are known (59 to 280 languages), flat below, where few
    are known; None without any article.
    """
    if not n_links:
        return None
    x = math.log10(1 + n_links)
    return round(0.5 + 0.4 * x + 0.55 * x * x, 3)


def _text(texts: Mapping[str, Any] | None, language: str) -> str:
    """The text in the language, else in "mul" (names that are alike in many languages)."""
    for code in (language, "mul"):
        found = (texts or {}).get(code)
        if found and found["value"].strip():
            return str(found["value"]).strip()
    return ""


def _targets(statements: Any) -> list[str]:
    """The items that a property's best statements name: preferred ones, else the normal ones."""
    best: list[str] = []
    rank = "normal"
    for statement in statements:
        its = statement["rank"]
        if its == "deprecated" or (its == "normal" and rank == "preferred"):
            continue
        snak = statement["mainsnak"]
        if snak["snaktype"] != "value":
            continue
        value = snak["datavalue"]["value"]
        if not isinstance(value, dict) or value.get("entity-type") != "item":
            continue
        if its == "preferred" and rank == "normal":
            best, rank = [], "preferred"
        best.append(value.get("id") or f"Q{value['numeric-id']}")
    return list(dict.fromkeys(best))
