"""Pictures of every mode and size become the bytes that they should."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nats_gym.datasets.pixels import UnreadablePicture, read_pixels
from nats_gym.errors import InvalidInput

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREYS = COLOURS[:, :, 0]


def alike(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def test_bytes_stay_what_they_are(tmp_path: Path) -> None:
    for given in (COLOURS, Image.fromarray(COLOURS)):
        assert np.array_equal(read_pixels(given), COLOURS)
    for given in (GREYS, GREYS[:, :, None], Image.fromarray(GREYS)):
        assert np.array_equal(read_pixels(given), alike(GREYS))
        assert np.array_equal(read_pixels(given, grey=True), alike(GREYS))
    for ending in ("png", "bmp", "ppm", "tiff"):
        path = tmp_path / f"x.{ending}"
        Image.fromarray(COLOURS).save(path)
        assert np.array_equal(read_pixels(path), COLOURS)
        assert np.array_equal(read_pixels(str(path)), COLOURS)
    opaque = np.dstack([COLOURS, np.full((6, 9, 1), 255, np.uint8)])
    assert np.array_equal(read_pixels(opaque), COLOURS)


def test_colours_become_their_luminance() -> None:
    """ITU-R 601's weights."""
    expected = COLOURS.astype(float) @ [0.299, 0.587, 0.114]
    found = read_pixels(COLOURS, grey=True)
    assert (found == found[:, :, :1]).all()
    assert np.abs(found[:, :, 0] - expected).max() <= 1


def test_what_is_smaller_is_the_mean_of_what_it_was() -> None:
    """A chequered picture is grey from afar; without antialiasing it would be black or white."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = read_pixels(board, 8)
    assert found.shape == (8, 8, 3)
    assert np.abs(found.astype(int) - 127).max() <= 2
    tall = read_pixels(np.repeat([[0], [255]], 50, axis=0).astype(np.uint8).repeat(7, axis=1), 4)
    assert tall.shape == (4, 4, 3)  # all of it, not a part
    assert (tall[0] == 0).all()
    assert (tall[-1] == 255).all()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_pixels(tmp_path / "deep.png")[0, :, 0], deep[0] >> 8)


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    layers = np.dstack([np.zeros((1, 3, 3), np.uint8), np.array([[[0], [128], [255]]], np.uint8)])
    assert read_pixels(layers)[0, :, 0].tolist() == [255, 127, 0]
    marked = Image.new("P", (2, 1))
    marked.putpalette([10, 20, 30, 40, 50, 60])
    marked.putdata([0, 1])
    marked.save(tmp_path / "marked.png", transparency=1)
    assert read_pixels(tmp_path / "marked.png")[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_a_photograph_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS)
    exif = image.getexif()
    exif[0x0112] = 6  # the right side was up
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_pixels(tmp_path / "turned.png"), np.rot90(COLOURS, -1))


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "HSV", "I", "I;16", "LAB"]
)
def test_every_mode_is_read(mode: str) -> None:
    assert read_pixels(Image.new(mode, (5, 7)), 4).shape == (4, 4, 3)


def bomb() -> bytes:
    """A PNG that says it has 40 billion pixels."""
    head = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    part = b"IHDR" + head
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + part
    return start + struct.pack(">I", zlib.crc32(part)) + struct.pack(">I", 0) + b"IDAT" + bytes(4)


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(COLOURS).resize((50, 50)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no picture of a kind"),
        (b"GIF89a", "cannot be read|is no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture of a kind"),
        (png()[:200], "cannot be read"),
        (bomb(), "cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 100, "cannot be read|is no picture"),
    ],
    ids=["empty", "cut GIF", "a program", "cut PNG", "a bomb", "no PNG"],
)
def test_files_that_are_no_pictures_are_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UnreadablePicture, match=f"x.png' ({said})") as caught:
        read_pixels(tmp_path / "x.png")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match="it does not exist"):
        read_pixels(tmp_path / "nothing.png")
    (tmp_path / "x.png").symlink_to("/dev/zero")
    with pytest.raises(UnreadablePicture, match="no regular file"):
        read_pixels(tmp_path / "x.png")


@pytest.mark.parametrize(
    "given",
    [
        None,
        5,
        b"",
        [],
        COLOURS.astype(float),
        COLOURS[None],
        COLOURS[:0],
        np.zeros((2, 2, 5), "u1"),
    ],
    ids=lambda given: f"{type(given).__name__}",
)
def test_what_is_no_picture_at_all_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match="picture"):
        read_pixels(given)
    with pytest.raises(InvalidInput, match="resolution"):
        read_pixels(COLOURS, 0)
    with pytest.raises(InvalidInput, match="resolution"):
        read_pixels(COLOURS, 10**6)
