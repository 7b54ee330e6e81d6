"""BERT's masked-language head: from a token's vector to the words that it stands for.

Names and results are those of Hugging Face's ``BertForMaskedLM`` (tested). Most folders have lost
it: a sentence encoder or a reranker was trained without. `entlink train head` makes one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import UNREADABLE, Bert, BertConfig
from entlink.errors import BundleError, reason

FILE = "masked_head.safetensors"
_PREFIX = "cls.predictions."


class MaskedHead(nn.Module):
    """A layer, then the inner product with every word's own embedding."""

    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(c.vocab_size))

    def forward(self, vectors: Tensor, embeddings: Tensor) -> Tensor:
        """(n, size) and the word embeddings (vocabulary, size) -> (n, vocabulary) logits."""
        x = self.LayerNorm(functional.gelu(self.dense(vectors)))
        return cast(Tensor, x @ embeddings.T + self.bias)

    def save(self, folder: Path) -> None:
        """Write masked_head.safetensors, with the names that Hugging Face gives them."""
        folder.mkdir(parents=True, exist_ok=True)
        names = _names()
        state = {names[name]: t.contiguous() for name, t in sorted(self.state_dict().items())}
        temporary = folder / f".{FILE}.tmp"
        temporary.write_bytes(to_bytes(state, metadata={"format": "pt"}))
        os.replace(temporary, folder / FILE)

    @classmethod
    def load(cls, folder: Path, config: BertConfig) -> MaskedHead:
        """What ``save`` wrote, or the head of a Hugging Face folder that has one.

        Raises BundleError if there is none, or one of other sizes.
        """
        own = folder / FILE
        path = own if own.is_file() else folder / "model.safetensors"
        try:
            state = load_file(path)
            head = cls(config)
            found = {name: state[there].float() for name, there in _names().items()}
            head.load_state_dict(found, assign=True)
        except (*UNREADABLE, SafetensorError) as error:
            raise BundleError(
                f"{path}: no masked-language head of {config.vocab_size} words and size "
                f"{config.hidden_size} ({reason(error)}); train one with 'entlink train head'"
            ) from error
        return head.eval()


def token_logits(
    bert: Bert, head: MaskedHead, ids: Tensor, segments: Tensor, is_token: Tensor
) -> Tensor:
    """What the head says at every token: (n, length) each -> (n, length, vocabulary)."""
    found = bert(ids, segments, is_token)
    return cast(Tensor, head(found, bert.embeddings.word_embeddings.weight))


def top_tokens(logits: Tensor, *, n: int) -> Sequence[tuple[int, float]]:
    """The n likeliest words and their probabilities, ties by id; logits are (vocabulary,)."""
    shares = torch.softmax(logits.double(), dim=0)
    order = torch.argsort(shares, descending=True, stable=True)[:n].tolist()
    return [(place, float(shares[place])) for place in order]


def _names() -> dict[str, str]:
    """Ours: Hugging Face's."""
    return {
        "dense.weight": f"{_PREFIX}transform.dense.weight",
        "dense.bias": f"{_PREFIX}transform.dense.bias",
        "LayerNorm.weight": f"{_PREFIX}transform.LayerNorm.weight",
        "LayerNorm.bias": f"{_PREFIX}transform.LayerNorm.bias",
        "bias": f"{_PREFIX}bias",
    }
