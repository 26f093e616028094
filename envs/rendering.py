"""Pictures of a search: text, an image, and a window that shows it."""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.files.writing import check_folder, make_folder, replacing

from .scene import Scene
from .viewer import Window

__all__ = ["Scene", "Window", "draw", "save_png", "text"]


def text(scene: Scene) -> str:
    """The decisions taken, the one to come (``?``), the rest (``·``) and the status, as text."""
    space = scene.space
    width = max(len(name) for name in space.decision_names)
    lines = [f"{space.title} space · {scene.dataset} · {' · '.join(_status(scene))}"]
    for decision, taken in _rows(scene):
        lines.append(f"  {decision:<{width}}  {taken}")
    if scene.caption:
        lines.append(f"  {scene.caption}")
    return "\n".join(lines) + "\n"


def draw(scene: Scene) -> NDArray[np.uint8]:
    """The scene as an image ``(480, 640, 3)``."""
    from .picture import picture  # needs Pillow, which text does not

    return picture(scene)


def save_png(scene: Scene, path: str | os.PathLike[str]) -> None:
    """Write the picture of a scene, whole or not at all, making the folders that lack.

    Raises:
        InvalidInput: for a path that does not end in ``.png`` or cannot be written.
    """
    from PIL import Image

    path = checks.path(path, "a picture")
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"a picture is a file whose name ends in .png, got {shown(str(path))}")
    if path.is_dir():
        raise InvalidInput(f"{shown(str(path))} cannot be a picture: it is a folder")
    check_folder(path.parent)
    make_folder(path.parent)
    with replacing(path) as temporary:
        Image.fromarray(draw(scene)).save(temporary, "png")


def _status(scene: Scene) -> list[str]:
    bounded = f" of {scene.budget:,.0f}" if math.isfinite(scene.budget) else ""
    status = [f"clock {scene.clock:,.0f}{bounded} s", f"{scene.evaluations} evaluated"]
    if scene.is_invalid:
        status.append("invalid")
    if scene.accuracy is not None:
        status.append(f"accuracy {scene.accuracy:.2f} % ({scene.provenance})")
    if scene.incumbent:
        index, accuracy = scene.incumbent
        status.append(f"incumbent {accuracy:.2f} % (index {index})")
    if scene.horizon:
        status.append(f"step {scene.horizon[0]} of {scene.horizon[1]}")
    return status


def _rows(scene: Scene) -> list[tuple[str, str]]:
    """Every decision with what was chosen."""
    names = scene.space.decision_names
    return [(name, scene.choice_name(decision)) for decision, name in enumerate(names)]
