"""The loop: resumed equals uninterrupted, the learning rate as it says, nothing pickled."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from entlink.errors import ConfigError, InputError
from entlink.train.loop import LoopConfig, fit

CONFIG = LoopConfig(n_steps=23, learning_rate=0.02, checkpoint_every=4, weight_decay=0.01)


class Kill(Exception):
    """As if the machine went down."""


def network() -> nn.Module:
    """With dropout, a part that never gets a gradient, and one that is shared."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 3))
    model.add_module("unused", nn.Linear(2, 2))
    return model


def train(
    *,
    checkpoint: Path | None = None,
    die_after: int | None = None,
    config: LoopConfig = CONFIG,
    run: str = "a run",
) -> tuple[nn.Module, list[int]]:
    model = network()
    steps: list[int] = []

    def loss_at(step: int) -> Tensor:
        steps.append(step)
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 6, generator=generator)
        y = torch.randint(0, 3, (8,), generator=generator)
        for part in list(model.children())[:4]:
            x = part(x)
        return nn.functional.cross_entropy(x, y)

    def after_step(done: int) -> None:
        if done == die_after:
            raise Kill

    fit(
        model,
        loss_at,
        config,
        title="test",
        checkpoint=checkpoint,
        run=run,
        after_step=after_step,
    )
    return model, steps


def same(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("die_after", [1, 4, 5, 11, 22])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path, die_after: int) -> None:
    expected, _ = train()
    checkpoint = tmp_path / "model.checkpoint"
    with pytest.raises(Kill):
        train(checkpoint=checkpoint, die_after=die_after)
    torch.rand(100)  # whatever else happened to the random numbers
    found, steps = train(checkpoint=checkpoint)
    assert steps == list(range(die_after // 4 * 4, 23))
    assert same(found, expected)


def test_two_interruptions(tmp_path: Path) -> None:
    expected, _ = train()
    for die_after in (9, 18):
        with pytest.raises(Kill):
            train(checkpoint=tmp_path / "c", die_after=die_after)
    assert same(train(checkpoint=tmp_path / "c")[0], expected)


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    first, _ = train(checkpoint=tmp_path / "c")
    again, steps = train(checkpoint=tmp_path / "c")
    assert steps == []
    assert same(first, again)


def test_dropout_depends_on_the_seed_and_the_step() -> None:
    assert same(train()[0], train()[0])
    assert not same(train()[0], train(config=replace(CONFIG, seed=1))[0])


def test_the_checkpoint_is_a_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "c"
    train(checkpoint=path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert header.pop("__metadata__")["step"] == "23"
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(data) - 8 - size
    assert [file.name for file in path.parent.iterdir()] == ["c"]


@pytest.mark.parametrize("change", ["run", "steps", "rate"])
def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path, change: str) -> None:
    train(checkpoint=tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    config = {
        "run": CONFIG,
        "steps": replace(CONFIG, n_steps=30),
        "rate": replace(CONFIG, learning_rate=0.1),
    }[change]
    with pytest.raises(ConfigError, match="a run with other settings"):
        train(checkpoint=tmp_path / "c", config=config, run=change)
    assert (tmp_path / "c").read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"no checkpoint"])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(InputError, match="no checkpoint") as caught:
        train(checkpoint=tmp_path / "c")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("n_steps", "warmup"), [(20, 0.25), (7, 0.0), (1, 0.5), (5, 1.0)])
def test_the_rate_rises_and_falls_in_straight_lines(n_steps: int, warmup: float) -> None:
    """Under a constant gradient Adam moves each weight by the learning rate, at every step."""
    model = nn.Linear(1, 1, bias=False)
    places = [model.weight.item()]
    fit(
        model,
        lambda step: model.weight.sum(),
        LoopConfig(n_steps=n_steps, learning_rate=0.5, warmup=warmup),
        title="test",
        after_step=lambda done: places.append(model.weight.item()),
    )
    rises = max(1, round(warmup * n_steps))
    expected = [
        0.5 * ((step + 1) / rises if step < rises else (n_steps - step) / (n_steps - rises))
        for step in range(n_steps)
    ]
    moved = [before - after for before, after in pairwise(places)]
    assert moved == pytest.approx(expected, abs=1e-5)


def test_large_gradients_are_clipped() -> None:
    """Clipping shows where a large gradient is followed by small ones: it no longer drowns them."""

    def walk(clip: float) -> float:
        model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(model.weight)
        fit(
            model,
            lambda step: model.weight.sum() * (1e6 if step == 0 else 1.0),
            LoopConfig(n_steps=10, learning_rate=0.1, warmup=0.0, clip=clip),
            title="test",
        )
        return model.weight.item()

    assert walk(1.0) == pytest.approx(
        -sum(0.1 * (10 - s) / 9 for s in range(1, 10)) - 0.1, abs=1e-4
    )
    assert walk(1e9) > walk(1.0) + 0.1


def test_pretrained_weights_learn_at_their_own_rate(tmp_path: Path) -> None:
    """And go on from a checkpoint as the others do."""
    slow = replace(CONFIG, weight_decay=0.0, pretrained="0.", pretrained_rate=0.0)
    before, (model, _) = network(), train(config=slow)
    torch.testing.assert_close(model.get_submodule("0").weight, before.get_submodule("0").weight)
    assert not torch.equal(
        model.get_submodule("3").weight,  # type: ignore[arg-type]
        before.get_submodule("3").weight,  # type: ignore[arg-type]
    )
    same, (usual, _) = replace(CONFIG, pretrained="0.", pretrained_rate=0.02), train()
    for a, b in zip(train(config=same)[0].parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    halved = replace(CONFIG, pretrained="0.", pretrained_rate=0.004)
    checkpoint = tmp_path / "c.safetensors"
    with pytest.raises(Kill):
        train(checkpoint=checkpoint, die_after=9, config=halved)
    resumed, steps = train(checkpoint=checkpoint, config=halved)
    assert steps[0] == 8
    for a, b in zip(resumed.parameters(), train(config=halved)[0].parameters(), strict=True):
        torch.testing.assert_close(a, b)
