"""Draws a network of the size space: a bar for each width, to scale, one below the other."""

from __future__ import annotations

from nats_gym.spaces.size import WIDTHS

from .canvas import GREY, INK, LEGEND_TOP, NEXT, NEXT_HALO, PALE, WHITE, Canvas, write
from .drawing import Drawing
from .scene import Scene

CELL_COLOUR, REDUCTION_COLOUR = "#0072B2", "#E69F00"
BAR_CENTRE, BARS_TOP, PIXELS_PER_CHANNEL = 258, 98, 4.5
CELL_HEIGHT, REDUCTION_HEIGHT, BAR_GAP = 42, 30, 17


class BarDrawing(Drawing):
    """Bars of cells and reductions in turn, with their channels written in them."""

    def draw_still(self, canvas: Canvas) -> None:
        """Names of the bars, arrows between them, and their legend and scale."""
        for row, name in enumerate(self.space.decision_names):
            _, top, _, bottom = bar_box(row, WIDTHS[-1])
            label = name if row else f"stem, {name}"
            write(canvas, (20, (top + bottom) / 2), label, 14, 90, INK, "lm")
            if row:
                tip = top - 4
                canvas.line((BAR_CENTRE, top - BAR_GAP + 3, BAR_CENTRE, tip), GREY)
                for step in range(4):
                    canvas.line(
                        (BAR_CENTRE - step, tip - step, BAR_CENTRE + step, tip - step), GREY
                    )
        legend = (("cell", CELL_COLOUR), ("reduction", REDUCTION_COLOUR), ("next decision", NEXT))
        for place, (name, colour) in enumerate(legend):
            x, y = 20 + 130 * place, LEGEND_TOP
            fill = WHITE if colour == NEXT else colour
            canvas.rectangle((x, y + 3, x + 21, y + 13), fill, colour, 2)
            write(canvas, (x + 30, y), name, 13, 96, GREY)
        left, right, y = 20, 20 + round(8 * PIXELS_PER_CHANNEL) - 1, LEGEND_TOP + 30
        canvas.line((left, y, right, y), INK)
        for end in (left, right):
            canvas.line((end, y - 4, end, y + 4), INK)
        write(canvas, (right + 9, y), "8 channels", 13, 200, GREY, "lm")

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the bars, open ones as outlines, and the next one on a halo."""
        for row, choice in enumerate(scene.choices):
            is_next = row == scene.position
            left, top, right, bottom = bar_box(row, WIDTHS[choice] if choice >= 0 else WIDTHS[-1])
            colour = NEXT if is_next else PALE
            if choice >= 0:
                colour = _colour(row)
            if is_next:
                canvas.rectangle((left - 3, top - 3, right + 2, bottom + 2), NEXT_HALO)
            fill = colour if choice >= 0 else WHITE
            canvas.rectangle((left, top, right - 1, bottom - 1), fill, colour, 2 if is_next else 1)
            label = str(WIDTHS[choice]) if choice >= 0 else "?" if is_next else ""
            ink = INK if row % 2 or choice < 0 else WHITE
            write(canvas, (BAR_CENTRE, (top + bottom) / 2), label, 16, 36, ink, "mm")

    def draw_small(self, canvas: Canvas, choices: list[int], corner: tuple[int, int]) -> None:
        """Draw the bars, a pixel a channel."""
        for row, choice in enumerate(choices):
            half, top = WIDTHS[choice] // 2, corner[1] + 12 * row
            box = (corner[0] + 40 - half, top, corner[0] + 39 + half, top + 7)
            canvas.rectangle(box, _colour(row))


def _colour(row: int) -> str:
    return REDUCTION_COLOUR if row % 2 else CELL_COLOUR


def _bar_height(row: int) -> int:
    return REDUCTION_HEIGHT if row % 2 else CELL_HEIGHT


def bar_box(row: int, channels: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a bar; right and bottom are the first pixels outside."""
    top = BARS_TOP + sum(_bar_height(above) + BAR_GAP for above in range(row))
    width = round(channels * PIXELS_PER_CHANNEL)
    left = BAR_CENTRE - width // 2
    return left, top, left + width, top + _bar_height(row)
