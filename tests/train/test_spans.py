from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
import spacy

from entlink.errors import InputError
from entlink.train.spans import LABELS, SCHEME, Tagged, ordinary_words, read_tagged

NLP = spacy.blank("en")


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def span(text: str, part: str, label: str) -> dict[str, object]:
    start = text.index(part)
    return {"start": start, "end": start + len(part), "label": label}


def test_all_labels_are_mapped_to_the_four() -> None:
    assert set(SCHEME.values()) == set(LABELS)
    assert SCHEME["politician"] == "PER" and SCHEME["country"] == "LOC"
    assert SCHEME["band"] == "ORG" and SCHEME["creative-work"] == "MISC"


def test_reads_maps_widens_and_counts(tmp_path: Path) -> None:
    text = "Ada Lovelace wrote on deep learning for the BBC's Antarctic-based Babbage Project."
    spans = [
        span(text, "Ada Lovelace", "scientist"),
        span(text, "Lovelace", "person"),  # inside a longer one
        span(text, "deep learning", "field"),  # a common noun
        span(text, "Antarc", "location"),  # part of a token
        span(text, "Babbage Project", "product"),
        span(text, "BBC", "organisation"),
    ]
    path = write(tmp_path / "made.jsonl.gz", [{"id": "1", "text": text, "spans": spans}])
    counts: Counter[str] = Counter()
    (tagged,) = read_tagged(path, NLP, counts=counts)
    found = [(" ".join(tagged.words[s:e]), label) for s, e, label in tagged.spans]
    assert found == [
        ("Ada Lovelace", "PER"),
        ("BBC", "ORG"),
        ("Antarctic", "LOC"),
        ("Babbage Project", "MISC"),
    ]
    assert tagged.source == "made"
    assert "".join(w + " " * s for w, s in zip(tagged.words, tagged.spaces, strict=True)) == text
    assert counts == {
        "spans kept": 4,
        "spans widened to tokens": 1,
        "common nouns left out": 1,
        "overlapping or empty spans left out": 1,
    }


def test_where_misc_is_not_annotated_capitals_are_unknown(tmp_path: Path) -> None:
    text = "The German Kaiser met Smith and Said So"
    row: dict[str, object] = {"id": "1", "text": text, "spans": [span(text, "Smith", "PER")]}
    (tagged,) = read_tagged(
        write(tmp_path / "a.jsonl.gz", [row]), NLP, counts=Counter(), partial=True
    )
    assert [tagged.words[i] for i in sorted(tagged.unknown)] == ["Said"]


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    row: dict[str, object] = {"id": "1", "text": "Ada", "spans": [span("Ada", "Ada", "alien")]}
    path = write(tmp_path / "a.jsonl.gz", [row])
    with pytest.raises(InputError, match=r"a\.jsonl\.gz:1: label 'alien' has no place"):
        read_tagged(path, NLP, counts=Counter())


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as texts with spans"):
        read_tagged(tmp_path / "none.jsonl", NLP, counts=Counter())


def test_ordinary_words_are_those_written_small() -> None:
    def text(words: str, *spans: tuple[int, int, str]) -> Tagged:
        return Tagged(tuple(words.split()), (True,) * len(words.split()), spans, "x")

    texts = [
        text("results are in for nice"),
        text("the results from Nice", (3, 4, "LOC")),
        text("a nice day in Nice", (4, 5, "LOC")),
        text("we saw paris and paris", (2, 3, "LOC"), (4, 5, "LOC")),
    ]
    assert ordinary_words(texts) == ["in", "results"]
