"""Links of a pandas column."""

from __future__ import annotations

import pandas as pd
import pytest

import entlink
from entlink.errors import InputError
from tests.fake_linker import FakeLinker


def test_one_row_a_mention_with_the_index_of_its_text() -> None:
    frame = pd.DataFrame(
        {"body": ["Jordan met Odd", "none", None, "Nowhere"], "n": [1, 2, 3, 4]},
        index=["w", "x", "y", "z"],
    )
    links = entlink.link_frame(frame, text="body", linker=FakeLinker())
    assert links[["row", "start", "end", "text", "entity"]].to_numpy().tolist() == [
        ["w", 0, 6, "Jordan", "Q810"],
        ["w", 11, 14, "Odd", "x:<1>"],
        ["z", 0, 7, "Nowhere", "NIL"],
    ]
    assert links["candidates"][0] == [("Q810", "Jordan", 0.7), ("Q41421", "Michael Jordan", 0.2)]
    joined = links.join(frame, on="row")
    assert joined["n"].tolist() == [1, 1, 4]


def test_without_mentions_the_columns_are_there() -> None:
    links = entlink.link_frame(pd.DataFrame({"text": ["none"]}), linker=FakeLinker())
    assert len(links) == 0
    assert links["start"].dtype == "int64"


def test_a_column_that_is_not_there() -> None:
    frame = pd.DataFrame({"a": ["x"]})
    with pytest.raises(InputError, match="the frame has no column 'text'; it has 'a'"):
        entlink.link_frame(frame, linker=FakeLinker())
