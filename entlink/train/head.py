"""Training a masked-language head on a BERT that has none, and is not changed by it."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from entlink.bert import Bert, load_bert
from entlink.encode.masked import MaskedHead
from entlink.errors import BundleError, ConfigError, InputError, reason
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.train.data import read_texts
from entlink.train.loop import LoopConfig, fit

log = logging.getLogger(__name__)

_NOTHING = -100  # a place where nothing is to be guessed
_HELD_OUT = 32  # one text in so many is only measured on


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """The config file of ``entlink train head``."""

    base: Path  # a Hugging Face BERT folder with tokenizer.json: a base model, or a reranker
    out: Path
    kb: Path | None = None  # its entities' texts are learnt from,
    texts: tuple[Path, ...] = ()  # and these: JSONL with "text"
    n_steps: int = 2000
    batch_size: int = 32
    max_tokens: int = 64
    share: float = 0.15  # of the tokens that are masked (Devlin et al. 2019)
    learning_rate: float = 1e-3
    seed: int = 0


def train_head(config: HeadTraining) -> dict[str, float]:
    """Train the head, write it to ``config.out``; returns what it guesses right on texts unseen.

    The BERT stays as it is: only what reads its vectors learns. ConfigError or InputError if there
    is nothing to learn from.
    """
    if not 0 < config.share < 1:
        raise ConfigError(f"share is {config.share}; it must be between 0 and 1")
    for name, least in (("n_steps", 0), ("batch_size", 1), ("max_tokens", 3)):
        if (value := getattr(config, name)) < least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")
    torch.manual_seed(config.seed)
    bert = load_bert(config.base).eval().requires_grad_(False)
    rows = _tokens(config, bert.config.max_position_embeddings)
    held, learnt = rows[::_HELD_OUT], [row for i, row in enumerate(rows) if i % _HELD_OUT]
    if not learnt:
        raise InputError(f"{config.base}: {len(rows)} texts are too few to train a head on")
    mask = _id_of(_tokenizer(config.base), "[MASK]", config.base)
    head = MaskedHead(bert.config)
    torch.nn.init.eye_(head.dense.weight)
    torch.nn.init.zeros_(head.dense.bias)

    def loss_at(step: int) -> Tensor:
        generator = random.Random(f"{config.seed} {step}")
        some = [generator.choice(learnt) for _ in range(config.batch_size)]
        logits, wanted = _guess(bert, head, some, mask, config.share, generator)
        return functional.cross_entropy(logits, wanted, ignore_index=_NOTHING)

    loop = LoopConfig(config.n_steps, config.learning_rate, seed=config.seed)
    fit(head, loss_at, loop, title="masked head")
    head.eval()
    head.save(config.out)
    return {"n_texts": len(learnt), "accuracy": _accuracy(bert, head, held, mask, config)}


def _tokens(config: HeadTraining, longest: int) -> list[list[int]]:
    tokenizer = _tokenizer(config.base)
    n = min(config.max_tokens, longest) - 2
    cls, sep = (_id_of(tokenizer, mark, config.base) for mark in ("[CLS]", "[SEP]"))
    encoded = tokenizer.encode_batch(list(_texts(config)), add_special_tokens=False)
    rows = [[cls, *encoding.ids[:n], sep] for encoding in encoded if encoding.ids]
    if not rows:
        raise InputError(f"{config.base}: no text to train a head on; give kb or texts")
    return rows


def _texts(config: HeadTraining) -> Iterator[str]:
    if config.kb is not None:
        with KnowledgeBase.open(config.kb) as kb:
            for batch in kb.iterate():
                yield from (f"{entity.name}: {entity_description(entity)}" for entity in batch)
    for path in config.texts:
        yield from (text for _, text in read_texts(path))


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleError(
            f"{folder}: its tokenizer.json cannot be read ({reason(error)})"
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _id_of(tokenizer: Tokenizer, token: str, folder: Path) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise BundleError(f"{folder}: its tokenizer lacks {token}; use a BERT vocabulary")
    return found


def _guess(
    bert: Bert,
    head: MaskedHead,
    rows: Sequence[Sequence[int]],
    mask: int,
    share: float,
    generator: random.Random,
) -> tuple[Tensor, Tensor]:
    """Logits (m, vocabulary) at the m places that were masked, and what stood there (m,).

    Of the chosen tokens eight in ten are masked, one becomes another, one stays (Devlin et al.).
    """
    width = max(len(row) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    is_token = torch.zeros((len(rows), width), dtype=torch.bool)
    wanted = torch.full((len(rows), width), _NOTHING)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        is_token[i, : len(row)] = True
        inner = range(1, len(row) - 1)
        for place in sorted(generator.sample(inner, max(1, round(share * len(inner))))):
            wanted[i, place] = row[place]
            lot = generator.random()
            if lot < 0.9:
                ids[i, place] = mask if lot < 0.8 else generator.randrange(bert.config.vocab_size)
    with torch.no_grad():
        vectors = bert(ids, torch.zeros_like(ids), is_token)
    chosen = wanted != _NOTHING
    return head(vectors[chosen], bert.embeddings.word_embeddings.weight), wanted[chosen]


@torch.no_grad()
def _accuracy(
    bert: Bert, head: MaskedHead, rows: Sequence[Sequence[int]], mask: int, config: HeadTraining
) -> float:
    """The share of masked tokens that are guessed, over texts that were not learnt from."""
    generator = random.Random(config.seed)
    right = total = 0
    for begin in range(0, len(rows), config.batch_size):
        some = rows[begin : begin + config.batch_size]
        logits, wanted = _guess(bert, head, some, mask, config.share, generator)
        right += int((logits.argmax(dim=1) == wanted).sum())
        total += len(wanted)
    return right / max(1, total)
