"""A BERT in miniature as a Hugging Face folder, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import tiny


def save_base(folder: Path, *, seed: int = 0) -> Path:
    """Config, weights and tokenizer that transformers and sentence-transformers load."""
    import torch
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = tiny.tokenizer(
        f"{entity.name} {entity.description}".lower() for entity in tiny.ENTITIES
    )
    vocabulary = words.get_vocab()
    words.post_processor = BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_object=words,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=160,
        initializer_range=0.3,  # larger than usual, so that vectors differ
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
