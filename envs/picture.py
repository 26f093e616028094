"""Draws a :class:`~nats_gym.envs.scene.Scene`: the architecture left, the search right.

Only what changes is drawn for each frame. Shapes that need smooth edges are masks, made once.
Colours are Okabe & Ito's, which colour-blind readers tell apart; every edge is labelled besides.
"""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nats_gym.spaces.size import WIDTHS, SizeSpace
from nats_gym.spaces.topology import NONE, OPERATIONS, TopologySpace

from . import cell_curves
from .cell_curves import Mask
from .scene import Scene

ARROW = "←"
WIDTH, HEIGHT = 640, 480
MARGIN = 12  # stays empty

WHITE, INK, GREY, PALE = "#ffffff", "#1f2933", "#5b6672", "#cbd3db"
NEXT, NEXT_INK, NEXT_HALO = "#D55E00", "#b24a00", "#fbe3d0"  # thin letters need a darker one
#: Colour of each operation; its name on the picture.
OPERATION_COLOURS = {
    "none": "#9aa5b1",
    "skip_connect": "#009E73",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#E69F00",
}
SHORT_NAMES = ("none", "skip", "conv 1x1", "conv 3x3", "pool 3x3")
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
LONGEST = 400  # letters; more do not fit in any place


def picture(scene: Scene) -> NDArray[np.uint8]:
    """The scene as an image ``(480, 640, 3)``."""
    image = _background(_is_cell(scene)).copy()
    canvas = ImageDraw.Draw(image)
    _write(canvas, (20, 14), f"{scene.space.title.capitalize()} space · {scene.dataset}", 21, 390)
    _write(
        canvas, (20, 44), _subtitle(scene), 14, 390, GREY if scene.position is None else NEXT_INK
    )
    if _is_cell(scene):
        _draw_cell(canvas, scene)
    else:
        _draw_bars(canvas, scene)
    _draw_panel(canvas, scene)
    for line, part in enumerate(_wrap(scene.caption, WIDTH - 40, 2)):
        _write(canvas, (20, CAPTION_TOP + 17 * line), part, 13, WIDTH - 40, GREY)
    return np.array(image)


# ── the architecture ─────────────────────────────────────────────────────────────────────────────


@cache
def _background(is_cell: bool) -> Image.Image:
    """What is the same in every picture of a space."""
    image = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    canvas = ImageDraw.Draw(image)
    canvas.line((PANEL_LEFT - 14, 20, PANEL_LEFT - 14, CAPTION_TOP - 16), PALE)
    _write(canvas, (PANEL_LEFT, 16), "decisions", 13, 100, GREY)
    if is_cell:
        _draw_nodes(canvas)
    else:
        _draw_flow(canvas)
    return image


def _draw_nodes(canvas: ImageDraw.ImageDraw) -> None:
    """Nodes of the cell and the legend of its edges."""
    radius = cell_curves.NODE_RADIUS
    _paste(canvas, cell_curves.node_mask(radius), INK, CELL_CORNER)
    _paste(canvas, cell_curves.node_mask(radius - 2), WHITE, CELL_CORNER)
    centres = [(CELL_CORNER[0] + x, CELL_CORNER[1] + y) for x, y in cell_curves.NODES]
    for number, centre in enumerate(centres):
        _write(canvas, centre, str(number), 16, 30, INK, "mm")
    (left, y), (right, _) = centres[0], centres[-1]
    _write(canvas, (left - 20, y + radius + 10), "input", 13, 60, GREY)
    _write(canvas, (right + 30, y + radius + 10), "output", 13, 60, GREY, "ra")
    for place, (name, colour) in enumerate([*OPERATION_COLOURS.items(), ("next decision", NEXT)]):
        x, y = 20 + 130 * (place % 3), LEGEND_TOP + 22 * (place // 3)
        _swatch(canvas, (x, y + 6), colour, name == OPERATIONS[NONE])
        _write(canvas, (x + 30, y), name, 13, 96, GREY)


def _draw_flow(canvas: ImageDraw.ImageDraw) -> None:
    """Names of the bars, arrows between them, and their legend and scale."""
    for row, name in enumerate(SizeSpace().decision_names):
        _, top, _, bottom = bar_box(row, WIDTHS[-1])
        label = name if row else f"stem, {name}"
        _write(canvas, (20, (top + bottom) / 2), label, 14, 90, INK, "lm")
        if row:
            tip = top - 4
            canvas.line((BAR_CENTRE, top - BAR_GAP + 3, BAR_CENTRE, tip), GREY)
            for step in range(4):
                canvas.line((BAR_CENTRE - step, tip - step, BAR_CENTRE + step, tip - step), GREY)
    legend = (("cell", CELL_COLOUR), ("reduction", REDUCTION_COLOUR), ("next decision", NEXT))
    for place, (name, colour) in enumerate(legend):
        x, y = 20 + 130 * place, LEGEND_TOP
        fill = WHITE if colour == NEXT else colour
        canvas.rectangle((x, y + 3, x + 21, y + 13), fill, colour, 2)
        _write(canvas, (x + 30, y), name, 13, 96, GREY)
    left, right, y = 20, 20 + round(8 * PIXELS_PER_CHANNEL) - 1, LEGEND_TOP + 30
    canvas.line((left, y, right, y), INK)
    for end in (left, right):
        canvas.line((end, y - 4, end, y + 4), INK)
    _write(canvas, (right + 9, y), "8 channels", 13, 200, GREY, "lm")


def _swatch(canvas: ImageDraw.ImageDraw, at: tuple[int, int], colour: str, dashed: bool) -> None:
    x, y = at
    for left, right in ((0, 6), (8, 14), (16, 22)) if dashed else ((0, 22),):
        canvas.rectangle((x + left, y, x + right - 1, y + 3), colour)


def _draw_cell(canvas: ImageDraw.ImageDraw, scene: Scene) -> None:
    for edge, choice in enumerate(scene.choices):
        if edge == scene.position:
            _paste(canvas, cell_curves.halo_mask(edge), NEXT_HALO, CELL_CORNER)
        colour = _colour(scene, edge)
        strokes = None
        if choice == NONE:
            strokes = cell_curves.DASHED
        elif choice < 0 and edge != scene.position:
            strokes = cell_curves.DOTTED
        _paste(canvas, cell_curves.edge_mask(edge, strokes), colour, CELL_CORNER)
        label = SHORT_NAMES[choice] if choice >= 0 else "?" if edge == scene.position else ""
        if label:
            x, y = cell_curves.curves()[edge].label
            _draw_label(canvas, (CELL_CORNER[0] + x, CELL_CORNER[1] + y), label, colour)


def _draw_label(
    canvas: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    label: str,
    colour: str,
) -> None:
    """A name in a rounded frame, on its edge."""
    width, height = math.ceil(_length(label, 13)) + 16, 22
    x, y = round(centre[0]) - width // 2, round(centre[1]) - height // 2
    _paste(canvas, _round(width, height), colour, (x, y))
    _paste(canvas, _round(width - 4, height - 4), WHITE, (x + 2, y + 2))
    _write(canvas, (x + width / 2, y + height / 2), label, 13, width, INK, "mm")


@lru_cache(maxsize=64)
def _round(width: int, height: int) -> Mask:
    scale = cell_curves.OVERSAMPLING
    large = Image.new("L", (width * scale, height * scale))
    corners = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(large).rounded_rectangle(corners, height * scale / 2, fill=255)
    return Mask(large.reduce(scale), (0, 0))


def _bar_height(row: int) -> int:
    return REDUCTION_HEIGHT if row % 2 else CELL_HEIGHT


def bar_box(row: int, channels: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a bar; right and bottom are the first pixels outside."""
    top = BARS_TOP + sum(_bar_height(above) + BAR_GAP for above in range(row))
    width = round(channels * PIXELS_PER_CHANNEL)
    left = BAR_CENTRE - width // 2
    return left, top, left + width, top + _bar_height(row)


def _draw_bars(canvas: ImageDraw.ImageDraw, scene: Scene) -> None:
    for row, choice in enumerate(scene.choices):
        is_next = row == scene.position
        left, top, right, bottom = bar_box(row, WIDTHS[choice] if choice >= 0 else WIDTHS[-1])
        colour = _colour(scene, row)
        if is_next:
            canvas.rectangle((left - 3, top - 3, right + 2, bottom + 2), NEXT_HALO)
        fill = colour if choice >= 0 else WHITE
        canvas.rectangle((left, top, right - 1, bottom - 1), fill, colour, 2 if is_next else 1)
        label = str(WIDTHS[choice]) if choice >= 0 else "?" if is_next else ""
        ink = INK if row % 2 or choice < 0 else WHITE
        _write(canvas, (BAR_CENTRE, (top + bottom) / 2), label, 16, 36, ink, "mm")


def _colour(scene: Scene, decision: int) -> str:
    """What a decision is drawn in."""
    choice = scene.choices[decision]
    if choice < 0:
        return NEXT if decision == scene.position else PALE
    if _is_cell(scene):
        return OPERATION_COLOURS[OPERATIONS[choice]]
    return REDUCTION_COLOUR if decision % 2 else CELL_COLOUR


def _is_cell(scene: Scene) -> bool:
    return scene.space.name == TopologySpace.name


# ── the search ───────────────────────────────────────────────────────────────────────────────────


def _draw_panel(canvas: ImageDraw.ImageDraw, scene: Scene) -> None:
    y = 38
    for decision, choice in enumerate(scene.choices):
        _draw_decision(canvas, scene, decision, choice, y)
        y += LINE_HEIGHT
    y += 12
    _write(canvas, (PANEL_LEFT, y), "accuracy", 13, 60, GREY)
    if scene.accuracy is not None:
        _write(canvas, (PANEL_RIGHT, y), scene.provenance or "", 13, 120, GREY, "ra")
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
        _draw_incumbent(canvas, scene, y + 4)


def _draw_decision(
    canvas: ImageDraw.ImageDraw, scene: Scene, decision: int, choice: int, y: int
) -> None:
    is_next = decision == scene.position
    name = scene.space.decision_names[decision]
    _write(canvas, (PANEL_LEFT, y), name, 14, 80, INK if choice >= 0 or is_next else GREY)
    shown, colour = ("?", NEXT_INK) if is_next else ("·", GREY)
    if choice >= 0:
        shown, colour = scene.space.choice_names[choice], INK
    x = PANEL_LEFT + (76 if _is_cell(scene) else 96)
    if choice >= 0 and _is_cell(scene):
        _swatch(canvas, (x - 30, y + 7), OPERATION_COLOURS[shown], choice == NONE)
    _write(canvas, (x, y), shown, 14, PANEL_RIGHT - x, colour)


def _draw_clock(canvas: ImageDraw.ImageDraw, scene: Scene, y: int) -> int:
    bounded = math.isfinite(scene.budget)
    of = f" of {_amount(scene.budget)}" if bounded else ""
    _write(canvas, (PANEL_LEFT, y), "clock", 13, 60, GREY)
    room = PANEL_RIGHT - PANEL_LEFT
    if not bounded:
        _write(canvas, (PANEL_RIGHT, y), f"{_amount(scene.clock)} s", 14, room - 60, INK, "ra")
        return y + 24
    y += 17
    _write(canvas, (PANEL_LEFT, y), f"{_amount(scene.clock)}{of} s", 14, room)
    return _draw_share(canvas, y + 20, scene.clock, scene.budget) + 4


def _draw_row(canvas: ImageDraw.ImageDraw, y: int, name: str, value: str) -> int:
    _write(canvas, (PANEL_LEFT, y), name, 13, 80, GREY)
    _write(canvas, (PANEL_RIGHT, y), value, 14, 155 if name == "step" else 100, INK, "ra")
    return y + 22


def _draw_share(canvas: ImageDraw.ImageDraw, y: int, used: float, of: float) -> int:
    """A bar of how much is used; full if it is overdrawn."""
    full = PANEL_RIGHT - PANEL_LEFT
    width = round(full * min(max(used / of, 0.0), 1.0)) if of > 0 else full
    canvas.rectangle((PANEL_LEFT, y, PANEL_RIGHT - 1, y + 7), None, PALE)
    if width:
        canvas.rectangle((PANEL_LEFT, y, PANEL_LEFT + width - 1, y + 7), GREY)
    return y + 14


def _write_percent(canvas: ImageDraw.ImageDraw, y: int, accuracy: float | None, size: int) -> None:
    if accuracy is None:
        _write(canvas, (PANEL_LEFT, y + size / 4), "none", 14, 100, GREY)
    else:
        _write(canvas, (PANEL_LEFT, y), f"{accuracy:.2f} %", size, 112)


def _draw_incumbent(canvas: ImageDraw.ImageDraw, scene: Scene, y: int) -> None:
    _write(canvas, (PANEL_LEFT, y), "incumbent", 13, 80, GREY)
    index, accuracy = scene.incumbent or (None, None)
    _write_percent(canvas, y + 18, accuracy, 20)
    if index is None:
        return
    _write(canvas, (PANEL_LEFT, y + 44), f"index {index}", 13, 100, GREY)
    corner = (PANEL_RIGHT - 80, y + 2)
    choices = scene.space.choices(index).tolist()
    if _is_cell(scene):
        for edge, choice in enumerate(choices):
            if choice != NONE:
                mask = cell_curves.small_edge_mask(edge, THUMBNAIL_SCALE)
                _paste(canvas, mask, OPERATION_COLOURS[OPERATIONS[choice]], corner)
        _paste(canvas, cell_curves.node_mask(17.0, THUMBNAIL_SCALE), INK, corner)
    else:
        for row, choice in enumerate(choices):
            half, top = WIDTHS[choice] // 2, corner[1] + 12 * row
            box = (corner[0] + 40 - half, top, corner[0] + 39 + half, top + 7)
            canvas.rectangle(box, REDUCTION_COLOUR if row % 2 else CELL_COLOUR)


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def _subtitle(scene: Scene) -> str:
    space = scene.space
    if scene.position is not None:
        name = space.decision_names[scene.position]
        return f"next: {name}, decision {scene.position + 1} of {space.num_decisions}"
    if min(scene.choices) < 0:
        return f"{sum(choice >= 0 for choice in scene.choices)} of {space.num_decisions} decided"
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


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # a size asks for one
    # The basic layout is the same wherever Pillow was built, and quicker.
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


def _write(
    canvas: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    room: float,
    colour: str = INK,
    anchor: str = "la",
) -> None:
    """Write one line, cut to ``room`` pixels.

    ``anchor`` says what ``at`` is: ``l``, ``m`` or ``r`` of it, then its top (``a``) or middle.
    """
    line = _line(text, size, room)
    left = at[0] - {"l": 0, "m": line.width / 2, "r": line.width}[anchor[0]]
    top = at[1] - (0 if anchor[1] == "a" else line.height / 2)
    canvas.bitmap((round(left), round(top)), line, colour)


@lru_cache(maxsize=512)
def _line(text: str, size: int, room: float) -> Image.Image:
    """Coverage of one line of text; most are the same in the next frame."""
    text = _cut(_plain(text), size, room)
    font = _font(size)
    line = Image.new("L", (max(1, math.ceil(_length(text, size))), sum(font.getmetrics())))
    canvas = ImageDraw.Draw(line)
    x = 0.0
    for number, part in enumerate(text.split(ARROW)):
        if number:
            middle, left, right = round(0.6 * size), round(x) + 2, round(x + size) - 3
            canvas.line((left, middle, right, middle), 255)
            for step in range(1, 4):
                canvas.point([(left + step, middle - step), (left + step, middle + step)], 255)
            x += size
        canvas.text((x, 0), part, 255, font)
        x += font.getlength(part)
    return line


def _plain(text: str) -> str:
    """The text in one line of what the font has; it has no arrows, nor letters beyond ASCII."""
    return re.sub(f"[^ -~·…±{ARROW}]", "?", " ".join(text[:LONGEST].split()))


def _length(text: str, size: int) -> float:
    """Width of a line in pixels; Pillow's own font has no ←, so that we draw one."""
    arrows = text.count(ARROW)
    return _font(size).getlength(text.replace(ARROW, "")) + arrows * size


def _cut(text: str, size: int, room: float) -> str:
    """The text, or as much of its beginning as there is room for, and an ellipsis."""
    if _length(text, size) <= room:
        return text
    low, high = 0, min(len(text), int(room))
    while low < high:
        middle = (low + high + 1) // 2
        fits = _length(text[:middle] + "…", size) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low] + "…"


@lru_cache(maxsize=64)
def _wrap(text: str, room: float, lines: int) -> list[str]:
    """The text in at most so many lines, broken after spaces and pluses; the last may be long."""
    words = re.findall(r"[^ +]*[ +]|[^ +]+", _plain(text))
    wrapped = [""]
    for word in words:
        last = len(wrapped) == lines
        if not last and wrapped[-1] and _length(wrapped[-1] + word, 13) > room:
            wrapped.append("")
        wrapped[-1] += word
    return wrapped


def _paste(canvas: ImageDraw.ImageDraw, mask: Mask, colour: str, corner: tuple[int, int]) -> None:
    """Draw a shape whose drawing lies at ``corner``."""
    at = (corner[0] + mask.corner[0], corner[1] + mask.corner[1])
    canvas.bitmap(at, mask.coverage, colour)
