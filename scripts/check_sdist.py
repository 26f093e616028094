"""Check that an sdist is what git's last commit has: no file more, none less, each as it is there.

Untracked files, uncommitted edits and what an earlier build noted get into one without being asked:

    python scripts/check_sdist.py                              # before the build: is all committed?
    python scripts/check_sdist.py dist/nats_gym-0.1.0.tar.gz   # after it
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What setuptools adds.
MADE = ("PKG-INFO", "setup.cfg", "nats_gym.egg-info/")


def ask_git(*words: str) -> list[str]:
    """What git answers, NUL between two."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def check_tree() -> int:
    """Refuse what is not committed; warn of a version that was released and has been added to."""
    changed = [line[3:] for line in ask_git("status", "--porcelain", "--no-renames", "-z")]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        print(f"no release: commit or remove {', '.join(changed[:3])}{more} first")
        return 1
    names = ("nats_gym/__init__.py", "CHANGELOG.md")
    package, changes = ((ROOT / name).read_text(encoding="utf-8") for name in names)
    (version,) = re.findall(r'^__version__ = "(.*)"', package, re.M)
    waiting = re.search(r"^## Unreleased\n(?:(?!## ).*\n)*?- ", changes, re.M)
    if waiting and re.search(rf"^## {re.escape(version)}\b", changes, re.M):
        print(f"warning: CHANGELOG.md has {version} and lines under Unreleased: a new version?")
    return 0


def check_sdist(sdist: str) -> int:
    """Print what differs."""
    held = {}
    with tarfile.open(sdist) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            content = tar.extractfile(member).read()
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content)  # as git names contents
            held[member.name.split("/", 1)[1]] = blob.hexdigest()
    held = {name: blob for name, blob in held.items() if not name.startswith(MADE)}
    entries = [line.split("\t") for line in ask_git("ls-tree", "-r", "-z", "HEAD")]
    tracked = {name: facts.split()[2] for facts, name in entries}
    for name in sorted(held.keys() | tracked.keys()):
        if held.get(name) != tracked.get(name):
            how = "missing" if name not in held else "not as committed"
            print(f"{sdist}: {name} is {how if name in tracked else 'no file of git'}")
    return int(held != tracked)


if __name__ == "__main__":
    sys.exit(check_sdist(sys.argv[1]) if sys.argv[1:] else check_tree())
