"""How far a long run has come, on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import sys
import time

import click

from entlink.corpus.job import Progress, Summary

_REDRAW_S = 0.2
_LINE_S = 60.0  # between lines where there is no terminal, as in a log
_BAR = 20


class ProgressLine:
    """Takes a run's progress and shows it; `close` takes a bar away again."""

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._started = self._drawn = time.monotonic()
        self._resumed_bytes = 0

    def __call__(self, progress: Progress) -> None:
        """Show it, unless the last time was just now."""
        now = time.monotonic()
        if progress.counts.n_documents == progress.n_resumed:  # nothing new so far
            self._started, self._resumed_bytes = now, progress.n_bytes
        if not self._shown or now - self._drawn < (_REDRAW_S if self._terminal else _LINE_S):
            return
        self._drawn = now
        line = self.line(progress, elapsed_s=now - self._started)
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\x1b[K{line[:width]}", err=True, nl=False)
        else:
            click.echo(f"entlink: {line}", err=True)

    def line(self, progress: Progress, *, elapsed_s: float) -> str:
        """Share done, documents, mentions, rate, and the time left."""
        counts = progress.counts
        rate = (counts.n_documents - progress.n_resumed) / max(elapsed_s, 1e-9)
        said = f"{counted(counts.n_documents, 'document')}, {counted(counts.n_mentions, 'mention')}"
        if counts.n_set_aside:
            said += f", {counts.n_set_aside:,} set aside"
        said += f", {rate:.1f} documents/s"
        if not progress.total_bytes:
            return said
        share = min(1.0, progress.n_bytes / progress.total_bytes)
        bar = "#" * round(share * _BAR)
        new = progress.n_bytes - self._resumed_bytes
        if new > 0:
            said += (
                f", {duration(elapsed_s * (progress.total_bytes - progress.n_bytes) / new)} left"
            )
        return f"{share:4.0%} [{bar:-<{_BAR}}] {said}"

    def close(self) -> None:
        """Clear the bar."""
        if self._shown and self._terminal:
            click.echo("\r\x1b[K", err=True, nl=False)


def print_summary(summary: Summary) -> None:
    """What a run did, in a few lines on stderr."""
    linked = f"{summary.n_linked:,} linked, {summary.n_nil:,} NIL"
    lines = [
        f"{counted(summary.n_documents, 'document')}, {counted(summary.n_mentions, 'mention')}, "
        f"{linked}, {summary.n_set_aside:,} set aside in {summary.wall_s:.1f} s"
    ]
    if summary.n_resumed:
        lines.append(f"of these, {counted(summary.n_resumed, 'document')} in earlier runs")
    if summary.most_linked:
        most = (f"{name} ({id_}) {n:,}" for id_, name, n in summary.most_linked)
        lines.append(f"most linked: {', '.join(most)}")
    stages = (f"{stage} {seconds:.1f}" for stage, seconds in summary.seconds.items())
    lines.append(f"seconds: {', '.join(stages)}")
    if summary.quarantine:
        lines.append(f"set aside, with the reasons: {summary.quarantine}")
    click.echo("\n".join(lines), err=True)


def counted(n: int, noun: str) -> str:
    """ "1 document", "1,234 documents"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def duration(seconds: float) -> str:
    """ "45 s", "3 min", "2 h 05 min", "3 d 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
