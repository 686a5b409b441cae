"""Files of color with 16 bits a channel, which Pillow does not write."""

from zlib import compress, crc32

import numpy as np


def png(values: np.ndarray) -> bytes:
    """A PNG of uint16 [H, W, 2 (gray and alpha), 3 or 4]."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + crc32(body).to_bytes(4, "big")

    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, kind, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, order: str = "<", deflated: bool = False) -> bytes:
    """A TIFF of uint16 [H, W, 3 or 4 (the last one alpha)], in one strip; `order` is that of its bytes."""
    height, width, channels = values.shape
    content = values.astype(f"{order}u2").tobytes()
    content = compress(content) if deflated else content
    tags = {256: [width], 257: [height], 258: [16] * channels, 259: [8 if deflated else 1], 262: [2], 273: [8],
            277: [channels], 278: [height], 279: [len(content)]}  # fmt: skip
    if channels == 4:
        tags[338] = [2]
    directory = 8 + len(content)
    beyond = directory + 2 + 12 * len(tags) + 4
    entries = further = b""
    for tag, numbers in tags.items():
        short = tag in (258, 338)
        packed = np.array(numbers, f"{order}u{2 if short else 4}").tobytes()
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place, further = np.array([beyond + len(further)], f"{order}u4").tobytes(), further + packed
        entries += np.array([tag, 3 if short else 4], f"{order}u2").tobytes()
        entries += np.array([len(numbers)], f"{order}u4").tobytes() + place
    start = (b"II*\0" if order == "<" else b"MM\0*") + np.array([directory], f"{order}u4").tobytes()
    return start + content + np.array([len(tags)], f"{order}u2").tobytes() + entries + bytes(4) + further
