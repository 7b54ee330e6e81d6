"""The one training loop: progress, warm-up and decay, checkpoints, resume. Trainers bring the loss."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

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


def fit(
    model: nn.Module,
    loss_at: Callable[[int], Tensor],
    config: LoopConfig,
    *,
    title: str,
    checkpoint: Path | None = None,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Minimise ``loss_at(step)``, which must depend on nothing but the step and the weights.

    So a run that was interrupted goes on from its checkpoint with the very batches it would have seen.
    The learning rate rises linearly, then falls linearly to zero. A finished run leaves its checkpoint.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config))
    start = _resume(model, optimizer, checkpoint)
    for _ in range(start):
        schedule.step()
    running = 0.0
    bar = tqdm(range(start, config.n_steps), initial=start, total=config.n_steps, desc=title)
    for step in bar:
        model.train()
        loss = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        running = loss.item() if step == start else 0.98 * running + 0.02 * loss.item()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{running:.3f}")
        if checkpoint and (step + 1) % config.checkpoint_every == 0:
            _save(model, optimizer, step + 1, checkpoint)
        if after_step:
            after_step(step + 1)
    if checkpoint:
        _save(model, optimizer, config.n_steps, checkpoint)


def _rate(step: int, config: LoopConfig) -> float:
    warmup = max(1, round(config.warmup * config.n_steps))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (config.n_steps - step) / max(1, config.n_steps - warmup))


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, path: Path) -> None:
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
        metadata={"step": str(step)},
    )
    os.replace(temporary, path)


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path | None) -> int:
    if path is None or not path.exists():
        return 0
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
        step = int(file.metadata()["step"])
    state = load_file(path)
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
    log.info("going on from step %d of %s", step, path)
    return step
