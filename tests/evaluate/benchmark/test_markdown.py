"""The page: its tables say what the figures say, and counts come first."""

from __future__ import annotations

from typing import Any

from entlink.evaluate.benchmark.figures import leads
from entlink.evaluate.benchmark.markdown import page, share, table


def row(name: str, kind: str, accuracy: float, **more: Any) -> dict[str, Any]:
    measures = {
        "accuracy": accuracy,
        "recall@1": 0.1,
        "recall@10": 0.2,
        "recall@100": 0.3,
        "interval": [accuracy - 0.1, accuracy + 0.1],
    }
    return {
        "name": name,
        "about": f"about {name}",
        "kind": kind,
        "micro": measures,
        "macro": measures,
        "sets": {"news": accuracy},
        "mentions_per_second": 1234.5,
        "pairs_per_mention": 2.25,
        "preparing_s": 3.0,
        "commits": ["abc"],
        "dates": ["2026-01-02"],
        "n_mentions": 20,
        "n_in_kb": 10,
        "n_linked": 8,
        "ahead": None,
    } | more


def ahead(difference: float, low: float, high: float) -> dict[str, Any]:
    one = {"b": 0.9, "difference": difference, "interval": [low, high], "p": 0.01}
    return {"micro": one, "macro": one}


def figures(**more: Any) -> dict[str, Any]:
    return {
        "date": "2026-01-02",
        "commit": "abc",
        "versions": {"entlink": "1.0"},
        "machine": {"processor": "abacus", "cores": 2, "system": "Linux"},
        "threads": 2,
        "device": "cpu",
        "kb": {"name": "described", "n_entities": 91667, "digest": "d" * 64},
        "retrieval_kb": {"name": "full", "n_entities": 288879, "digest": "e" * 64},
        "limit": None,
        "sets": {
            "news": {
                "split": "test",
                "n_documents": 4,
                "n_mentions": 2000,
                "n_nil": 100,
                "n_sampled": 5,
                "in_kb": {"described": 1500, "full": 1800},
                "out_of_kb": {"described": 400, "full": 100},
            }
        },
        "rows": [
            row("entlink", "given", 0.9),
            row("weak", "given", 0.5, ahead=ahead(0.4, 0.3, 0.5)),
            row("close", "given", 0.95, ahead=ahead(-0.05, -0.1, 0.01)),
            row("slow", "sampled", 0.6, mentions_per_second=0.5, ahead=ahead(0.3, 0.1, 0.4)),
            row("old", "finds", 0.4, mentions_per_second=None, preparing_s=None),
        ],
        "retrieval_rows": [row("entlink, retriever alone", "given", 0.7)],
        "set_aside": {"lacking": "no weights"},
    } | more


def test_counts_come_first_and_name_kb_and_split() -> None:
    text = page(figures(), plot=None)
    assert text.index("## Mentions") < text.index("## Given the mentions")
    assert (
        "| set | split | documents | gold mentions | NIL | in described | outside described |"
        in (text)
    )
    assert "| news | test | 4 | 2,000 | 100 | 1,500 | 400 | 1,800 | 100 |" in text
    assert "KB described (91,667 entities); in-KB mentions: news 1,500; 1,500 in all." in text
    assert "KB described (91,667 entities); in-KB mentions: news 5; 5 in all." in text
    assert "full, 288,879 entities" in text


def test_systems_by_accuracy_with_how_far_we_are_ahead() -> None:
    text = page(figures(), plot="benchmark.svg")
    given = text[text.index("## Given") : text.index("## The sample")]
    assert given.index("| close |") < given.index("| entlink |") < given.index("| weak |")
    assert "| 0.500 (0.400 to 0.600) | 0.500 | **+0.400 (+0.300 to +0.500)** |" in given
    assert "| -0.050 (-0.100 to +0.010) |" in given  # not more than chance: not bold
    assert "| 0.300 | 2.2 | 1,234 | 3 |" in given or "| 0.300 | 2.2 | 1,235 | 3 |" in given
    assert "![accuracy against mentions per second](benchmark.svg)" in given
    sampled = text[text.index("## The sample") : text.index("## Retrieval")]
    assert "| slow | 0.600 | 0.900 |" in sampled and "| 0.50 | 3 |" in sampled
    found = text[text.index("## Finding") :]
    assert "| old | 0.400 | 0.400 | 0.800 | 0.500 |  |" in found  # 4 right of 8 linked of 10
    assert "**lacking** was not run: no weights" in found


def test_what_is_not_whole_is_said() -> None:
    assert "Not the whole sets" not in page(figures(), plot=None)
    assert "**Not the whole sets**: whole documents until 50 mentions" in (
        page(figures(limit=50), plot=None)
    )
    assert "kept from commits old" in page(
        figures(commit="new", rows=[row("x", "given", 0.5, commits=["old"])]), plot=None
    )


def test_first_only_if_the_interval_leaves_out_zero() -> None:
    assert leads(row("x", "given", 0.5, ahead=ahead(0.1, 0.01, 0.2)), "micro") is True
    assert leads(row("x", "given", 0.5, ahead=ahead(0.1, -0.01, 0.2)), "macro") is False
    assert leads(row("x", "given", 0.5), "micro") is None


def test_tables() -> None:
    assert table(["a", "b"], [["x|y", 1000]]) == "| a | b |\n|---|---:|\n| x\\|y | 1,000 |"
    assert (share(None), share(float("nan")), share(0.12345)) == ("", "", "0.123")
