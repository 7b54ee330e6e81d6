"""BERT for sequence classification in plain PyTorch (Devlin et al. 2019).

The same weights, names and results as Hugging Face's ``BertForSequenceClassification`` with one
label, so a folder saved here loads there and the other way round (both tested). It is here because
importing that class takes over two seconds, more than a whole ``entlink link`` of a short text may.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from entlink.bert import UNREADABLE, Bert, BertConfig, not_a_bert, read_bert


class BertClassifier(nn.Module):
    """Token ids to one logit a sequence."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, ids: Tensor, segments: Tensor, is_token: Tensor) -> Tensor:
        """ids, segments, is_token: (n, length); is_token is False on padding. -> (n,) logits"""
        # nobody asks for the other tokens of the last layer: a seventh of the work of six
        x = self.bert(ids, segments, is_token, n_asked=1)
        pooled = torch.tanh(self.bert.pooler(x[:, 0]))
        return cast(Tensor, self.classifier(self.dropout(pooled)).squeeze(1))

    def save(self, folder: Path) -> None:
        """A Hugging Face sequence-classification folder (no tokenizer), weights as float16."""
        folder.mkdir(parents=True, exist_ok=True)
        config = asdict(self.config) | {
            "architectures": ["BertForSequenceClassification"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "attention_probs_dropout_prob": 0.0,
            "id2label": {"0": "LABEL_0"},
            "label2id": {"LABEL_0": 0},
            "dtype": "float16",
        }
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        state = {name: t.half().contiguous() for name, t in sorted(self.state_dict().items())}
        temporary = folder / ".model.safetensors.tmp"
        temporary.write_bytes(to_bytes(state, metadata={"format": "pt"}))
        os.replace(temporary, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> BertClassifier:
        """Read a BERT folder; a base model without classifier gets a fresh one.

        Raises BundleError for anything else, also for a BERT that computes in another way.
        """
        config, read = read_bert(folder)
        try:
            model = cls(config)
            model.load_state_dict(_named(read, config), assign=True)
        except UNREADABLE as error:
            raise not_a_bert(folder, error) from error
        return model.eval()


def _named(state: dict[str, Tensor], config: BertConfig) -> dict[str, Tensor]:
    """The weights under the names that they have here, in single precision, with a classifier."""
    if "classifier.weight" in state:
        named = dict(state)
    else:  # a base model: without "bert." before the names, or with the heads of pre-training
        named = {
            name if name.startswith("bert.") else f"bert.{name}": tensor
            for name, tensor in state.items()
            if not name.startswith("cls.")
        }
        named["classifier.weight"] = torch.randn(1, config.hidden_size) * 0.02
        named["classifier.bias"] = torch.zeros(1)
    named.pop("bert.embeddings.position_ids", None)
    return {name: tensor.float() for name, tensor in named.items()}
