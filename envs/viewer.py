"""The window of `render_mode="human"`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled, Error
from numpy.typing import NDArray

from nats_gym.errors import MissingPackage, said
from nats_gym.extras import require


class MissingPygame(MissingPackage, DependencyNotInstalled):
    """Without pygame there is no window."""


def require_pygame() -> None:
    """Raise what Gymnasium raises, and nats-gym, where pygame is not installed.

    Raises:
        MissingPygame: then.
    """
    try:
        require("pygame", "render_mode='human'")
    except MissingPackage as error:
        raise MissingPygame(str(error)) from None


class Window:
    """Shows frames on the screen, with pygame. It opens with the first frame.

    Closing it by its button only ends the pictures: the episode goes on, unseen.

    Args:
        fps: frames a second, at most.

    Raises:
        MissingPygame: without pygame.
    """

    def __init__(self, fps: int) -> None:
        require_pygame()
        import pygame

        self._pygame: Any = pygame
        self._fps = fps
        self._clock = pygame.time.Clock()
        self._closed = False

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show a frame ``(height, width, 3)``, waiting so that no more than ``fps`` are a second.

        Raises:
            Error: gymnasium's, without a display.
        """
        if self._closed:
            return
        height, width, _ = frame.shape
        screen = self._screen((width, height))
        screen.blit(self._pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
        self._pygame.display.flip()
        # The system calls a window dead whose events nobody takes.
        if any(event.type == self._pygame.QUIT for event in self._pygame.event.get()):
            self.close()
        self._clock.tick(self._fps)

    def _screen(self, size: tuple[int, int]) -> Any:
        # Pygame has one window a process: another environment's may have closed it, or resized it.
        display = self._pygame.display
        screen = display.get_surface() if display.get_init() else None
        if screen is not None and screen.get_size() == size:
            return screen
        try:
            display.init()
            display.set_caption("nats-gym")
            return display.set_mode(size)
        except self._pygame.error as error:
            raise Error(
                f"render_mode='human' needs a display ({said(error)}); without one, use 'rgb_array'"
            ) from None

    def close(self) -> None:
        """Close the window; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._pygame.display.quit()
