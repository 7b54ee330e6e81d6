"""The mentions of a document that are explained, and the scores that they have in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from entlink.documents import MENTIONS_AT_A_TIME
from entlink.errors import InputError
from entlink.explain.scoring import Scorer, Scores
from entlink.inputs import with_full_names
from entlink.records import Document, Mention


class Together:
    """A document's mentions as the linker sees them; found once and scored once.

    A mention is one of a link, which is taken as it is; or (start, end), or the words where they
    first stand whole, and then it gets the label and the longer name that it gets in the text.
    """

    def __init__(self, linker: Scorer, document: Document, *, alone: bool) -> None:
        self._linker = linker
        self.document = document
        self._alone = alone  # leave out what the other mentions say
        self._scored: tuple[list[Mention], Sequence[Scores]] = ([], [])

    @cached_property
    def everything(self) -> list[Mention]:
        """All mentions of the document, given or found, with their labels."""
        _, (found,) = self._linker.prepare([self.document])
        return list(found)

    def of(self, mention: Mention | tuple[int, int] | str) -> tuple[Mention, list[Mention]]:
        """The mention; and all that are scored with it, in order, it among them.

        InputError if the text has no such mention.
        """
        is_ready = isinstance(mention, Mention)
        own = mention if isinstance(mention, Mention) else _given(self.document.text, mention)
        at = (own.start, own.end)
        if is_ready:
            self._labelled(own)  # for it checks the offsets
            if self._alone or not self._linker.decision.sees_documents:
                return own, [own]
        else:
            same = (m for m in self.everything if (m.start, m.end) == at)
            own = next(same, None) or self._labelled(own)
        rest = [m for m in self.everything if (m.start, m.end) != at]
        ordered = sorted([own, *rest], key=lambda m: (m.start, m.end))
        together = with_full_names(ordered)
        found = own if is_ready else together[ordered.index(own)]
        place = ordered.index(own)
        together[place] = found
        first = place - place % MENTIONS_AT_A_TIME  # as `documents.portions` cuts them
        return found, [found] if self._alone else together[first : first + MENTIONS_AT_A_TIME]

    def _labelled(self, mention: Mention) -> Mention:
        bare = replace(self.document, mentions=(mention,))
        _, ((labelled,),) = self._linker.prepare([bare])
        return labelled

    def scores(self, mention: Mention, together: list[Mention]) -> Scores:
        """Of the mention; the others count where the bundle has a document pass."""
        text = self.document.text
        if not self._linker.decision.sees_documents:
            return self._linker.score([(text, mention)])[0]
        if self._scored[0] != together:
            pairs = [(text, m) for m in together]
            self._scored = together, self._linker.score(pairs, documents=[0] * len(pairs))
        return self._scored[1][together.index(mention)]


def find_mention(linker: Scorer, text: str, mention: Mention | tuple[int, int] | str) -> Mention:
    """The mention as the linker sees it in this text. InputError if the text has none such."""
    return Together(linker, Document("text", text), alone=True).of(mention)[0]


def find_words(text: str, words: str) -> int:
    """Where the words first stand whole, not inside others; -1 if nowhere."""
    found = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) if words else None
    return found.start() if found else -1


def _given(text: str, mention: tuple[int, int] | str) -> Mention:
    if isinstance(mention, str):
        start = find_words(text, mention)
        if start < 0:
            start = text.find(mention) if mention else -1
        if start < 0:
            raise InputError(f"the text does not have {mention!r}; name words as they stand in it")
        mention = (start, start + len(mention))
    start, end = mention
    return Mention(start, end, text[start:end])
