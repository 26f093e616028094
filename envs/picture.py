"""Draws a :class:`~nats_gym.envs.rendering.Scene`: the architecture left, the search right.

Only what changes is drawn for each frame. Shapes that need smooth edges are masks, made once.
Colours are Okabe & Ito's, which colour-blind readers tell apart; every edge is labelled besides.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nats_gym.spaces.size import WIDTHS
from nats_gym.spaces.topology import NONE, OPERATIONS

from . import cell_curves
from .cell_curves import Mask

if TYPE_CHECKING:
    from .rendering import Scene

WIDTH, HEIGHT = 640, 480
MARGIN = 12  # stays empty

WHITE, INK, GREY, PALE = "#ffffff", "#1f2933", "#5b6672", "#d3dae1"
NEXT, NEXT_HALO = "#D55E00", "#fbe3d0"
#: Colour of each operation; its name on the picture.
OPERATION_COLOURS = {
    "none": "#9aa5b1",
    "skip_connect": "#009E73",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#E69F00",
}
SHORT_NAMES = ("none", "skip", "conv 1×1", "conv 3×3", "pool 3×3")
CELL_COLOUR, REDUCTION_COLOUR = "#0072B2", "#E69F00"

#: Upper left corner of the drawing of a cell.
CELL_CORNER = (12, 66)
THUMBNAIL_SCALE = 0.2

#: The size network: a bar for each width, to scale, one below the other.
BAR_CENTRE, BARS_TOP, PIXELS_PER_CHANNEL = 258, 98, 4.5
CELL_HEIGHT, REDUCTION_HEIGHT, BAR_GAP = 42, 30, 17

PANEL_LEFT, PANEL_RIGHT = 432, WIDTH - MARGIN - 4
LEGEND_TOP, CAPTION_TOP = 382, 438
LINE_HEIGHT = 19


def picture(scene: Scene) -> NDArray[np.uint8]:
    """The scene as an image ``(480, 640, 3)``."""
    is_cell = scene.space.name == "tss"
    image = _background(is_cell).copy()
    canvas = ImageDraw.Draw(image)
    _write(canvas, (20, 14), f"{scene.space.title.capitalize()} space · {scene.dataset}", 21, 390)
    _write(canvas, (20, 44), _subtitle(scene), 14, 390, NEXT if _next(scene) else GREY)
    if is_cell:
        _draw_cell(image, canvas, scene)
    else:
        _draw_bars(canvas, scene)
    _draw_panel(image, canvas, scene)
    for line, part in enumerate(_wrapped(scene.caption, WIDTH - 40, 2)):
        _write(canvas, (20, CAPTION_TOP + 17 * line), part, 13, WIDTH - 40, GREY)
    return np.array(image)
