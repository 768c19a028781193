"""The reader of grey PNGs, against Pillow and against images packed by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_files import grey_png

from metaplastic.data import FormatError
from metaplastic.data._png import read_grey

RNG = np.random.default_rng(0)


def by_pillow(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("shape", [(105, 105), (3, 8), (7, 1), (1, 17)])
def test_binary_images_that_pillow_wrote(shape):
    pixels = RNG.random(shape) > 0.5
    image = read_grey(by_pillow(Image.fromarray(pixels)), "x")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.where(pixels, 255, 0))


def test_grey_images_that_pillow_wrote():
    """Smooth images, for which every kind of prediction pays."""
    y, x = np.mgrid[:40, :31]
    pixels = (128 + 60 * np.sin(x / 5) + 50 * np.cos(y / 7 + x / 9)).astype(np.uint8)
    np.testing.assert_array_equal(read_grey(by_pillow(Image.fromarray(pixels)), "x"), pixels)


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_prediction_and_depth(kind, bits):
    """What we wrote by hand is what Pillow reads, and what we read."""
    pixels = RNG.integers(0, 2**bits, (6, 11), np.uint8)
    content = grey_png(pixels, bits=bits, prediction=kind)
    expected = pixels * (255 // (2**bits - 1))
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(content)).convert("L")), expected
    )
    np.testing.assert_array_equal(read_grey(content, "x"), expected)


SOUND = grey_png(RNG.integers(0, 2, (5, 9), np.uint8))


def flipped(at: int) -> bytes:
    content = bytearray(SOUND)
    content[at] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a", "is not a PNG"),
        (SOUND[:40], "has no header or no pixels"),
        (flipped(20), "checksum of its IHDR chunk"),
        (flipped(SOUND.index(b"IDAT") + 6), "checksum of its IDAT chunk"),
        (by_pillow(Image.new("RGB", (3, 3))), "not a grey PNG"),
        (by_pillow(Image.new("I;16", (3, 3))), "not a grey PNG"),
        (grey_png(np.zeros((2, 2), np.uint8), prediction=5), "unknown type 5"),
        (grey_png(np.zeros((2, 2), np.uint8), rows=3), "announces 3x2 pixels"),
    ],
)
def test_anything_else_is_refused(content, message):
    with pytest.raises(FormatError, match=f"^folder/a.png.*{message}"):
        read_grey(content, "folder/a.png")


def test_pixels_that_do_not_unpack():
    chunk = b"IDAT" + b"nothing"
    start = SOUND.index(b"IDAT") - 4
    body = struct.pack(">I", 7) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(FormatError, match="not a whole PNG"):
        read_grey(SOUND[:start] + body + SOUND[-12:], "x")
