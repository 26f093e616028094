"""``nats_gym.results.summary``, under the name that it had; this one goes after a release."""

import warnings

from nats_gym.results.summary import *  # noqa: F403

warnings.warn("nats_gym.summary is nats_gym.results.summary now", DeprecationWarning, stacklevel=2)
