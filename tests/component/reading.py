"""What tests compare of docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from spacy.language import Language
from spacy.tokens import Doc

Pipeline = Callable[..., Language]

TEXT = "They flew from Paris to Georgia, and Michael Jordan met Paris Hilton in Chicago."


def answers(doc: Doc) -> list[tuple[int, int, str, str]]:
    return [(ent.start_char, ent.end_char, ent.label_, ent.kb_id_) for ent in doc.ents]


def scores(doc: Doc) -> list[list[Any]]:
    return [[(c, pytest.approx(p, abs=1e-4)) for c, p in ent._.kb_ents] for ent in doc.ents]


def same(one: Doc, other: Doc) -> bool:
    """The same entities, ids and candidates, probabilities to 1e-4."""
    found = [[(c, p) for c, p in ent._.kb_ents] for ent in one.ents]
    return one.text == other.text and answers(one) == answers(other) and found == scores(other)
