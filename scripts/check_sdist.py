"""Check that an sdist is what git has, no file more and none less.

Untracked files and what an earlier build noted get into one without being asked:

    python scripts/check_sdist.py dist/nats_gym-0.1.0.tar.gz
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What setuptools adds.
MADE = ("PKG-INFO", "setup.cfg", "nats_gym.egg-info/")


def main(sdist: str) -> int:
    """Print what differs; the exit code."""
    with tarfile.open(sdist) as tar:
        names = [member.name.split("/", 1)[1] for member in tar if member.isfile()]
    held = {name for name in names if not name.startswith(MADE)}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    tracked = {*listed.stdout.decode().split("\0")} - {""}
    for name in sorted(held ^ tracked):
        print(f"{sdist}: {name} is {'no file of git' if name in held else 'missing'}")
    return int(held != tracked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
