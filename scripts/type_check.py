"""Type-check the package as a user gets it: build the wheel, install it aside, run mypy on it.

A type checker cannot follow an editable install's mapping of ``envs/`` and ``agents/``.

    python scripts/type_check.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Return mypy's exit code."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary) / "site"
        subprocess.run([*pip, "install", "--no-deps", "--target", site, ROOT], check=True)
        config = f"--config-file={ROOT / 'pyproject.toml'}"
        cache = f"--cache-dir={ROOT / '.mypy_cache'}"
        # From another folder, so that nothing is found but what is installed.
        command = [sys.executable, "-m", "mypy", config, cache, "-p", "nats_gym"]
        environment = {**os.environ, "MYPYPATH": str(site)}
        return subprocess.run(command, cwd=temporary, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
