"""Mentions that are there already: spans that a user gives, or the entities of a spaCy Doc."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from entlink.errors import InputError
from entlink.records import Mention

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

# Labels of English pipelines that name no entity: such spans are left as they are.
NOT_NAMES: Final = frozenset(
    ["DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL"]
)

# Labels of widespread pipelines -> the recogniser's.
LABELS: Final = {
    **dict.fromkeys(["PER", "PERSON"], "PER"),
    **dict.fromkeys(["LOC", "GPE", "FAC", "LOCATION"], "LOC"),
    **dict.fromkeys(["ORG", "ORGANIZATION", "ORGANISATION"], "ORG"),
    **dict.fromkeys(["MISC", "NORP", "PRODUCT", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE"], "MISC"),
}


def given_mentions(
    text: str, spans: Iterable[tuple[int, int]], *, label: str = "", where: str = "text"
) -> list[Mention]:
    """Mentions at the given character offsets, sorted, without repeats; they may overlap.

    Raises InputError for a span that is empty or reaches out of the text.
    """
    found = []
    for start, end in sorted(set(spans)):
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"{where}: mention {start} to {end} does not lie in a text of {len(text)} "
                "characters; offsets count characters, end exclusive"
            )
        found.append(Mention(start, end, text[start:end], label))
    return found


def mention_of(span: Span) -> Mention:
    """The mention at a span; its label mapped to the recogniser's four, "" if it is none of them.

    Four labels only, since those are what the retriever has learned.
    """
    return Mention(span.start_char, span.end_char, span.text, LABELS.get(span.label_, ""))


def mentions_of_ents(doc: Doc) -> list[Mention]:
    """Mentions at `doc.ents`, except dates, numbers and amounts; labels mapped to the four."""
    return [mention_of(ent) for ent in doc.ents if ent.label_ not in NOT_NAMES]
