"""Ctrl-C and kills: what runs on, what is left behind, and what the next start makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import alive, descendants, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# ── the parent alone is killed ───────────────────────────────────────────────────────────────

SLEEPER = """
import signal, time
def main():
    print("ignores" if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else "hears", flush=True)
    time.sleep(600)
"""
PARENT = """
import os, time
from nats_gym import children
child = children.start("sleeper", text=True)
print(child.stdout.readline().strip(), flush=True)
if os.fork() == 0:  # keeps the pipe to the child open, so that its end tells nothing
    time.sleep(600)
time.sleep(600)
"""


def test_a_child_ends_with_its_parent_though_another_holds_its_pipe(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ignores\n"
        wait_for(lambda: len(descendants(parent.pid)) == 2)
        children = descendants(parent.pid)
        parent.kill()
        try:
            wait_for(lambda: len(alive(children)) == 1, seconds=10)
            assert "import attend" not in alive(children)[0]
        finally:
            for pid in children:
                if alive({pid: children[pid]}):
                    os.kill(pid, signal.SIGKILL)
