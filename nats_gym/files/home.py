"""Where nats-gym keeps what it stores on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from nats_gym import checks


def home() -> Path:
    """``NATS_GYM_HOME``, else the platform's folder for user data.

    Raises:
        InvalidInput: if ``NATS_GYM_HOME`` begins with the home folder of nobody.
    """
    if given := os.environ.get("NATS_GYM_HOME"):
        return checks.path(given, "NATS_GYM_HOME", expand=True)
    import platformdirs

    return Path(platformdirs.user_data_dir("nats-gym", appauthor=False))
