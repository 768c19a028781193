"""Grey PNG images without interlacing (ISO/IEC 15948), as scans of drawings are stored.

A signature, then chunks: length, type, content, checksum. The pixels are one zlib stream of rows,
each with a byte before it that says how the row was predicted from what lies left and above.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt

from ._base import FormatError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_grey(content: bytes, where: str) -> npt.NDArray[np.uint8]:
    """The image [height, width] of 1, 2, 4 or 8 bits a pixel, stretched to 0..255.

    Raises `FormatError`, which begins with `where`, for anything else.
    """
    header, packed = _chunks(content, where)
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour != 0 or bits > 8 or interlaced:
        raise FormatError(
            f"{where} is not a grey PNG of at most 8 bits without interlacing (colour type "
            f"{colour}, {bits} bits)"
        )
    try:
        raw = zlib.decompress(packed)
    except zlib.error as error:
        raise FormatError(f"{where} is not a whole PNG ({error})") from error
    stride = -(-width * bits // 8)
    if len(raw) != height * (1 + stride):
        raise FormatError(f"{where} announces {height}x{width} pixels and holds {len(raw)} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + stride)
    values = _unpack(_unpredict(rows, where), bits)[:, :width]
    return values * np.uint8(255 // (2**bits - 1))


def _chunks(content: bytes, where: str) -> tuple[bytes, bytes]:
    """The header, and the compressed pixels."""
    if not content.startswith(_SIGNATURE):
        raise FormatError(f"{where} is not a PNG")
    at, header, packed = len(_SIGNATURE), b"", []
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        checksum = content[at + 8 + length : at + 12 + length]
        if checksum != struct.pack(">I", zlib.crc32(kind + body)):
            raise FormatError(f"{where} is damaged (checksum of its {kind.decode('latin1')} chunk)")
        if kind == b"IHDR":
            header = body
        if kind == b"IDAT":
            packed.append(body)
        if kind == b"IEND":
            break
        at += 12 + length
    if len(header) != 13 or not packed:
        raise FormatError(f"{where} is not a whole PNG (it has no header or no pixels)")
    return header, b"".join(packed)


def _unpredict(rows: npt.NDArray[np.uint8], where: str) -> npt.NDArray[np.uint8]:
    """The bytes of each row, from their differences to bytes left, above, or both."""
    kinds, differences = rows[:, 0], rows[:, 1:]
    if not kinds.any():
        return differences
    if kinds.max() > 4:
        raise FormatError(f"{where} is damaged (a row of the unknown type {kinds.max()})")
    above = np.zeros(differences.shape[1], np.uint8)
    out = np.empty_like(differences)
    for i, (kind, row) in enumerate(zip(kinds.tolist(), differences, strict=True)):
        if kind == 0:
            above = row
        elif kind == 1:
            above = np.cumsum(row, dtype=np.uint8)
        elif kind == 2:
            above = row + above
        else:
            above = _from_both(kind == 4, row, above)
        out[i] = above
    return out


def _from_both(
    paeth: bool, row: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    out, left, corner = bytearray(len(row)), 0, 0
    for i, (difference, up) in enumerate(zip(row.tolist(), above.tolist(), strict=True)):
        guess = _nearest(left, up, corner) if paeth else (left + up) // 2
        left, corner = (difference + guess) & 255, up
        out[i] = left
    return np.frombuffer(bytes(out), np.uint8)


def _nearest(left: int, up: int, corner: int) -> int:
    """Whichever of the three is nearest to left + up - corner, the first of equals."""
    return min((left, up, corner), key=lambda value: abs(left + up - corner - value))


def _unpack(rows: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """One value a pixel from several in a byte, the leftmost in its high bits."""
    if bits == 8:
        return rows
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    values = (rows[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return values.reshape(len(rows), -1)
