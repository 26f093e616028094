"""Child processes: interpreters that leave Ctrl-C to their parent, and end when it is gone.

Plain interpreters rather than ``multiprocessing``: that imports the caller's script again, which
a script without an ``if __name__ == "__main__"`` guard does not survive, or forks a process that
may hold threads, locks and a CUDA context.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

#: Seconds after which a process notices at the latest that its parent is gone.
NOTICED_AFTER = 0.2


def start(
    module: str, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start an interpreter that runs ``main()`` of a module, with pipes to and from it.

    Args:
        module: its full name.
        environment: variables that it gets beside this process's.
        options: further ones of ``subprocess.Popen``, such as ``text=True``.
    """
    # It must find the package that this one found.
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    code = (
        f"from {__name__} import attend; attend({os.getpid()}); from {module} import main; main()"
    )
    with _interrupts_blocked():
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **(environment or {}), "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )


@lru_cache(maxsize=1)  # once a process
def attend(parent: int) -> None:
    """Have this process ignore Ctrl-C, which is its parent's to answer, and end with its parent.

    The end of a pipe would tell as much, unless another process of the parent's has inherited it.
    On Windows, which gives orphans no other parent, that is all there is.

    Args:
        parent: process number. One that is gone by now is noticed too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(NOTICED_AFTER)
        os._exit(1)  # whatever it is doing: nobody is left to hear of it

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a child that is started meanwhile be born deaf to Ctrl-C, until it ignores it itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
