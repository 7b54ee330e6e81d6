"""Which places an adjective or the name of a people stands for."""

from __future__ import annotations

import pytest

from entlink.kb.demonyms import DEMONYMS, countries_of


@pytest.mark.parametrize(
    ("word", "country"),
    [
        ("American", "United States of America"),
        ("GERMAN", "Germany"),
        ("Germans", "Germany"),
        ("Côte d’Ivoirian", None),
        ("Iraqis", "Iraq"),
        ("British", "United Kingdom"),
        ("Chechen", "Chechnya"),
        ("Dutchman", "Netherlands"),
        ("Paris", None),
        ("", None),
    ],
)
def test_words_and_their_countries(word: str, country: str | None) -> None:
    assert (country in countries_of(word)) if country else countries_of(word) == ()


def test_a_countrys_own_name_is_no_adjective_of_it() -> None:
    for country in DEMONYMS:
        assert country not in countries_of(country), country


def test_peoples_that_have_no_plural_stay() -> None:
    assert countries_of("Chineses") == () and countries_of("Frenchs") == ()
