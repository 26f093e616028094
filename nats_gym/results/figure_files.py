"""Writes figures: the same figure gives the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nats_gym.files.writing import replacing, write_file


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 200) -> tuple[Path, Path]:
    """Write ``path`` + ``.png`` and ``path`` + ``.svg``; the same figure gives the same bytes.

    Returns:
        The two files.
    """
    png, svg = (Path(f"{os.fspath(path)}.{suffix}") for suffix in ("png", "svg"))
    write_file(svg, svg_of(figure))
    layout = figure.get_layout_engine()
    if layout is not None:  # done by now: once for both files
        figure.set_layout_engine("none")
    with replacing(png) as temporary, _canvas_of(figure, FigureCanvasAgg) as canvas:
        figure.set_dpi(dpi)
        canvas.print_png(temporary)
    if layout is not None:
        figure.set_layout_engine(layout)
    return png, svg


def svg_of(figure: Figure) -> str:
    """The figure as SVG, its letters as shapes; the same figure gives the same text."""
    file = io.StringIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "nats-gym", "svg.fonttype": "path"}),
        _canvas_of(figure, FigureCanvasSVG) as canvas,
    ):
        canvas.print_svg(file, metadata={"Date": None})
    return file.getvalue()


@contextmanager
def _canvas_of(figure: Figure, kind: Any) -> Iterator[Any]:
    """A canvas, which lays out and draws in one pass; ``savefig`` draws once more to lay out."""
    canvas, dpi = figure.canvas, figure.dpi
    yield kind(figure)
    figure.set_canvas(canvas)
    figure.set_dpi(dpi)
