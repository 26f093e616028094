"""What a search found: ``result`` is saved and loaded, ``summary`` and ``plots`` show it."""

from nats_gym.results.arguments import SearchArguments
from nats_gym.results.result import SearchResult

__all__ = ["SearchArguments", "SearchResult"]
