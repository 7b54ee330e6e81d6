"""The cross-encoder: BERT reads mention in context and entity together (Agarwal and Bikel 2020).

    [CLS] left [M] mention [/M] right [SEP] name [E] description [SEP]

The marks are unused entries of BERT's vocabulary. Both sides are cut to a token budget: contexts
lose what is farthest from the mention, descriptions their end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from entlink.errors import BundleError, ConfigError, reason
from entlink.rerank.bert import BertClassifier

_MENTION, _MENTION_END, _ENTITY = "[unused0]", "[unused1]", "[unused2]"
_N_MARKS = 6  # [CLS], [SEP] twice, and these three


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Token budgets of a pair."""

    context_tokens: int = 40  # both contexts and the span
    entity_tokens: int = 36
    span_tokens: int = 16
    name_tokens: int = 16

    @property
    def longest(self) -> int:
        """The most tokens that a pair can have, marks included."""
        return self.context_tokens + self.entity_tokens + _N_MARKS

    def __post_init__(self) -> None:
        for part, whole in (("span", "context"), ("name", "entity")):
            n_part, n_whole = getattr(self, f"{part}_tokens"), getattr(self, f"{whole}_tokens")
            if not 0 < n_part <= n_whole:
                raise ConfigError(
                    f"{part}_tokens is {n_part}; it must be at least 1 and at most "
                    f"{whole}_tokens, {n_whole}"
                )


class PairTokenizer:
    """The pair text as ids; each context and each entity is tokenised once a call."""

    def __init__(self, tokenizer: Tokenizer, config: PairConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._marks = [
            _id_of(tokenizer, mark) for mark in ("[CLS]", "[SEP]", _MENTION, _MENTION_END, _ENTITY)
        ]

    def mentions(self, contexts: Sequence[tuple[str, str, str]]) -> list[list[int]]:
        """(left, span, right) -> ids of the first half."""
        cls, sep, begin, end, _ = self._marks
        flat = self._encode([part for context in contexts for part in context])
        halves = []
        for left, span, right in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            span = span[: self.config.span_tokens]
            room = self.config.context_tokens - len(span)
            n_right = min(len(right), max(room // 2, room - len(left)))
            n_left = min(len(left), room - n_right)
            left = left[len(left) - n_left :]
            halves.append([cls, *left, begin, *span, end, *right[:n_right], sep])
        return halves

    def entities(self, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """(name, description) -> ids of the second half."""
        sep, mark = self._marks[1], self._marks[4]
        flat = self._encode([part for text in texts for part in text])
        halves = []
        for name, description in zip(flat[::2], flat[1::2], strict=True):
            name = name[: self.config.name_tokens]
            room = self.config.entity_tokens - len(name)
            halves.append([*name, mark, *description[:room], sep])
        return halves

    def save(self, path: Path) -> None:
        """Write the tokenizer as BERT's usual one, which puts [CLS] and [SEP] around texts."""
        cls, sep = self._marks[:2]
        self.tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
        )
        self.tokenizer.save(str(path))

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]


def _id_of(tokenizer: Tokenizer, token: str) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise BundleError(f"the reranker's tokenizer lacks {token}; use a BERT vocabulary")
    return found


class CrossEncoder:
    """Scores pairs; the model and its tokenizer."""

    def __init__(self, model: BertClassifier, pairs: PairTokenizer) -> None:
        if pairs.config.longest > model.config.max_position_embeddings:
            raise ConfigError(
                f"pairs of {pairs.config.longest} tokens do not fit a model of "
                f"{model.config.max_position_embeddings}; give them a smaller budget"
            )
        self.model = model
        self.pairs = pairs

    def save(self, folder: Path) -> None:
        """A Hugging Face folder with tokenizer, plus pair.json with the token budgets."""
        self.model.save(folder)
        self.pairs.save(folder / "tokenizer.json")
        config = json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512}, indent=2)
        (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")
        text = json.dumps(asdict(self.pairs.config), indent=2, sort_keys=True)
        (folder / "pair.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CrossEncoder:
        """Read what ``save`` wrote, or any BERT folder that has a tokenizer.json."""
        model = BertClassifier.load(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            file = folder / "pair.json"
            text = file.read_text(encoding="utf-8") if file.exists() else "{}"
            config = PairConfig(**json.loads(text))
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(
                f"{folder}: its tokenizer.json or pair.json cannot be read ({reason(error)}); "
                "give a folder with both"
            ) from error
        return cls(model, PairTokenizer(tokenizer, config))

    @torch.inference_mode()
    def score(
        self,
        contexts: Sequence[tuple[str, str, str]],
        entities: Sequence[tuple[str, str]],
        pairs: Sequence[tuple[int, int]],
        *,
        batch_size: int = 32,
    ) -> NDArray[np.float32]:
        """Logits (n pairs,) of (context index, entity index) pairs, in the order given.

        Pairs of the same text are read once, so that their logits are the same to the last bit.
        """
        first = [tuple(half) for half in self.pairs.mentions(contexts)]
        second = [tuple(half) for half in self.pairs.entities(entities)]
        texts = [(first[m], second[e]) for m, e in pairs]
        unread = sorted(dict.fromkeys(texts), key=lambda text: len(text[0]) + len(text[1]))
        device = next(self.model.parameters()).device
        self.model.eval()
        logits: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        for begin in range(0, len(unread), batch_size):  # of like length together: less padding
            some = unread[begin : begin + batch_size]
            ids, segments, is_token = pad_pairs([a for a, _ in some], [b for _, b in some])
            found = self.model(ids.to(device), segments.to(device), is_token.to(device))
            logits.update(zip(some, found.float().tolist(), strict=True))
        return np.asarray([logits[text] for text in texts], dtype=np.float32)


def pad_pairs(
    first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, segments and token mask of the joined pairs, each (n, longest)."""
    lengths = [len(a) + len(b) for a, b in zip(first, second, strict=True)]
    ids = np.zeros((len(first), max(lengths)), dtype=np.int64)
    segments = np.zeros_like(ids)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        ids[i, : lengths[i]] = [*a, *b]
        segments[i, len(a) : lengths[i]] = 1
    is_token = np.arange(ids.shape[1])[None, :] < np.asarray(lengths)[:, None]
    return torch.from_numpy(ids), torch.from_numpy(segments), torch.from_numpy(is_token)
