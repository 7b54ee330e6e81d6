"""How a training in rounds goes: its recalls on dev, the best of them, and where to go on.

Beside the folder that is trained stand NAME.history.json, with every evaluation, and until the end
NAME.roundN.checkpoint, from which a run that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import orjson

from entlink.errors import ConfigError, InputError, reason

log = logging.getLogger(__name__)
Recalls = dict[str, float]


class Progress:
    """Evaluations in order; a run with the same settings begins with those that it finds."""

    def __init__(self, out: Path, *, run: str, patience: int) -> None:
        self._out = out
        self._run = run
        self._patience = patience
        self._path = out.with_name(f"{out.name}.history.json")
        self._evaluations: list[dict[str, float]] = []
        self._done: set[tuple[int, int]] = set()  # (round, step)
        self.best: Recalls = {}
        self._since_best = 0
        for number, step, recalls in self._read():
            self._note(number, step, recalls)

    @property
    def is_stopped(self) -> bool:
        """Has there been no gain for as long as it was given?"""
        return bool(self._patience) and self._since_best >= self._patience

    def checkpoint(self, number: int) -> Path:
        """Of one round."""
        return self._out.with_name(f"{self._out.name}.round{number}.checkpoint")

    def first_round(self, n_rounds: int) -> int:
        """The round before the last one begun: the next one's negatives need its weights."""
        begun = [number for number in range(n_rounds) if self.checkpoint(number).exists()]
        return min(begun) if self._done and begun else 0

    def evaluate(
        self, number: int, step: int, *, recalls: Callable[[], Recalls], save: Callable[[], None]
    ) -> None:
        """Note the recalls after a step of a round, once; the best so far is saved."""
        if (number, step) in self._done:
            return
        found = recalls()
        log.info("round %d, step %d: %s", number, step, found)
        if self._note(number, step, found):
            save()
        self._write(is_finished=False)

    def _note(self, number: int, step: int, recalls: Recalls) -> bool:
        """Is it the best so far? Of equals the later one is."""
        self._done.add((number, step))
        self._evaluations.append({"round": number, "step": step, **recalls})
        is_best = sum(recalls.values()) >= sum(self.best.values())
        if is_best:
            self.best = recalls
        self._since_best = 0 if is_best else self._since_best + 1
        return is_best

    def end_of_round(self, number: int) -> None:
        """Checkpoints of rounds before this one are needed no more."""
        for earlier in range(number):
            self.checkpoint(earlier).unlink(missing_ok=True)

    def finish(self, n_rounds: int) -> None:
        """The run is over: the history stays, the checkpoints go."""
        self._write(is_finished=True)
        self.end_of_round(n_rounds)

    def _read(self) -> list[tuple[int, int, Recalls]]:
        """What an interrupted run with these settings has evaluated."""
        if not self._path.exists():
            return []
        try:
            value = orjson.loads(self._path.read_bytes())
            if value["finished"]:
                return []
            run = value["run"]
            known = [(e.pop("round"), e.pop("step"), e) for e in value["evaluations"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self._path}: no history ({reason(error)}); delete it") from error
        if run != self._run:
            raise ConfigError(
                f"{self._path}: an unfinished run with other settings; delete or move it and the "
                f"files {self._out.name}.round*.checkpoint"
            )
        return known

    def _write(self, *, is_finished: bool) -> None:
        value = {"run": self._run, "finished": is_finished, "evaluations": self._evaluations}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        temporary.write_bytes(orjson.dumps(value, option=options))
        os.replace(temporary, self._path)
