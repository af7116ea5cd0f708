"""The icon of the desktop bundle, drawn: a parcel with a tick, 512 x 512, as PNG.

A picture that is a program has a source that can be read, and needs no tool to be made again.
"""

import struct
import zlib
from collections.abc import Iterator

SIZE = 512
SAMPLES = 2  # in each direction for each pixel, so that edges are smooth
Colour = tuple[int, int, int, int]
NOTHING = (0, 0, 0, 0)
GROUND = (28, 44, 66, 255)
CARTON = (232, 184, 120, 255)
TAPE = (200, 146, 84, 255)
TICK = (40, 140, 90, 255)


def inside(x: float, y: float, box: tuple[float, float, float, float], radius: float) -> bool:
    """Whether a point lies in a box with round corners."""
    left, top, right, bottom = box
    across = max(left + radius - x, x - right + radius, 0)
    down = max(top + radius - y, y - bottom + radius, 0)
    return across * across + down * down <= radius * radius


def near(x: float, y: float, start: tuple[float, float], end: tuple[float, float], width: float) -> bool:
    """Whether a point lies on a line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = max(0.0, min(1.0, ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)))
    return (x - start[0] - along * dx) ** 2 + (y - start[1] - along * dy) ** 2 <= (width / 2) ** 2


def colour(x: float, y: float) -> Colour:
    """The colour at a point."""
    if not inside(x, y, (16, 16, 496, 496), 96):
        return NOTHING
    if inside(x, y, (296, 296, 464, 464), 84):
        ticked = near(x, y, (338, 384), (370, 416), 26) or near(x, y, (370, 416), (424, 346), 26)
        return (255, 255, 255, 255) if ticked else TICK
    if not inside(x, y, (88, 112, 408, 408), 28):
        return GROUND
    return TAPE if (220 <= x <= 276 and y < 230) or 176 <= y <= 188 else CARTON


def rows() -> Iterator[bytes]:
    """The rows of the picture, each with its filter byte."""
    offsets = [(2 * number + 1) / (2 * SAMPLES) for number in range(SAMPLES)]
    for row in range(SIZE):
        line = bytearray(1)
        for column in range(SIZE):
            points = [colour(column + across, row + down) for across in offsets for down in offsets]
            line += bytes(sum(point[channel] for point in points) // len(points) for channel in range(4))
        yield bytes(line)


def png() -> bytes:
    """The picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    body = zlib.compress(b"".join(rows()), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
