"""Arguments of load_official that are refused before an archive is looked for."""

from __future__ import annotations

from typing import Any

import pytest

from nats_gym.errors import InvalidInput
from nats_gym.networks import load_official


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": 5}, "source is a path, got 5"),
        ({"source": ["a"]}, r"source is a path, got \['a'\]"),
        ({"space": "xss", "source": 5}, "unknown space 'xss'"),
    ],
)
def test_what_is_no_argument_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load_official(0, "cifar10", 777, **options)
