"""Pictures of a search: text, and the same drawn as an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nats_gym.spaces import ArchitectureSpace

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH, HEIGHT = 640, 480
BACKGROUND, INK, PALE, TAKEN, NEXT = "#ffffff", "#1f2933", "#9aa5b1", "#0072B2", "#D55E00"


def ansi(space: ArchitectureSpace, dataset: str, choices: Sequence[int], status: str) -> str:
    """The decisions taken, the one to come and a line of status, as text."""
    width = max(len(name) for name in space.decision_names)
    lines = [f"{space.title} space · {dataset} · {status}"]
    for decision, shown in _rows(space, choices):
        lines.append(f"  {decision:<{width}}  {shown}")
    return "\n".join(lines) + "\n"


def picture(
    space: ArchitectureSpace, dataset: str, choices: Sequence[int], status: str
) -> NDArray[np.uint8]:
    """What :func:`ansi` shows, as an image ``(480, 640, 3)``; a row per decision."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((32, 24), f"{space.title} space, {dataset}", INK, _font(28))
    rows = _rows(space, choices)
    for position, (decision, shown) in enumerate(rows):
        top = 88 + 48 * position
        colour = TAKEN if position < len(choices) else NEXT if position == len(choices) else PALE
        # Pillow's own font has no arrow.
        draw.text((32, top), decision.replace("←", " <- "), INK, _font(28))
        draw.text((240, top), shown, colour, _font(28))
    for line, part in enumerate(status.split(" · ")):
        draw.text((32, 392 + 26 * line), part, INK, _font(20))
    return np.array(image)


def _rows(space: ArchitectureSpace, choices: Sequence[int]) -> list[tuple[str, str]]:
    """Every decision with what was chosen; ``?`` for the next one, ``·`` for those to come."""
    shown = [space.choice_names[choice] for choice in choices]
    shown += ["?", *"·" * space.num_decisions]
    return list(zip(space.decision_names, shown, strict=False))


@cache
def _font(size: int) -> ImageFont | FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
