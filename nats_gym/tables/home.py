"""``nats_gym.files.home``, under the name that it had here; this one goes after a release."""

import warnings

from nats_gym.files.home import *  # noqa: F403

warnings.warn("nats_gym.tables.home is nats_gym.files.home now", DeprecationWarning, stacklevel=2)
