"""Where nats-gym keeps what it stores on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``NATS_GYM_HOME``, else the platform's folder for user data."""
    if given := os.environ.get("NATS_GYM_HOME"):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("nats-gym", appauthor=False))
