"""Draws the architectures of any space: a list of its decisions, and what was chosen."""

from __future__ import annotations

from typing import NamedTuple

from .canvas import AREA, GREY, INK, NEXT, NEXT_HALO, NEXT_INK, PALE, Canvas, length, write
from .drawing import Drawing
from .scene import Scene

LEFT, TOP, RIGHT, BOTTOM = AREA[0] + 8, AREA[1] + 8, AREA[2] - 8, AREA[3]
#: Rows are as high as there is room for, between these.
LEAST_HEIGHT, MOST_HEIGHT = 17, 26
MOST_COLUMNS, GAP = 2, 16
#: So many decisions are one column.
ONE_COLUMN = 13


class Layout(NamedTuple):
    """Where the rows of a list lie: how many are seen, in columns of how many, how high."""

    seen: int
    rows: int
    height: int
    width: int
    size: int


def layout(decisions: int) -> Layout:
    """The layout of a list of so many decisions; not all are seen at once if there are many."""
    columns = 1 if decisions <= ONE_COLUMN else MOST_COLUMNS
    most = (BOTTOM - TOP) // LEAST_HEIGHT
    rows = min(-(-decisions // columns), most)
    seen = min(decisions, rows * columns)
    if seen < decisions:  # the last row says which these are
        rows -= 1
        seen = rows * columns
    height = min((BOTTOM - TOP) // (rows + (seen < decisions)), MOST_HEIGHT)
    width = (RIGHT - LEFT - (columns - 1) * GAP) // columns
    return Layout(seen, rows, height, width, 14 if height >= 20 else 13)


class ListDrawing(Drawing):
    """Decisions in one column or two, the next one on a halo; of very many those around it."""

    choice_indent = 0

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        """Draw the list."""
        names = self.space.decision_names
        place = layout(len(names))
        first = _first(scene, place.seen)
        room = max(length(name, place.size) for name in names)
        indent = min(round(room) + 14, round(0.48 * place.width))
        for row in range(place.seen):
            left = LEFT + row // place.rows * (place.width + GAP)
            top = TOP + row % place.rows * place.height
            self._draw_row(canvas, scene, first + row, (left, top), place, indent)
        if place.seen < len(names):
            what = f"{first + 1} to {first + place.seen} of {len(names):,} decisions"
            write(canvas, (LEFT, TOP + place.rows * place.height), what, 13, RIGHT - LEFT, GREY)

    def _draw_row(
        self,
        canvas: Canvas,
        scene: Scene,
        decision: int,
        corner: tuple[int, int],
        place: Layout,
        indent: int,
    ) -> None:
        left, top = corner
        right, middle = left + place.width, top + place.height / 2
        is_next = decision == scene.position
        if is_next:
            box = (left - 5, top, right - 1, top + place.height - 2)
            canvas.rectangle(box, NEXT_HALO, NEXT)
        else:
            canvas.line((left, top + place.height - 1, right - 1, top + place.height - 1), PALE)
        is_open = scene.choices[decision] < 0
        name, ink = self.space.decision_names[decision], GREY if is_open and not is_next else INK
        write(canvas, (left, middle), name, place.size, indent - 8, ink, "lm")
        ink = NEXT_INK if is_next else GREY if is_open else INK
        chosen = scene.choice_name(decision)
        write(
            canvas, (left + indent, middle), chosen, place.size, place.width - indent - 4, ink, "lm"
        )


def _first(scene: Scene, seen: int) -> int:
    """The first decision that is seen, so that the one that comes next is among them."""
    ahead = (scene.position or 0) - seen // 2
    return max(0, min(ahead, len(scene.choices) - seen))
