"""Mentions and entities that no encoder may stumble over."""

from __future__ import annotations

from entlink.inputs import EntityInput, MentionInput

MENTIONS = [
    MentionInput("Jordan", "the river ", " flows south", "the river Jordan flows south.", "LOC"),
    MentionInput("Michael Jordan", "", " scored", "Michael Jordan scored.", "PER"),
    MentionInput("", "", "", "", ""),
    MentionInput("\U0001f600 عمان", "\n\n", "!", "\U0001f600 عمان!", "no such label"),
    MentionInput("x" * 3000, "a b " * 50, "c " * 100, "x" * 3000, "\ud800"),
]
ENTITIES = [
    EntityInput("Jordan", "country in Asia; capital Amman", ("Q6256", "Q3624078"), 4.2, 120),
    EntityInput("Michael Jordan", "", (), None, 0),
    EntityInput("", "", ("", "x" * 100), 0.0, 1),
    EntityInput("ירדן", "نهر", ("a type of another knowledge base",), -2.5, 10_000),
]
