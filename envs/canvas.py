"""What all pictures are drawn with: places, colours, words, and shapes with smooth edges.

Shapes that need smooth edges are masks, made once. Colours are Okabe & Ito's, which colour-blind
readers tell apart.
"""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageFont

from .cell_curves import OVERSAMPLING, Mask

Canvas = ImageDraw.ImageDraw

ARROW = "←"
WIDTH, HEIGHT = 640, 480
MARGIN = 12  # stays empty

WHITE, INK, GREY, PALE = "#ffffff", "#1f2933", "#5b6672", "#cbd3db"
NEXT, NEXT_INK, NEXT_HALO = "#D55E00", "#b24a00", "#fbe3d0"  # thin letters need a darker one

#: Where an architecture is drawn: left, top, right, bottom.
AREA = (12, 66, 412, 422)
PANEL_LEFT, PANEL_RIGHT = 432, WIDTH - MARGIN - 4
LEGEND_TOP, CAPTION_TOP = 382, 438
LONGEST = 400  # letters; more do not fit in any place


def draw_swatch(canvas: Canvas, at: tuple[int, int], colour: str, dashed: bool) -> None:
    """A piece of a line, for a legend."""
    x, y = at
    for left, right in ((0, 6), (8, 14), (16, 22)) if dashed else ((0, 22),):
        canvas.rectangle((x + left, y, x + right - 1, y + 3), colour)


def draw_label(canvas: Canvas, centre: tuple[float, float], label: str, colour: str) -> None:
    """A name in a rounded frame, on its edge."""
    width, height = math.ceil(length(label, 13)) + 16, 22
    x, y = round(centre[0]) - width // 2, round(centre[1]) - height // 2
    paste(canvas, _round(width, height), colour, (x, y))
    paste(canvas, _round(width - 4, height - 4), WHITE, (x + 2, y + 2))
    write(canvas, (x + width / 2, y + height / 2), label, 13, width, INK, "mm")


@lru_cache(maxsize=64)
def _round(width: int, height: int) -> Mask:
    scale = OVERSAMPLING
    large = Image.new("L", (width * scale, height * scale))
    corners = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(large).rounded_rectangle(corners, height * scale / 2, fill=255)
    return Mask(large.reduce(scale), (0, 0))


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    face = ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont)  # a size asks for one
    # The basic layout is the same wherever Pillow was built, and quicker.
    return face.font_variant(layout_engine=ImageFont.Layout.BASIC)


def write(
    canvas: Canvas,
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
    text = cut(printable(text), size, room)
    face = font(size)
    line = Image.new("L", (max(1, math.ceil(length(text, size))), sum(face.getmetrics())))
    canvas = ImageDraw.Draw(line)
    x = 0.0
    for number, part in enumerate(text.split(ARROW)):
        if number:
            middle, left, right = round(0.6 * size), round(x) + 2, round(x + size) - 3
            canvas.line((left, middle, right, middle), 255)
            for step in range(1, 4):
                canvas.point([(left + step, middle - step), (left + step, middle + step)], 255)
            x += size
        canvas.text((x, 0), part, 255, face)
        x += face.getlength(part)
    return line


def printable(text: str) -> str:
    """The text in one line of what the font has; it has no arrows, nor letters beyond ASCII."""
    return re.sub(f"[^ -~·…±{ARROW}]", "?", " ".join(text[:LONGEST].split()))


def length(text: str, size: int) -> float:
    """Width of a line in pixels; Pillow's own font has no ←, so that we draw one."""
    arrows = text.count(ARROW)
    return font(size).getlength(text.replace(ARROW, "")) + arrows * size


def cut(text: str, size: int, room: float) -> str:
    """The text, or as much of its beginning as there is room for, and an ellipsis."""
    if length(text, size) <= room:
        return text
    low, high = 0, min(len(text), int(room))
    while low < high:
        middle = (low + high + 1) // 2
        fits = length(text[:middle] + "…", size) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low] + "…"


@lru_cache(maxsize=64)
def wrap(text: str, room: float, lines: int) -> list[str]:
    """The text in at most so many lines, broken after spaces and pluses; the last may be long."""
    words = re.findall(r"[^ +]*[ +]|[^ +]+", printable(text))
    wrapped = [""]
    for word in words:
        last = len(wrapped) == lines
        if not last and wrapped[-1] and length(wrapped[-1] + word, 13) > room:
            wrapped.append("")
        wrapped[-1] += word
    return wrapped


def paste(canvas: Canvas, mask: Mask, colour: str, corner: tuple[int, int]) -> None:
    """Draw a shape whose drawing lies at ``corner``."""
    at = (corner[0] + mask.corner[0], corner[1] + mask.corner[1])
    canvas.bitmap(at, mask.coverage, colour)
