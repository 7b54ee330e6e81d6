"""Texts to the tokens of a BERT, and the sequences that it reads as a tower.

    [CLS] left [M] span [/M] right [SEP]          [CLS] name [E] description [SEP]

as in BLINK (Wu et al. 2019). The marks are unused entries of BERT's vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from entlink.encode.batches import EntityFeatures, MentionFeatures, Texts
from entlink.encode.config import BertReading
from entlink.encode.features import Ragged, ragged
from entlink.errors import BundleError, reason
from entlink.inputs import MentionInput, cut_entity, cut_mention, pair_context_of

MARKS = ("[CLS]", "[SEP]", "[unused0]", "[unused1]", "[unused2]")
N_MARKS = 4  # in a mention's sequence; an entity's has three


class BertWords:
    """A tokenizer and the order in which tokens are read."""

    def __init__(self, tokenizer: Tokenizer, reading: BertReading) -> None:
        self.tokenizer = tokenizer
        self._reading = reading
        tokenizer.no_padding()
        tokenizer.no_truncation()
        ids = {mark: tokenizer.token_to_id(mark) for mark in MARKS}
        for mark, number in ids.items():
            if number is None:
                raise BundleError(f"the tokenizer lacks {mark}; use a BERT with its vocabulary")
        self.marks = [number for number in ids.values() if number is not None]

    @classmethod
    def read(cls, folder: Path, reading: BertReading) -> BertWords:
        """From a folder's tokenizer.json."""
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(
                f"{folder}: its tokenizer.json cannot be read ({reason(error)}); give a folder "
                "with one"
            ) from error
        return cls(tokenizer, reading)

    def names(self, texts: Sequence[str]) -> Ragged:
        """The ids of their tokens."""
        return self.prose(texts)

    def prose(self, texts: Sequence[str]) -> Ragged:
        """The ids of their tokens; a text that comes often is tokenised once."""
        unique = list(dict.fromkeys(texts))
        found = self.tokenizer.encode_batch(unique, add_special_tokens=False)
        ids = {
            text: np.asarray(encoding.ids, dtype=np.int32)
            for text, encoding in zip(unique, found, strict=True)
        }
        lengths = [len(ids[text]) for text in texts]
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
        nothing = np.zeros(0, dtype=np.int32)
        return Ragged(np.concatenate([nothing, *(ids[text] for text in texts)]), offsets)

    def mention_sequences(self, features: MentionFeatures) -> list[list[int]]:
        """Contexts lose what is farthest from the span; what one side leaves the other gets."""
        texts = features.left, features.span, features.right
        return [self._mention(*parts) for parts in zip(*map(_rows, texts), strict=True)]

    def contexts(self, mentions: Sequence[MentionInput]) -> Ragged:
        """The sequences of mentions with all of their context, as the cross-encoder reads it."""
        texts = zip(*map(pair_context_of, mentions), strict=True)
        parts = [self.prose(some).rows() for some in texts] or [[], [], []]
        return ragged([self._mention(*its) for its in zip(*parts, strict=True)])

    def _mention(self, left: list[int], span: list[int], right: list[int]) -> list[int]:
        cls, sep, begin, end, _ = self.marks
        its = self._reading
        before, inner, after = cut_mention(
            left, span, right, n_span=its.span_tokens, n=its.mention_tokens, n_head=its.head_tokens
        )
        return [cls, *before, begin, *inner, end, *after, sep]

    def entity_sequences(self, features: EntityFeatures) -> list[list[int]]:
        """Descriptions lose their end."""
        cls, sep, _, _, mark = self.marks
        sequences = []
        for name, text in zip(_rows(features.name), _rows(features.description), strict=True):
            its, rest = cut_entity(
                name, text, n_name=self._reading.name_tokens, n=self._reading.entity_tokens
            )
            sequences.append([cls, *its, mark, *rest, sep])
        return sequences


def _rows(texts: Texts) -> list[list[int]]:
    assert isinstance(texts, Ragged)
    return texts.rows()


def padded(
    sequences: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids and token mask, each (n, longest)."""
    lengths = np.asarray([len(ids) for ids in sequences])
    ids = np.zeros((len(sequences), int(lengths.max())), dtype=np.int64)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = sequence
    return ids, np.arange(ids.shape[1])[None, :] < lengths[:, None]
