"""Pictures of a search: text, an image, and a window that shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from nats_gym.spaces import ArchitectureSpace

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

Frame = NDArray[np.uint8]
WIDTH, HEIGHT = 640, 480
BACKGROUND, INK, PALE, TAKEN, NEXT = "#ffffff", "#1f2933", "#9aa5b1", "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Scene:
    """What there is to see of an episode.

    Attributes:
        space, dataset: what is searched.
        choices: one a decision, -1 where it is open.
        position: the decision that comes next; None for none.
        accuracy: percent, of the evaluation that arrived last; None for none.
        provenance: what that accuracy rests on.
        clock: simulated seconds used.
        budget: simulated seconds in all; infinite without one.
        evaluations: how many there were.
        incumbent: official index and accuracy of the best so far.
        horizon: steps taken, and steps in all.
        caption: a further line.
    """

    space: ArchitectureSpace
    dataset: str
    choices: Sequence[int]
    position: int | None = None
    accuracy: float | None = None
    provenance: str | None = None
    clock: float = 0.0
    budget: float = math.inf
    evaluations: int = 0
    incumbent: tuple[int, float] | None = None
    horizon: tuple[int, int] | None = None
    caption: str = ""


def text(scene: Scene) -> str:
    """The decisions taken, the one to come and a line of status, as text."""
    space = scene.space
    width = max(len(name) for name in space.decision_names)
    lines = [f"{space.title} space · {scene.dataset} · {' · '.join(_status(scene))}"]
    for decision, shown in _rows(scene):
        lines.append(f"  {decision:<{width}}  {shown}")
    return "\n".join(lines) + "\n"


def draw(scene: Scene) -> Frame:
    """The scene as an image ``(480, 640, 3)``."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    canvas.text((32, 24), f"{scene.space.title} space, {scene.dataset}", INK, _font(28))
    for row, (decision, shown) in enumerate(_rows(scene)):
        top = 80 + 44 * row
        colour = PALE if scene.choices[row] < 0 else TAKEN
        colour = NEXT if row == scene.position else colour
        # Pillow's own font has no arrow.
        canvas.text((32, top), decision.replace("←", " <- "), INK, _font(28))
        canvas.text((240, top), shown, colour, _font(28))
    for line, part in enumerate(_status(scene)):
        canvas.text((32, 350 + 24 * line), part, INK, _font(18))
    return np.array(image)


def _status(scene: Scene) -> list[str]:
    bounded = f" of {scene.budget:,.0f}" if math.isfinite(scene.budget) else ""
    status = [f"clock {scene.clock:,.0f}{bounded} s", f"{scene.evaluations} evaluated"]
    if scene.accuracy is not None:
        status.append(f"accuracy {scene.accuracy:.2f} % ({scene.provenance})")
    if scene.incumbent:
        status.append(f"incumbent {scene.incumbent[1]:.2f} %")
    if scene.horizon:
        status.append(f"step {scene.horizon[0]} of {scene.horizon[1]}")
    return status


def _rows(scene: Scene) -> list[tuple[str, str]]:
    """Every decision with what was chosen; ``?`` for the next one, ``·`` for those to come."""
    shown = [
        scene.space.choice_names[choice] if choice >= 0 else "?" if row == scene.position else "·"
        for row, choice in enumerate(scene.choices)
    ]
    return list(zip(scene.space.decision_names, shown, strict=True))


@cache
def _font(size: int) -> ImageFont | FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


class Window:
    """Shows frames on the screen, with pygame.

    Args:
        fps: frames a second, at most.

    Raises:
        DependencyNotInstalled: without pygame.
    """

    def __init__(self, fps: int) -> None:
        try:
            import pygame
        except ImportError:
            raise DependencyNotInstalled(
                "render_mode='human' needs pygame: pip install pygame"
            ) from None
        self._pygame: Any = pygame
        pygame.display.init()
        pygame.display.set_caption("nats-gym")
        self._screen: Any = pygame.display.set_mode((WIDTH, HEIGHT))
        self._clock = pygame.time.Clock()
        self._fps = fps

    def show(self, frame: Frame) -> None:
        """Show a frame, and wait so that no more than ``fps`` a second are shown."""
        if self._screen is None:
            return
        surface = self._pygame.surfarray.make_surface(frame.swapaxes(0, 1))
        self._screen.blit(surface, (0, 0))
        self._pygame.event.pump()
        self._pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window; a second time does nothing."""
        if self._screen is not None:
            self._pygame.display.quit()
            self._screen = None
