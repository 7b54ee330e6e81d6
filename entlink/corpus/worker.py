"""A process that links shards: `python -m entlink.corpus.worker PARENT`, of engines.Processes.

It reads frames from stdin, a Setup and then shards, and answers each on stdout, until stdin ends or
its parent, the process of that number, is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from entlink.corpus.engines import DONE, FAILED, read_frame, write_frame
from entlink.corpus.shards import Setup, link_shard
from entlink.errors import EntlinkError, reason

_LOOK_S = 1.0  # between two looks at whether the parent lives


def _end_with(parent: int) -> None:
    """End this process, whatever it is at, soon after its parent has ended."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


def main(parent: int) -> None:
    """Serve until the parent closes the pipe or is gone."""
    if os.name == "posix":  # elsewhere a process is given no other parent
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    setup = read_frame(sys.stdin.buffer)
    if setup is None:
        return
    try:
        options = Setup.parse(setup)
        linker = options.load()
        write_frame(answers, DONE)
        while (shard := read_frame(sys.stdin.buffer)) is not None:
            write_frame(answers, DONE + link_shard(linker, shard, options.options))
    except BrokenPipeError:
        os._exit(1)
    except (EntlinkError, OSError) as error:
        said = str(error) if isinstance(error, EntlinkError) else reason(error)
        write_frame(answers, FAILED + said.encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
