"""Where nats-gym keeps what it stores on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from nats_gym.errors import InvalidInput


def home() -> Path:
    """``NATS_GYM_HOME``, else the platform's folder for user data.

    Raises:
        InvalidInput: if ``NATS_GYM_HOME`` begins with the home folder of nobody.
    """
    if given := os.environ.get("NATS_GYM_HOME"):
        try:
            return Path(given).expanduser()
        except RuntimeError as error:
            raise InvalidInput(f"NATS_GYM_HOME={given!r} is no path: {error}") from error
    import platformdirs

    return Path(platformdirs.user_data_dir("nats-gym", appauthor=False))
