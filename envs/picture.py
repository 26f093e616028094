"""Draws a :class:`~nats_gym.envs.scene.Scene`: the architecture left, the search right.

Only what changes is drawn for each frame. How an architecture is drawn is its space's to say.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .canvas import (
    CAPTION_TOP,
    GREY,
    HEIGHT,
    INK,
    NEXT_INK,
    PALE,
    PANEL_LEFT,
    PANEL_RIGHT,
    WHITE,
    WIDTH,
    Canvas,
    wrap,
    write,
)
from .drawing import Drawing, drawing_of
from .scene import Scene

LINE_HEIGHT = 19
#: More decisions than these do not fit in the panel.
MOST_LISTED = 6


def picture(scene: Scene) -> NDArray[np.uint8]:
    """The scene as an image ``(480, 640, 3)``."""
    drawing = drawing_of(scene.space)
    image = _background(drawing).copy()
    canvas = ImageDraw.Draw(image)
    title = scene.space.title
    write(canvas, (20, 14), f"{title[:1].upper()}{title[1:]} space · {scene.dataset}", 21, 390)
    plain = scene.position is None and not scene.is_invalid
    write(canvas, (20, 44), _subtitle(scene), 14, 390, GREY if plain else NEXT_INK)
    drawing.draw(canvas, scene)
    _draw_panel(canvas, scene, drawing)
    for line, part in enumerate(wrap(scene.caption, WIDTH - 40, 2)):
        write(canvas, (20, CAPTION_TOP + 17 * line), part, 13, WIDTH - 40, GREY)
    return np.array(image)


@lru_cache(maxsize=16)
def _background(drawing: Drawing) -> Image.Image:
    """What is the same in every picture of a space."""
    image = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    canvas = ImageDraw.Draw(image)
    canvas.line((PANEL_LEFT - 14, 20, PANEL_LEFT - 14, CAPTION_TOP - 16), PALE)
    if _is_listed(drawing):
        write(canvas, (PANEL_LEFT, 16), "decisions", 13, 100, GREY)
    drawing.draw_still(canvas)
    return image


def _is_listed(drawing: Drawing) -> bool:
    """Whether the panel lists the decisions."""
    return bool(drawing.choice_indent) and drawing.space.num_decisions <= MOST_LISTED


def _draw_panel(canvas: Canvas, scene: Scene, drawing: Drawing) -> None:
    y = 16
    if _is_listed(drawing):
        y = 38
        for decision in range(len(scene.choices)):
            _draw_decision(canvas, scene, drawing, decision, y)
            y += LINE_HEIGHT
        y += 12
    write(canvas, (PANEL_LEFT, y), "accuracy", 13, 60, GREY)
    if scene.accuracy is not None:
        write(canvas, (PANEL_RIGHT, y), scene.provenance or "", 13, 120, GREY, "ra")
    y += 18
    _write_percent(canvas, y, scene.accuracy, 26)
    y += 40
    if not _is_search(scene):
        return
    y = _draw_clock(canvas, scene, y)
    y = _draw_row(canvas, y, "evaluations", _amount(scene.evaluations))
    if scene.horizon:
        taken, steps = scene.horizon
        y = _draw_row(canvas, y, "step", f"{_amount(taken)} of {_amount(steps)}")
        y = _draw_share(canvas, y, taken, steps)
    if scene.incumbent or scene.horizon or math.isfinite(scene.budget):
        _draw_incumbent(canvas, scene, drawing, y + 4)


def _draw_decision(canvas: Canvas, scene: Scene, drawing: Drawing, decision: int, y: int) -> None:
    choice, is_next = scene.choices[decision], decision == scene.position
    name = scene.space.decision_names[decision]
    write(canvas, (PANEL_LEFT, y), name, 14, 80, INK if choice >= 0 or is_next else GREY)
    colour = INK if choice >= 0 else NEXT_INK if is_next else GREY
    x = PANEL_LEFT + drawing.choice_indent
    if choice >= 0:
        drawing.draw_key(canvas, (x - 30, y + 7), choice)
    write(canvas, (x, y), scene.choice_name(decision), 14, PANEL_RIGHT - x, colour)


def _draw_clock(canvas: Canvas, scene: Scene, y: int) -> int:
    bounded = math.isfinite(scene.budget)
    of = f" of {_amount(scene.budget)}" if bounded else ""
    write(canvas, (PANEL_LEFT, y), "clock", 13, 60, GREY)
    room = PANEL_RIGHT - PANEL_LEFT
    if not bounded:
        write(canvas, (PANEL_RIGHT, y), f"{_amount(scene.clock)} s", 14, room - 60, INK, "ra")
        return y + 24
    y += 17
    write(canvas, (PANEL_LEFT, y), f"{_amount(scene.clock)}{of} s", 14, room)
    return _draw_share(canvas, y + 20, scene.clock, scene.budget) + 4


def _draw_row(canvas: Canvas, y: int, name: str, value: str) -> int:
    write(canvas, (PANEL_LEFT, y), name, 13, 80, GREY)
    write(canvas, (PANEL_RIGHT, y), value, 14, 155 if name == "step" else 100, INK, "ra")
    return y + 22


def _draw_share(canvas: Canvas, y: int, used: float, of: float) -> int:
    """A bar of how much is used; full if it is overdrawn."""
    full = PANEL_RIGHT - PANEL_LEFT
    width = round(full * min(max(used / of, 0.0), 1.0)) if of > 0 else full
    canvas.rectangle((PANEL_LEFT, y, PANEL_RIGHT - 1, y + 7), None, PALE)
    if width:
        canvas.rectangle((PANEL_LEFT, y, PANEL_LEFT + width - 1, y + 7), GREY)
    return y + 14


def _write_percent(canvas: Canvas, y: int, accuracy: float | None, size: int) -> None:
    if accuracy is None:
        write(canvas, (PANEL_LEFT, y + size / 4), "none", 14, 100, GREY)
    else:
        write(canvas, (PANEL_LEFT, y), f"{accuracy:.2f} %", size, 112)


def _draw_incumbent(canvas: Canvas, scene: Scene, drawing: Drawing, y: int) -> None:
    write(canvas, (PANEL_LEFT, y), "incumbent", 13, 80, GREY)
    index, accuracy = scene.incumbent or (None, None)
    _write_percent(canvas, y + 18, accuracy, 20)
    if index is None:
        return
    write(canvas, (PANEL_LEFT, y + 44), f"index {index}", 13, 100, GREY)
    choices = scene.space.choices(index).tolist()
    drawing.draw_small(canvas, choices, (PANEL_RIGHT - 80, y + 2))


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def _subtitle(scene: Scene) -> str:
    space = scene.space
    if scene.position is not None:
        name = space.decision_names[scene.position]
        return f"next: {name}, decision {scene.position + 1} of {space.num_decisions}"
    if min(scene.choices) < 0:
        return f"{sum(choice >= 0 for choice in scene.choices)} of {space.num_decisions} decided"
    if scene.is_invalid:
        return "invalid: no architecture of the space"
    return f"architecture {space.index_of(scene.choices)} of {space.size:,}"


def _is_search(scene: Scene) -> bool:
    """Whether there is more to tell than one architecture."""
    return bool(
        scene.evaluations
        or scene.clock
        or scene.horizon
        or scene.incumbent
        or math.isfinite(scene.budget)
        or min(scene.choices) < 0
    )


def _amount(number: float) -> str:
    return f"{number:,.0f}" if abs(number) < 1e8 else f"{number:.2e}"
