"""spaCy's DocBin (``.spacy``), in and out.

In: each Doc's text; its entities, if it has any, are the mentions to link, else they are found.
``doc.user_data["id"]`` is the id where there is one. Out: tokens of spaCy's blank English pipeline,
links in ``doc.ents`` with ``kb_id_``, and the scores, so that ``span._.entlink`` and
``span._.kb_ents`` work after ``entlink.component.set_extensions()``. A DocBin is one block in
memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import Any, BinaryIO

from entlink.corpus.items import Entry, Item
from entlink.corpus.sources import Source
from entlink.corpus.texts import ReadOptions
from entlink.corpus.writers import Linked, without_overlaps
from entlink.detect.given import mentions_of_ents
from entlink.errors import InputError, reason
from entlink.records import Document

_ID = "id"
# doc.user_data[("._.", "entlink", start, end)], as the spaCy component stores them
_LINKS = ("._.", "entlink")
_UNLABELLED = "ENTITY"  # doc.ents drops what has no label


def read_docbin(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """The documents of a DocBin."""
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    data = stream.read()
    try:
        docs: Any = DocBin().from_bytes(data).get_docs(Vocab())
        first = next(docs, None)
    except Exception as error:  # spaCy passes on whatever zlib, msgpack or numpy raise
        raise InputError(
            f"{source.name}: is no DocBin that spaCy can read ({reason(error)}); write it with "
            "DocBin.to_disk"
        ) from None
    number = 0
    while (doc := first if number == 0 else next(docs, None)) is not None:
        number += 1
        id_ = str(doc.user_data.get(_ID, f"{source.label}:{number}"))
        mentions = tuple(mentions_of_ents(doc)) if doc.ents else None
        yield Item(Document(id_, doc.text, mentions), f"{source.name}: document {number}")


def write_docbin(documents: Iterable[Linked], stream: BinaryIO) -> None:
    """Write a DocBin with user data."""
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.blank("en")
    docs = DocBin(store_user_data=True)
    for linked in documents:
        docs.add(_doc(linked, nlp))
    stream.write(docs.to_bytes())


def _doc(linked: Linked, nlp: Any) -> Any:
    document, extra = linked
    doc = nlp.tokenizer(document.text)
    doc.user_data[_ID] = document.id
    doc.user_data.update({name: value for name, value in extra.items() if name != _ID})
    spans: list[Any] = []
    for link in without_overlaps(document.links):
        mention = link.mention
        span = doc.char_span(
            mention.start,
            mention.end,
            label=mention.label or _UNLABELLED,
            kb_id=link.entity_id,
            alignment_mode="expand",  # spaCy marks whole tokens
        )
        if span is None or (spans and spans[-1].end > span.start):
            continue
        spans.append(span)
        doc.user_data[(*_LINKS, span.start_char, span.end_char)] = [
            mention.label,
            link.entity_id,
            link.name,
            link.probability,
            [list(astuple(candidate)) for candidate in link.candidates],
        ]
    doc.set_ents(spans)
    return doc
