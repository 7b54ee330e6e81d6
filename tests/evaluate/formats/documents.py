"""Gold documents to write and read again, and files to read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import strategies as st

from entlink.evaluate.formats import GoldDocument, GoldMention, read_corpus
from entlink.records import NIL

LETTERS = "aZé€ß😀漢'\"<>&\\#|_-.,1"
ENTITIES = ["Q90", "Q1490", "D008661", "http://example.org/thing#1", "enwiki:New York City"]

SMALL = (
    GoldDocument(
        "d1",
        "Ann met Bob O'Neil in Paris 🗼 today",
        (
            GoldMention(0, 3, NIL, "PER"),
            GoldMention(8, 18, "Q1", "PER"),
            GoldMention(22, 27, "Q90", "LOC"),
        ),
    ),
    GoldDocument("d2", "Oslo", (GoldMention(0, 4, "Q585"),)),
)


def path_with(folder: Path, name: str, *lines: str) -> Path:
    """A file with these lines."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path, format: str | None = None) -> list[GoldDocument]:
    return list(read_corpus(path, format))


def surfaces(document: GoldDocument) -> list[tuple[str, str | None]]:
    return [(document.text[m.start : m.end], m.entity) for m in document.mentions]


ids = st.text(LETTERS.replace("|", ""), min_size=1, max_size=8)
labels = st.sampled_from(["", "LOC", "PER"])
answers = st.one_of(st.none(), st.just(NIL), st.sampled_from(ENTITIES))


@st.composite
def any_document(draw: st.DrawFn, *, breaks: str = " \n\r\t\u2028\x00") -> GoldDocument:
    """Any text with any mentions, overlapping ones too."""
    text = draw(st.text(LETTERS + breaks, max_size=40))
    mentions = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        mentions.append(GoldMention(start, end, draw(answers), draw(labels)))
    mentions.sort(key=lambda m: (m.start, m.end, m.entity or "", m.label))
    return GoldDocument(draw(ids), text, tuple(mentions))


@st.composite
def worded_document(
    draw: st.DrawFn, *, with_labels: bool, within_words: bool = False, space: str = " "
) -> GoldDocument:
    """Words with a space between them, and mentions that share no characters."""
    words = draw(st.lists(st.text(LETTERS, min_size=1, max_size=6), max_size=8))
    text = space.join(words)
    if within_words:
        letters = [at for at, c in enumerate(text) if not c.isspace()]
        starts = draw(st.sets(st.sampled_from(letters), max_size=4)) if letters else set()
        spans = [
            (start, start + len(text[start:stop].rstrip()))
            for start, stop in pairwise([*sorted(starts), len(text)])
        ]
    else:
        spans, at = [], 0
        while at < len(words):
            n = draw(st.integers(1, 3))
            taken = words[at : at + n]
            start = len(space.join(["", *words[:at]])) if at else 0
            if draw(st.booleans()):
                spans.append((start, start + len(space.join(taken))))
            at += n
    mentions = tuple(
        GoldMention(start, end, draw(answers), draw(labels) if with_labels else "")
        for start, end in spans
    )
    return GoldDocument(draw(ids), text, mentions)
