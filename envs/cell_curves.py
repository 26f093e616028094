"""Where the cell of the topology space lies in a picture: nodes, edges and their shapes.

Four nodes and an edge between every two are drawn in the plane without a crossing: node 0 left,
node 3 right, 1 above and 2 below the middle, and the edge from 0 to 3 over the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nats_gym.spaces.topology import EDGES

Points = NDArray[np.float64]
Point = tuple[float, float]

#: Size of the drawing that the coordinates below lie in.
SIZE = (400, 304)
NODES: tuple[Point, ...] = ((34.0, 196.0), (158.0, 112.0), (242.0, 262.0), (366.0, 196.0))
NODE_RADIUS = 17.0
LINE, SMALL_LINE, HALO = 4.0, 2.2, 13.0
#: Control points of each edge's cubic Bézier curve, in the order of the choices.
CONTROLS: tuple[tuple[Point, Point], ...] = (
    ((66.0, 158.0), (112.0, 126.0)),  # 1←0
    ((80.0, 264.0), (150.0, 290.0)),  # 2←0
    ((190.0, 146.0), (212.0, 226.0)),  # 2←1
    ((30.0, -42.0), (370.0, -42.0)),  # 3←0
    ((246.0, 78.0), (310.0, 114.0)),  # 3←1
    ((290.0, 250.0), (336.0, 230.0)),  # 3←2
)
ARROW_LENGTH, ARROW_WIDTH = 13.0, 13.0
#: How long strokes and gaps of a line are.
DASHED, DOTTED = (8, 5), (4, 5)
#: Lines are drawn this many times larger and reduced, which smooths them.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Curve:
    """One edge.

    Attributes:
        points: from the source node's rim to the tip of the arrow, a unit apart, ``(m, 2)``.
        label: centre of its label.
    """

    points: Points
    label: Point

    @property
    def line(self) -> Points:
        """The points that the line goes through: all but those under the arrow's head."""
        return self.points[: -round(ARROW_LENGTH) + 2]


@dataclass(frozen=True)
class Mask:
    """How much of each pixel a shape covers, 0…255, and where its upper left corner lies."""

    coverage: Image.Image
    corner: tuple[int, int]


@cache
def curves() -> tuple[Curve, ...]:
    """The edges, in the order of the choices."""
    return tuple(_curve(edge) for edge in range(len(EDGES)))


def _curve(edge: int) -> Curve:
    target, source = EDGES[edge]
    start, end = np.array(NODES[source]), np.array(NODES[target])
    first, second = np.array(CONTROLS[edge])
    t = np.linspace(0, 1, 2000)[:, None]
    dense = (
        (1 - t) ** 3 * start
        + 3 * t * (1 - t) ** 2 * first
        + 3 * t**2 * (1 - t) * second
        + t**3 * end
    )
    outside = (np.hypot(*(dense - start).T) >= NODE_RADIUS + 3) & (
        np.hypot(*(dense - end).T) >= NODE_RADIUS + 3
    )
    dense = dense[outside]
    along = np.append(0, np.cumsum(np.hypot(*np.diff(dense, axis=0).T)))
    steps = np.arange(0, along[-1])
    points = np.stack([np.interp(steps, along, dense[:, axis]) for axis in (0, 1)], axis=1)
    # The arrow's head belongs to the target: what is free lies before it.
    middle = points[round((len(points) - ARROW_LENGTH) / 2)]
    return Curve(points, (float(middle[0]), float(middle[1])))


@cache
def edge_mask(edge: int, strokes: tuple[int, int] | None = None) -> Mask:
    """An edge with its arrow; ``strokes`` as :data:`DASHED`, None for an unbroken line."""
    line = curves()[edge].line
    length, gap = strokes or (len(line), 0)
    pieces = [line[i : i + length] for i in range(0, len(line) - 3, length + gap)]
    return _mask([*(_ribbon(piece, LINE) for piece in pieces), _head(curves()[edge].points)])


@cache
def small_edge_mask(edge: int, scale: float) -> Mask:
    """An edge without arrow in a drawing of ``scale`` times the size."""
    return _mask([_ribbon(curves()[edge].points, SMALL_LINE / scale)], scale)


@cache
def halo_mask(edge: int) -> Mask:
    """A broad band around an edge."""
    return _mask([_ribbon(curves()[edge].points, HALO)])


@cache
def node_mask(radius: float, scale: float = 1.0) -> Mask:
    """The four nodes as discs."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    circle = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mask([np.array(node) + circle for node in NODES], scale)


def _ribbon(points: Points, width: float) -> Points:
    """Outline ``(2m, 2)`` of a line through ``points``."""
    direction = np.gradient(points, axis=0)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    normal *= width / 2 / np.hypot(*direction.T)[:, None]
    return np.concatenate([points + normal, (points - normal)[::-1]])


def _head(points: Points) -> Points:
    tip, base = points[-1], points[-round(ARROW_LENGTH)]
    direction = (tip - base) / np.hypot(*(tip - base))
    side = ARROW_WIDTH / 2 * np.array([-direction[1], direction[0]])
    return np.array([tip, base + side, base - side])


def _mask(polygons: list[Points], scale: float = 1.0) -> Mask:
    corners = np.concatenate(polygons) * scale
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    large = Image.new("L", ((right - left) * OVERSAMPLING, (bottom - top) * OVERSAMPLING))
    canvas = ImageDraw.Draw(large)
    for polygon in polygons:
        moved = (polygon * scale - (left, top)) * OVERSAMPLING
        canvas.polygon([tuple(corner) for corner in moved.tolist()], fill=255)
    return Mask(large.reduce(OVERSAMPLING), (int(left), int(top)))
