"""``nats_gym.results.plots``, under the name that it had; this one goes after a release."""

import warnings

from nats_gym.results.plots import *  # noqa: F403

warnings.warn("nats_gym.plots is nats_gym.results.plots now", DeprecationWarning, stacklevel=2)
