"""Draws a cell of the topology space: its four nodes, and the operation on every edge."""

from __future__ import annotations

from nats_gym.spaces.topology import NONE, OPERATIONS

from . import cell_curves
from .canvas import (
    AREA,
    GREY,
    INK,
    LEGEND_TOP,
    NEXT,
    NEXT_HALO,
    PALE,
    WHITE,
    Canvas,
    draw_label,
    draw_swatch,
    paste,
    write,
)
from .drawing import Drawing
from .scene import Scene

#: Colour of each operation; its name on the picture.
OPERATION_COLOURS = {
    "none": "#9aa5b1",
    "skip_connect": "#009E73",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#E69F00",
}
SHORT_NAMES = ("none", "skip", "conv 1x1", "conv 3x3", "pool 3x3")
#: Upper left corner of the drawing.
CELL_CORNER = AREA[:2]
THUMBNAIL_SCALE = 0.2


class CellDrawing(Drawing):
    """Nodes left to right; an edge in the colour of its operation, which is written on it."""

    choice_indent = 76

    def draw_still(self, canvas: Canvas) -> None:
        """Nodes of the cell and the legend of its edges."""
        radius = cell_curves.NODE_RADIUS
        paste(canvas, cell_curves.node_mask(radius), INK, CELL_CORNER)
        paste(canvas, cell_curves.node_mask(radius - 2), WHITE, CELL_CORNER)
        centres = [(CELL_CORNER[0] + x, CELL_CORNER[1] + y) for x, y in cell_curves.NODES]
        for number, centre in enumerate(centres):
            write(canvas, centre, str(number), 16, 30, INK, "mm")
        (left, y), (right, _) = centres[0], centres[-1]
        write(canvas, (left - 20, y + radius + 10), "input", 13, 60, GREY)
        write(canvas, (right + 30, y + radius + 10), "output", 13, 60, GREY, "ra")
        for place, (name, colour) in enumerate(
            [*OPERATION_COLOURS.items(), ("next decision", NEXT)]
        ):
            x, y = 20 + 130 * (place % 3), LEGEND_TOP + 22 * (place // 3)
            draw_swatch(canvas, (x, y + 6), colour, name == OPERATIONS[NONE])
            write(canvas, (x + 30, y), name, 13, 96, GREY)

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the edges, open ones dotted, and the next one on a halo."""
        for edge, choice in enumerate(scene.choices):
            if edge == scene.position:
                paste(canvas, cell_curves.halo_mask(edge), NEXT_HALO, CELL_CORNER)
            colour = NEXT if edge == scene.position else PALE
            if choice >= 0:
                colour = OPERATION_COLOURS[OPERATIONS[choice]]
            strokes = None
            if choice == NONE:
                strokes = cell_curves.DASHED
            elif choice < 0 and edge != scene.position:
                strokes = cell_curves.DOTTED
            paste(canvas, cell_curves.edge_mask(edge, strokes), colour, CELL_CORNER)
            label = SHORT_NAMES[choice] if choice >= 0 else "?" if edge == scene.position else ""
            if label:
                x, y = cell_curves.curves()[edge].label
                draw_label(canvas, (CELL_CORNER[0] + x, CELL_CORNER[1] + y), label, colour)

    def draw_key(self, canvas: Canvas, at: tuple[int, int], choice: int) -> None:
        """Draw a piece of its line."""
        draw_swatch(canvas, at, OPERATION_COLOURS[OPERATIONS[choice]], choice == NONE)

    def draw_small(self, canvas: Canvas, choices: list[int], corner: tuple[int, int]) -> None:
        """Draw nodes and edges, but those of ``none``."""
        for edge, choice in enumerate(choices):
            if choice != NONE:
                mask = cell_curves.small_edge_mask(edge, THUMBNAIL_SCALE)
                paste(canvas, mask, OPERATION_COLOURS[OPERATIONS[choice]], corner)
        paste(canvas, cell_curves.node_mask(17.0, THUMBNAIL_SCALE), INK, corner)
