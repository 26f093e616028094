"""What a search found: ``result`` is saved and loaded, ``summary`` and ``plots`` show it."""

from nats_gym.results.result import SearchArguments, SearchResult

__all__ = ["SearchArguments", "SearchResult"]
