"""The cross-encoder: BERT reads mention in context and entity together (Agarwal and Bikel 2020).

    [CLS] left [M] mention [/M] right [SEP] name [E] description [SEP]

The marks are unused entries of BERT's vocabulary. Both sides are cut to a token budget: contexts
lose what is farthest from the mention, descriptions their end.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from entlink.errors import BundleError, ConfigError, reason
from entlink.inputs import cut_entity, cut_mention
from entlink.rerank.bert import BertClassifier

_MENTION, _MENTION_END, _ENTITY = "[unused0]", "[unused1]", "[unused2]"
_BATCH = 8  # pairs that a CPU reads at a time: more are no faster, and take more memory
_GPU_BATCH = 128
_STEP = 8  # lengths are padded to multiples: few shapes, of which backends keep plans and buffers
_N_MARKS = 6  # [CLS], [SEP] twice, and these three


@dataclass(frozen=True, slots=True)
class PairConfig:
    """Token budgets of a pair."""

    context_tokens: int = 40  # both contexts and the span
    entity_tokens: int = 36
    span_tokens: int = 16
    name_tokens: int = 16
    head_tokens: int = 0  # of a context, for how it begins: the name elsewhere, the title

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
        if self.head_tokens < 0:
            raise ConfigError(f"head_tokens is {self.head_tokens}; it must be 0 or more")


class PairTokenizer:
    """The pair text as ids; a text that stands in many pairs is tokenised once a call."""

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
            before, its, after = cut_mention(
                left,
                span,
                right,
                n_span=self.config.span_tokens,
                n=self.config.context_tokens,
                n_head=self.config.head_tokens,
            )
            halves.append([cls, *before, begin, *its, end, *after, sep])
        return halves

    def entities(self, texts: Sequence[tuple[str, str]]) -> list[list[int]]:
        """(name, description) -> ids of the second half."""
        sep, mark = self._marks[1], self._marks[4]
        flat = self._encode([part for text in texts for part in text])
        halves = []
        for name, description in zip(flat[::2], flat[1::2], strict=True):
            its, rest = cut_entity(
                name, description, n_name=self.config.name_tokens, n=self.config.entity_tokens
            )
            halves.append([*its, mark, *rest, sep])
        return halves

    def save(self, path: Path) -> None:
        """Write the tokenizer as BERT's usual one, which puts [CLS] and [SEP] around texts."""
        cls, sep = self._marks[:2]
        self.tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
        )
        self.tokenizer.save(str(path), pretty=False)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        unique = list(dict.fromkeys(texts))
        found = self.tokenizer.encode_batch(unique, add_special_tokens=False)
        ids = {text: encoding.ids for text, encoding in zip(unique, found, strict=True)}
        return [ids[text] for text in texts]

    @classmethod
    def load(cls, folder: Path) -> PairTokenizer:
        """From a folder with tokenizer.json and, unless the budgets are the usual, pair.json."""
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
        return cls(tokenizer, config)


def _id_of(tokenizer: Tokenizer, token: str) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise BundleError(f"the reranker's tokenizer lacks {token}; use a BERT vocabulary")
    return found


class PairReader(ABC):
    """Scores pairs; subclasses bring the backend that computes."""

    def __init__(self, pairs: PairTokenizer) -> None:
        self.pairs = pairs

    @property
    @abstractmethod
    def backend(self) -> str:
        """What computes, and with which numbers, in a few words."""

    @property
    def batch_size(self) -> int:
        """Pairs to read at a time."""
        return _BATCH

    @abstractmethod
    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        """One batch from ``pad_pairs``, each (n, length), to (n,) logits in single precision."""

    @torch.inference_mode()
    def score(
        self,
        contexts: Sequence[tuple[str, str, str]],
        entities: Sequence[tuple[str, str]],
        pairs: Sequence[tuple[int, int]],
        *,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """Logits (n pairs,) of (context index, entity index) pairs, in the order given.

        Pairs of the same text are read once, so that their logits are the same to the last bit.
        What no pair asks for is not even tokenised. ``batch_size``: another than `batch_size`.
        """
        batch_size = batch_size or self.batch_size
        first = _halves(self.pairs.mentions, contexts, [m for m, _ in pairs])
        second = _halves(self.pairs.entities, entities, [e for _, e in pairs])
        texts = list(zip(first, second, strict=True))
        unread = sorted(dict.fromkeys(texts), key=lambda text: len(text[0]) + len(text[1]))
        logits: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        for begin in range(0, len(unread), batch_size):  # of like length together: less padding
            some = unread[begin : begin + batch_size]
            longest = max(len(a) + len(b) for a, b in some)
            length = min(longest + -longest % _STEP, self.pairs.config.longest)
            found = self.logits(*pad_pairs([a for a, _ in some], [b for _, b in some], length))
            logits.update(zip(some, found.tolist(), strict=True))
        return np.asarray([logits[text] for text in texts], dtype=np.float32)


_T = TypeVar("_T")


def _halves(
    encode: Callable[[Sequence[_T]], list[list[int]]], texts: Sequence[_T], places: Sequence[int]
) -> list[tuple[int, ...]]:
    """The ids of the texts at these places, each text encoded once."""
    used = list(dict.fromkeys(places))
    found = zip(used, encode([texts[place] for place in used]), strict=True)
    ids = {place: tuple(half) for place, half in found}
    return [ids[place] for place in places]


class CrossEncoder(PairReader):
    """The model in PyTorch, in single precision or, ``bf16``, with products in bfloat16."""

    def __init__(self, model: BertClassifier, pairs: PairTokenizer, *, bf16: bool = False) -> None:
        super().__init__(pairs)
        if pairs.config.longest > model.config.max_position_embeddings:
            raise ConfigError(
                f"pairs of {pairs.config.longest} tokens do not fit a model of "
                f"{model.config.max_position_embeddings}; give them a smaller budget"
            )
        self.model = model
        self.bf16 = bf16

    @property
    def backend(self) -> str:
        return "torch bf16" if self.bf16 else "torch fp32"

    @property
    def batch_size(self) -> int:
        """See PairReader."""
        return _BATCH if next(self.model.parameters()).device.type == "cpu" else _GPU_BATCH

    def save(self, folder: Path) -> None:
        """A Hugging Face folder with tokenizer, plus pair.json with the token budgets."""
        self.model.save(folder)
        self.pairs.save(folder / "tokenizer.json")
        config = json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512}, indent=2)
        (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")
        text = json.dumps(asdict(self.pairs.config), indent=2, sort_keys=True)
        (folder / "pair.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, bf16: bool = False) -> CrossEncoder:
        """Read what ``save`` wrote, or any BERT folder that has a tokenizer.json."""
        return cls(BertClassifier.load(folder), PairTokenizer.load(folder), bf16=bf16)

    def logits(
        self, ids: torch.Tensor, segments: torch.Tensor, is_token: torch.Tensor
    ) -> torch.Tensor:
        """See PairReader; the tensors may lie on any device."""
        device = next(self.model.parameters()).device
        self.model.eval()
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            found: torch.Tensor = self.model(
                ids.to(device), segments.to(device), is_token.to(device)
            )
        return found.float()


def has_bf16(device: str) -> bool:
    """Does the device multiply bfloat16 natively, so that it is quicker than single precision?"""
    kind = torch.device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False
    known = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private, hence the default
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in known)


def pad_pairs(
    first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], length: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, segments and token mask of the joined pairs, each (n, length): that of the longest."""
    lengths = [len(a) + len(b) for a, b in zip(first, second, strict=True)]
    ids = np.zeros((len(first), length or max(lengths)), dtype=np.int64)
    segments = np.zeros_like(ids)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        ids[i, : lengths[i]] = [*a, *b]
        segments[i, len(a) : lengths[i]] = 1
    is_token = np.arange(ids.shape[1])[None, :] < np.asarray(lengths)[:, None]
    return torch.from_numpy(ids), torch.from_numpy(segments), torch.from_numpy(is_token)
