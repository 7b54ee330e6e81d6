"""The masked-language head against Hugging Face's, and against a plain sort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from entlink.bert import load_bert
from entlink.encode.masked import FILE, MaskedHead, token_logits, top_tokens
from entlink.errors import BundleError
from tests.tiny import bert


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Hugging Face's own class writes it."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    sizes = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    model = BertForMaskedLM(sizes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path_factory.mktemp("masked")
    model.save_pretrained(path)
    return path


@torch.inference_mode()
def test_the_logits_are_hugging_faces(folder: Path, tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    trunk = load_bert(folder).eval()
    head = MaskedHead.load(folder, trunk.config)
    ids = torch.tensor([[2, 7, 30, 59, 3], [2, 9, 3, 0, 0]])
    segments, is_token = torch.zeros_like(ids), ids > 0
    theirs: Any = BertForMaskedLM.from_pretrained(folder)
    theirs.eval()
    expected = theirs(input_ids=ids, attention_mask=is_token.long()).logits
    found = token_logits(trunk, head, ids, segments, is_token)
    torch.testing.assert_close(found[is_token], expected[is_token], rtol=1e-3, atol=1e-4)
    head.save(tmp_path)
    again = MaskedHead.load(tmp_path, trunk.config)
    torch.testing.assert_close(token_logits(trunk, again, ids, segments, is_token), found)


def test_the_likeliest_words_are_those_of_a_sort() -> None:
    logits = torch.tensor([0.5, 2.0, -1.0, 2.0, 1.0])
    powers = logits.double().exp()
    found = top_tokens(logits, n=4)
    assert [place for place, _ in found] == [1, 3, 4, 0]
    assert found[0][1] == pytest.approx(float(powers[1] / powers.sum()))


def test_a_folder_without_a_head(tmp_path: Path, folder: Path) -> None:
    model = bert(60)
    model.save(tmp_path)
    with pytest.raises(BundleError, match="train one with 'entlink train head'"):
        MaskedHead.load(tmp_path, model.config)
    (tmp_path / FILE).write_bytes(b"broken")
    with pytest.raises(BundleError, match=r"masked_head\.safetensors: no masked-language head"):
        MaskedHead.load(tmp_path, model.config)
    with pytest.raises(BundleError, match="of 61 words"):
        MaskedHead.load(folder, bert(61).config)
