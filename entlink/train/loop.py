"""The one training loop: warm-up and decay, progress, checkpoints. Trainers bring the loss."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from entlink.errors import ConfigError, InputError, reason

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How to walk."""

    n_steps: int
    learning_rate: float
    warmup: float = 0.05  # share of the steps
    weight_decay: float = 0.0
    checkpoint_every: int = 500  # steps
    clip: float = 1.0  # of the gradient's norm
    seed: int = 0  # of dropout
    pretrained: str = ""  # parameters whose names begin so learn at their own rate:
    pretrained_rate: float = 0.0


def device_of(name: str) -> str:
    """The device of this name; "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def fit(
    model: nn.Module,
    loss_at: Callable[[int], Tensor],
    config: LoopConfig,
    *,
    title: str,
    checkpoint: Path | None = None,
    run: str = "",
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Minimise ``loss_at(step)``, which must depend on nothing but the step and the weights.

    Dropout too depends on nothing else, so a run that was interrupted goes on from its checkpoint
    as if it had not been. The learning rate rises linearly, then falls linearly to zero. ``run``
    says all that the run depends on: a checkpoint with another one raises ConfigError. A finished
    run leaves its checkpoint.
    """
    optimizer = torch.optim.AdamW(
        _groups(model, config),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    run = f"{config} {run}"
    start = _resume(model, optimizer, checkpoint, run) if checkpoint and checkpoint.exists() else 0
    running: Tensor | None = None  # read now and then alone: each time a GPU has to be waited for
    bar = tqdm(range(start, config.n_steps), initial=start, total=config.n_steps, desc=title)
    for step in bar:
        model.train()
        torch.manual_seed(zlib.crc32(f"{config.seed} {step}".encode()))  # it takes 32 bits
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * _rate(step, config)
        loss = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        now = loss.detach()
        running = now if running is None else torch.lerp(running, now, 0.02)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{running.item():.3f}")
        done = step + 1
        if checkpoint and (done == config.n_steps or done % config.checkpoint_every == 0):
            _save(model, optimizer, done, run, checkpoint)
        if after_step:
            after_step(done)


def _groups(model: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Parameters by their learning rate; one group, unless some have a rate of their own."""
    named = list(model.named_parameters())
    own = [p for name, p in named if config.pretrained and name.startswith(config.pretrained)]
    if not own:
        return [{"params": [p for _, p in named]}]
    rest = [p for name, p in named if not name.startswith(config.pretrained)]
    return [{"params": rest}, {"params": own, "lr": config.pretrained_rate}]


def _rate(step: int, config: LoopConfig) -> float:
    warmup = max(1, round(config.warmup * config.n_steps))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (config.n_steps - step) / max(1, config.n_steps - warmup))


def _save(
    model: nn.Module, optimizer: torch.optim.Optimizer, step: int, run: str, path: Path
) -> None:
    """Weights, Adam's moments and the step, in one safetensors file (nothing is pickled)."""
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            state[f"optimizer.{index}.{key}"] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in state.items()},
        temporary,
        metadata={"step": str(step), "run": run},
    )
    os.replace(temporary, path)


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path, run: str) -> int:
    """Put everything back as it was; the step to go on with."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: no checkpoint ({reason(error)}); delete it") from error
    if metadata.get("run") != run:
        raise ConfigError(f"{path}: the checkpoint of a run with other settings; delete or move it")
    weights = {n.removeprefix("model."): t for n, t in state.items() if n.startswith("model.")}
    model.load_state_dict(weights)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    step = int(metadata["step"])
    log.info("going on from step %d of %s", step, path)
    return step
