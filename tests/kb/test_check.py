"""What is mended, what is refused, and that sound entities pass untouched."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.kb.check import MAX_DESCRIPTION, MAX_NAME, Refused, checked
from entlink.records import Entity


def test_sound_entities_pass() -> None:
    entity = Entity("E1", "Zürich 北京 \u200bx", ("a\u00a0b",), "two\nlines", "facts: x", ("T",))
    assert checked(entity) == (entity, [])


def test_what_is_mended() -> None:
    text = "word " * 300_000  # over a megabyte
    entity = Entity("E1", "a\x00b\tc", ("x\x1b", "y" * 600, "\x07"), text, type_names=("t\x85u",))
    found, mended = checked(entity)
    assert found.name == "a b c"
    assert found.aliases == ("x",)
    assert found.type_names == ("t u",)
    assert found.description is not None
    assert text.startswith(found.description)
    assert MAX_DESCRIPTION - 10 < len(found.description) <= MAX_DESCRIPTION
    assert mended == [
        f"1 aliases of over {MAX_NAME} characters left out",
        "description of 1,500,000 characters cut to 10,000",
        "control characters removed",
    ]
    assert checked(found) == (found, [])


@pytest.mark.parametrize(
    ("entity", "why"),
    [
        (Entity("", "a"), "the id is empty"),
        (Entity(" ", "a"), "the id is empty"),
        (Entity("E1", ""), "'E1' has no name"),
        (Entity("E1", "\x00\x1f"), "'E1' has no name"),
        (Entity("E\n1", "a"), "holds control characters"),
        (Entity("NIL", "a"), "stands for 'no entity'"),
        (Entity("E1", "a\ud800"), "half a surrogate pair"),
        (Entity("E1", "a", ("\udfff",)), "half a surrogate pair"),
        (Entity("E1", "a" * 501), "has 501 characters"),
    ],
)
def test_what_is_refused(entity: Entity, why: str) -> None:
    with pytest.raises(Refused, match=why):
        checked(entity)


TEXT = st.text(max_size=12)


@given(TEXT, TEXT, st.lists(TEXT, max_size=3), st.none() | TEXT)
def test_whatever_passes_is_sound(
    id: str, name: str, aliases: list[str], description: str | None
) -> None:
    try:
        found, _ = checked(Entity(id, name, tuple(aliases), description))
    except Refused:
        return
    for text in (found.id, found.name, *found.aliases, found.description or ""):
        text.encode()
        assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t\r" for c in text)
    assert checked(found) == (found, [])
