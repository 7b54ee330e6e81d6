"""Links as NIF 2 in Turtle (Hellmann et al., 2013), as `entlink convert` and GERBIL read it.

The probability is ``itsrdf:taConfidence``. Carried columns have no place here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from entlink.corpus.writers import Linked
from entlink.nif import PREFIXES, Phrase, statements
from entlink.records import Link


def write_nif(documents: Iterable[Linked], stream: BinaryIO) -> None:
    """Write Turtle."""
    stream.write(PREFIXES.encode())
    for document, _ in documents:
        phrases = map(_phrase, document.links)
        stream.write("".join(statements(document.id, document.text, phrases)).encode())


def _phrase(link: Link) -> Phrase:
    m = link.mention
    return Phrase(m.start, m.end, m.label, link.entity_id, link.probability)
