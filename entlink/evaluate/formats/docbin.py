"""spaCy's DocBin (``.spacy``): entities of ``doc.ents`` with ``kb_id_``.

An entity without ``kb_id_`` is a mention without an answer, ``NIL`` is NIL. The document's id is
``doc.user_data["id"]`` if stored, else the file's name and the document's number. The label
``ENTITY`` stands for no label. Written are tokens of spaCy's blank English pipeline, cut once more
where a mention begins or ends.

Not carried: mentions that overlap (``doc.ents`` holds none); what else a Doc holds is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from entlink.errors import InputError, reason
from entlink.evaluate.formats.files import read_bytes_of_lines, replacing
from entlink.evaluate.formats.gold import (
    GoldDocument,
    Located,
    gold_document,
    gold_mention,
    reader,
    writable,
)

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

UNLABELLED = "ENTITY"  # doc.ents drops what has no label
_ID = "id"


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents of a file."""
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    data = b"".join(read_bytes_of_lines(path))
    try:
        documents = list(DocBin().from_bytes(data).get_docs(Vocab()))
    except Exception as error:  # spaCy passes on whatever zlib, msgpack or numpy raise
        raise InputError(
            f"{path}: is no DocBin that spaCy can read ({reason(error)}); write it with "
            "DocBin.to_disk"
        ) from None
    for number, doc in enumerate(documents, start=1):
        yield f"{path}: document {number}", _gold(doc, f"{path.name}:{number}", f"{path}:{number}")


def _gold(doc: Doc, default_id: str, where: str) -> GoldDocument:
    mentions = [
        gold_mention(
            doc.text,
            ent.start_char,
            ent.end_char,
            where=where,
            entity=ent.kb_id_ or None,
            label="" if ent.label_ == UNLABELLED else ent.label_,
        )
        for ent in doc.ents
    ]
    return gold_document(str(doc.user_data.get(_ID, default_id)), doc.text, mentions)


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write a DocBin with user data; InputError for mentions that overlap."""
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.blank("en")
    docs = DocBin(store_user_data=True)
    for document in writable(documents, path, without_overlaps="a DocBin"):
        docs.add(_doc(document, nlp))
    with replacing(path) as file:
        file.write(docs.to_bytes())


def _doc(document: GoldDocument, nlp: Language) -> Doc:
    from spacy.tokens import Doc

    text = document.text
    cuts = {border for m in document.mentions for border in (m.start, m.end)}
    words: list[str] = []
    spaces: list[bool] = []
    for token in nlp.tokenizer(text):
        start, end = token.idx, token.idx + len(token)
        borders = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        words += [text[a:b] for a, b in pairwise(borders)]
        spaces += [False] * (len(borders) - 2) + [bool(token.whitespace_)]
    doc = Doc(nlp.vocab, words=words, spaces=spaces)
    doc.user_data[_ID] = document.id
    spans = []
    for m in document.mentions:
        span = doc.char_span(m.start, m.end, label=m.label or UNLABELLED, kb_id=m.entity or "")
        if span is None:
            raise InputError(
                f"document {document.id!r}: the mention at {m.start} to {m.end} begins or ends "
                "with a blank, which spaCy keeps with the word before; move its offsets"
            )
        spans.append(span)
    doc.set_ents(spans)
    return doc
