"""A dual encoder as a folder: config.json, weights.safetensors, and for a BERT what it needs.

What an encoder of two bags is called in its file stays as it was before there were other towers, so
that folders go on to load: parts have no tower's name before them, unless both towers have one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional

from entlink.bert import BertConfig
from entlink.config import from_mapping
from entlink.encode.config import DualEncoderConfig
from entlink.encode.reader import Base
from entlink.encode.tokens import BertWords
from entlink.errors import BundleError, ConfigError, reason

_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError)
_SCALE = ".scale"  # after the name of a matrix
_OF_ENTITIES = ("description_text", "types", "content", "entity")  # parts that mentions lack
_TABLE = "embedder.table.weight"  # as its name ends
_READER = "reader."  # as the names of a context reader's matrices begin
_GROUP = 48  # numbers of a row of a table of four bits that have one scale
_SHRUNK = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # of the scale that lets the greatest number fit
_LATER = (
    *("sharing", "mention_encoder", "entity_encoder", "bert", "views", "without", "scoring"),
    "saved_bits",
)


@contextmanager
def as_bundle_error(folder: Path) -> Iterator[None]:
    """Turns whatever goes wrong in reading into one sentence."""
    try:
        yield
    except (*_UNREADABLE, SafetensorError, ConfigError) as error:
        raise BundleError(
            f"{folder}: not a retriever of this version ({reason(error)}); make it again"
        ) from error


def write(folder: Path, model: nn.Module, config: DualEncoderConfig) -> None:
    """Write config.json and weights.safetensors, the weights whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    usual = DualEncoderConfig()
    config = replace(config, bert=replace(config.bert, base=None))  # a path of this machine
    values = {
        name: value
        for name, value in asdict(config).items()
        if name not in _LATER or getattr(config, name) != getattr(usual, name)
    }
    if "bert" in values:
        del values["bert"]["base"]
    text = json.dumps(values, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    state: dict[str, Tensor] = {}
    for name, tensor in sorted(_named(model, config).items()):
        if ".text.bert." in name:
            state[name] = tensor.half().contiguous()
        elif _in_four_bits(name, tensor, config):
            state[name], state[name + _SCALE] = pack(tensor)
        elif tensor.dim() == 2:
            # 126.9 and not 127: the scale is rounded to a half before it divides
            scale = (tensor.abs().amax(dim=1) / 126.9).clamp_min(1e-7).half()
            rounded = (tensor / scale.float()[:, None]).round().clamp(-127, 127)
            state[name] = rounded.to(torch.int8).contiguous()
            state[name + _SCALE] = scale
        else:
            state[name] = tensor.float().contiguous()
    temporary = folder / ".weights.safetensors.tmp"
    temporary.write_bytes(to_bytes(state))  # with the usual mode; save_file lets only us read
    os.replace(temporary, folder / "weights.safetensors")


def write_base(folder: Path, base: Base) -> None:
    """Write bert.json, the sizes, and tokenizer.json."""
    text = json.dumps(asdict(base.sizes), indent=2, sort_keys=True)
    (folder / "bert.json").write_text(text + "\n", encoding="utf-8")
    base.words.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def read_config(folder: Path) -> DualEncoderConfig:
    """The config; what it does not say is as it was before that could be said."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return from_mapping(DualEncoderConfig, raw, where="config.json")


def read_base(folder: Path, config: DualEncoderConfig) -> Base:
    """Sizes and tokenizer of the BERT; the weights stand with all others."""
    raw = json.loads((folder / "bert.json").read_text(encoding="utf-8"))
    sizes = BertConfig(**{f.name: raw[f.name] for f in fields(BertConfig)})
    return Base(sizes, BertWords.read(folder, config.bert))


def read_weights(folder: Path, model: nn.Module, config: DualEncoderConfig) -> None:
    """Put the weights into the model; ValueError if they are not those that it has."""
    state = load_file(folder / "weights.safetensors")
    scales = {name: state.pop(name) for name in list(state) if name.endswith(_SCALE)}
    own = {_file_name(name, config): name for name, _ in model.named_parameters()}
    for name, tensor in state.items():
        scale = scales.pop(name + _SCALE, None)
        if scale is None:
            state[name] = tensor.float()
        elif tensor.dtype == torch.uint8:
            state[name] = unpack(tensor, scale, width=model.get_parameter(own[name]).shape[1])
        else:
            state[name] = tensor * scale.float()[:, None]
    if odd := sorted([*scales, *(own.keys() ^ state.keys())]):
        raise ValueError(f"{len(odd)} weights do not fit, for example {odd[0]}")
    # what is shared is one module under two names, and is listed under the first
    named = {own[name]: tensor for name, tensor in state.items()}
    model.load_state_dict(named, strict=False, assign=True)


def _in_four_bits(name: str, tensor: Tensor, config: DualEncoderConfig) -> bool:
    large = name.endswith(_TABLE) or name.startswith(_READER)
    return config.saved_bits == 4 and large and tensor.dim() == 2


def pack(table: Tensor) -> tuple[Tensor, Tensor]:
    """A table (n, d) as four-bit numbers, two a byte, (n, d / 2), and scales (n, d / 48).

    Every 48 numbers of a row have a scale of their own, that with the least squared error. d is
    rounded up.
    """
    n, d = table.shape
    groups = functional.pad(table, (0, -d % _GROUP)).view(n, -1, _GROUP)
    full = groups.abs().amax(dim=2) / 6.99  # not 7: the scale is rounded to a half
    best, scales = torch.full_like(full, float("inf")), torch.zeros_like(full)
    for share in _SHRUNK:
        scale = (share * full).clamp_min(1e-7).half().float()
        error = (groups - _rounded(groups, scale) * scale[..., None]).square().sum(dim=2)
        scales = torch.where(error < best, scale, scales)
        best = torch.minimum(error, best)
    numbers = (_rounded(groups, scales) + 8).to(torch.uint8).view(n, -1)[:, : d + d % 2]
    low, high = numbers[:, ::2], numbers[:, 1::2]
    return (low | high << 4).contiguous(), scales.half().contiguous()


def _rounded(groups: Tensor, scales: Tensor) -> Tensor:
    return (groups / scales[..., None]).round().clamp(-7, 7)


def unpack(packed: Tensor, scales: Tensor, *, width: int) -> Tensor:
    """The table (n, width) that ``pack`` made so small."""
    numbers = torch.stack([packed & 15, packed >> 4], dim=2).flatten(1)[:, :width].float() - 8
    return numbers * scales.float().repeat_interleave(_GROUP, dim=1)[:, :width]


def _named(model: nn.Module, config: DualEncoderConfig) -> dict[str, Tensor]:
    return {_file_name(n, config): p.detach().cpu() for n, p in model.named_parameters()}


def _file_name(name: str, config: DualEncoderConfig) -> str:
    tower, _, rest = name.partition(".")
    if tower == "mentions" and config.mention_kind == "bag":
        return rest
    is_bag = config.entity_encoder == "bag"
    return rest if tower == "entities" and is_bag and rest.startswith(_OF_ENTITIES) else name
