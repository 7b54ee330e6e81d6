"""BERT in plain PyTorch (Devlin et al. 2019), which reranker and retriever both build on.

The same weights, names and results as Hugging Face's (tested in tests/rerank/test_bert.py). It is
here because importing theirs takes over two seconds, more than a whole ``entlink link`` may.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from entlink.errors import BundleError, reason

_NEEDED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The sizes that matter, under the names they have in a Hugging Face config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1


class _Embeddings(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, c.hidden_size)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        mixed = self.word_embeddings(ids) + self.token_type_embeddings(segments)
        return cast(Tensor, self.dropout(self.LayerNorm(mixed + self.position_embeddings(places))))


class _SelfAttention(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.heads = c.num_attention_heads
        self.query = nn.Linear(c.hidden_size, c.hidden_size)
        self.key = nn.Linear(c.hidden_size, c.hidden_size)
        self.value = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, asked: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """What the tokens ``asked`` (n, m, size) gather from all tokens ``x`` (n, length, size)."""
        n, m, size = asked.shape
        q, k, v = (
            layer(part).view(n, -1, self.heads, size // self.heads).transpose(1, 2)
            for layer, part in ((self.query, asked), (self.key, x), (self.value, x))
        )
        # no dropout on the attention itself: it would double the time of a training step on a CPU
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return mixed.transpose(1, 2).reshape(n, m, size)


class _Output(nn.Module):
    def __init__(self, c: BertConfig, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return cast(Tensor, self.LayerNorm(self.dropout(self.dense(x)) + residual))


class _Dense(nn.Module):
    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, out)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.dense(x))


class _Layer(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": _SelfAttention(c), "output": _Output(c, c.hidden_size)}
        )
        self.intermediate = _Dense(c.hidden_size, c.intermediate_size)
        self.output = _Output(c, c.intermediate_size)

    def forward(self, asked: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """The tokens ``asked``, one layer on; they are all of ``x`` or some of them."""
        asked = self.attention["output"](self.attention["self"](asked, x, mask), asked)
        return cast(Tensor, self.output(functional.gelu(self.intermediate(asked)), asked))


class Bert(nn.Module):
    """Tokens to vectors."""

    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.config = c
        self.embeddings = _Embeddings(c)
        layers = nn.ModuleList(_Layer(c) for _ in range(c.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers})
        self.pooler = _Dense(c.hidden_size, c.hidden_size)

    def forward(
        self, ids: Tensor, segments: Tensor, is_token: Tensor, *, n_asked: int | None = None
    ) -> Tensor:
        """The last layer's vectors of the first ``n_asked`` tokens; None: of all.

        ids, segments, is_token: (n, length); is_token is False on padding. -> (n, n_asked, size)
        """
        x = self.embeddings(ids, segments)
        mask = is_token[:, None, None, :]  # (n, 1, 1, length): the same for all heads and queries
        *layers, last = cast(nn.ModuleList, self.encoder["layer"])
        for layer in layers:
            x = layer(x, x, mask)
        return cast(Tensor, last(x[:, :n_asked], x, mask))


def read_bert(folder: Path) -> tuple[BertConfig, dict[str, Tensor]]:
    """The sizes and the weights of a Hugging Face BERT folder, the weights as they are named there.

    Raises BundleError for anything else, also for a BERT that computes in another way.
    """
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key, value in _NEEDED.items():
            if raw.get(key, value) != value:
                raise ValueError(f"its {key} is {raw[key]!r}, not {value!r}")
        config = BertConfig(**{f.name: raw[f.name] for f in fields(BertConfig) if f.name in raw})
        return config, load_file(folder / "model.safetensors")
    except (*UNREADABLE, SafetensorError) as error:
        raise not_a_bert(folder, error) from error


def load_bert(folder: Path) -> Bert:
    """Only the model itself of a folder, whatever head stands on it there."""
    config, state = read_bert(folder)
    model = Bert(config)
    trunk = {
        name.removeprefix("bert."): tensor.float()
        for name, tensor in state.items()
        if not name.startswith(("cls.", "classifier.")) and not name.endswith("position_ids")
    }
    for name, tensor in model.pooler.state_dict().items():  # some folders have none
        trunk.setdefault(f"pooler.{name}", tensor)
    try:
        model.load_state_dict(trunk, assign=True)
    except RuntimeError as error:
        raise not_a_bert(folder, error) from error
    return model


def not_a_bert(folder: Path, error: Exception) -> BundleError:
    """The error for a folder that cannot be used, in one sentence."""
    return BundleError(
        f"{folder}: not a BERT folder that can be read ({reason(error)}); give a Hugging "
        "Face folder of model_type bert with config.json and model.safetensors"
    )


UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError)
