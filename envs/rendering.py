"""Pictures of a search: so far, text."""

from __future__ import annotations

from collections.abc import Sequence

from nats_gym.spaces import ArchitectureSpace


def ansi(space: ArchitectureSpace, dataset: str, choices: Sequence[int], status: str) -> str:
    """The decisions taken, the one to come and a line of status, as text."""
    width = max(len(name) for name in space.decision_names)
    lines = [f"{space.title} space · {dataset} · {status}"]
    for position, decision in enumerate(space.decision_names):
        if position < len(choices):
            shown = space.choice_names[choices[position]]
        else:
            shown = "?" if position == len(choices) else "·"
        lines.append(f"  {decision:<{width}}  {shown}")
    return "\n".join(lines) + "\n"
