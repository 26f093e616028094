"""Pictures as a network sees them: any file, mode and size to RGB bytes of one size.

Data sets of pictures and trained networks read them here, so that both see the same pixels.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.files.untrusted import open_file

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
#: A picture: a file's path, Pillow's image, or bytes ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` (RGB)
#: or ``(H, W, 4)`` (RGB and opacity).
Picture = Any

#: What Pillow may take a file for: others run programs, or are no pictures of pixels.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
#: Bytes of a file that is read, and the largest side that pictures are resized to.
LARGEST_FILE, LARGEST_RESOLUTION = 256 << 20, 4_096
_DEPTH_OF_16_BITS = 65_535


class UnreadablePicture(NatsGymError, OSError):
    """A file is no picture, is damaged, or holds more pixels than are read."""


def read_pixels(picture: Picture, resolution: int | None = None, grey: bool = False) -> Pixels:
    """RGB bytes ``(H, W, 3)`` of a picture; of all of it, where it is resized.

    A photograph is turned as its camera was, what is transparent lies on white, 16 bits become 8,
    and of several frames the first counts. Pillow's bilinear filter resizes, which takes the mean
    of all pixels that become one.

    Args:
        picture: see :data:`Picture`.
        resolution: height and width of the result; None leaves the picture's own.
        grey: whether colours become their luminance, alike in all three channels.

    Raises:
        InvalidInput: for what is no picture at all, and a resolution out of range.
        UnreadablePicture: for a file that cannot be read; it is named.
    """
    from PIL import Image

    grey = checks.switch(grey, "grey")
    if resolution is not None:
        resolution = checks.integer(resolution, "resolution", 1, LARGEST_RESOLUTION)
    if isinstance(picture, np.ndarray):
        image, told = _of_bytes(picture), "an array"
    elif isinstance(picture, Image.Image):
        image, told = picture, "an image"
    else:
        path = checks.path(picture, "a picture, if no image of Pillow's and no bytes,")
        image, told = _opened(path), shown(os.fspath(path))
    try:
        plain = _plain(image, grey)
        if resolution is not None and plain.size != (resolution, resolution):
            plain = plain.resize((resolution, resolution), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(plain.convert("RGB"), np.uint8))
    except Exception as error:  # a damaged picture can raise nearly anything
        raise UnreadablePicture(f"{told} cannot be read as a picture: {said(error)}") from error


def _of_bytes(array: NDArray[Any]) -> Image:
    from PIL import Image

    shape = array.shape
    if len(shape) == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if (
        array.dtype != np.uint8
        or not (array.ndim == 2 or shape[2:] in ((3,), (4,)))
        or not all(shape[:2])
    ):
        raise InvalidInput(
            "a picture's bytes are uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got "
            f"{array.dtype} {shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _opened(path: os.PathLike[str]) -> Image:
    """A file's picture, whose pixels are all read."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open_file(path, LARGEST_FILE) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd notes in a file
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise UnreadablePicture(
            f"{shown(os.fspath(path))} is no picture of a kind that is read: {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # a damaged picture can raise nearly anything
        told = "it does not exist" if isinstance(error, FileNotFoundError) else said(error)
        raise UnreadablePicture(
            f"{shown(os.fspath(path))} cannot be read as a picture: {told}"
        ) from error


def _plain(image: Image, grey: bool) -> Image:
    """An image of mode RGB, or L for grey."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floats, of which nobody says what white is")
    if image.mode.startswith("I"):  # which Pillow cuts off at 255
        values = np.asarray(image)
        if values.size and not 0 <= int(values.min()) <= int(values.max()) <= _DEPTH_OF_16_BITS:
            raise ValueError("its pixels have more than 16 bits")
        image = Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), over)
    return image.convert("RGB").convert("L") if grey else image.convert("RGB")
