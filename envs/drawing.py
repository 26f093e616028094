"""How the architectures of a space are drawn: what a picture asks of a drawing."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from nats_gym.errors import InvalidInput, said, shown
from nats_gym.spaces import ArchitectureSpace

from .canvas import Canvas
from .scene import Scene


class Drawing:
    """Draws the architectures of one space, within :data:`~nats_gym.envs.canvas.AREA`.

    A space names the one that it is drawn by, ``drawing = "module:name"``.

    Args:
        space: whose architectures.

    Attributes:
        choice_indent: where the panel writes what was chosen, in pixels; 0 where the drawing itself
            tells it of every decision, so that the panel need not.
    """

    choice_indent = 96

    def __init__(self, space: ArchitectureSpace) -> None:
        self.space = space

    def draw_still(self, canvas: Canvas) -> None:
        """Draw what is the same in every picture of the space."""

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the architecture of a scene, of which some decisions may be open."""
        raise NotImplementedError

    def draw_key(self, canvas: Canvas, at: tuple[int, int], choice: int) -> None:
        """Draw beside a choice in the panel what stands for it; by default nothing does."""

    def draw_small(self, canvas: Canvas, choices: list[int], corner: tuple[int, int]) -> None:
        """Draw a whole architecture on 80 by 60 pixels; by default it is left out."""


@lru_cache(maxsize=64)
def drawing_of(space: ArchitectureSpace) -> Drawing:
    """The drawing of a space.

    Raises:
        InvalidInput: where what the space names is none.
    """
    place: Any = space.drawing
    what = f"the drawing of {space.name}"
    try:
        module, _, name = place.partition(":")
        drawing = getattr(import_module(module), name)(space)
    except Exception as error:  # another's code, which raises what it likes
        raise InvalidInput(
            f"{what} is the place of a class, 'module:name', got {shown(place)}: {said(error)}"
        ) from error
    if not isinstance(drawing, Drawing):
        raise InvalidInput(
            f"{what} is a nats_gym.envs.drawing.Drawing, {shown(place)} made {shown(drawing)}"
        )
    return drawing
