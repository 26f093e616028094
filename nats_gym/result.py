"""``nats_gym.results``, under the name that it had; this one goes after a release."""

import warnings

from nats_gym.results.result import *  # noqa: F403

warnings.warn("nats_gym.result is nats_gym.results now", DeprecationWarning, stacklevel=2)
