"""Still pictures for the keyframe layer: WebP or AVIF through Pillow, whichever looks better at the size allowed.

payload := kind scale file       kind: 0 WebP, 1 AVIF; scale: eighths of the clip's size the picture is coded at
"""

import dataclasses
import functools
import hashlib
import io

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from semjax.errors import InputError, RateError, StreamError

KINDS = ("WEBP", "AVIF")
_SCALES = (8, 6, 4, 3, 2)
_OPTIONS = {"WEBP": {"method": 6}, "AVIF": {"speed": 6, "subsampling": "4:2:0", "max_threads": 1}}


@dataclasses.dataclass(frozen=True)
class _Trial:
    kind: int
    scale: int
    quality: int
    error: float


def encode_still(image: UInt8[np.ndarray, "H W 3"], max_bytes: int) -> bytes:
    """Code a picture in at most `max_bytes`, as faithfully (mean squared error) as the formats allow.

    Raises RateError when even the coarsest setting is larger, and InputError for no RGB picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"a keyframe is uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    digest = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
    best, least = None, None
    for kind in range(len(KINDS)):
        for scale in _SCALES:
            trial, smallest = _best_quality(image, digest, kind, scale, max_bytes)
            least = smallest if least is None else min(least, smallest)
            if trial and (best is None or trial.error < best.error):
                best = trial
            elif trial and best:
                break  # coarser scales only lose from here on
    if best is None:
        raise RateError(f"a keyframe of this clip takes at least {least} bytes; {max_bytes} were allowed")
    return _payload(image, best.kind, best.scale, best.quality)


def decode_still(payload: bytes, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture of a payload at the clip's size. Raises StreamError when it cannot be read."""
    if len(payload) < 3 or payload[0] >= len(KINDS) or not 1 <= payload[1] <= 8:
        raise StreamError("a keyframe is damaged")
    size = _scaled((height, width), payload[1])
    try:
        with Image.open(io.BytesIO(payload[2:]), formats=[KINDS[payload[0]]]) as picture:
            if picture.size != size[::-1]:  # known before any pixel is decoded or allocated
                raise StreamError(f"a keyframe is {picture.size}, the clip's are {size[::-1]}")
            pixels = np.asarray(picture.convert("RGB"))
    except StreamError:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever their libraries do
        raise StreamError(f"a keyframe cannot be decoded ({error})") from error
    return pixels if size == (height, width) else _resize(pixels, height, width)


def _scaled(size: tuple[int, int], scale: int) -> tuple[int, int]:
    return max(1, -(-size[0] * scale // 8)), max(1, -(-size[1] * scale // 8))


def _resize(image, height, width):
    shrinking = image.shape[0] > height
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)


def _payload(image: np.ndarray, kind: int, scale: int, quality: int) -> bytes:
    size, out = _scaled(image.shape[:2], scale), io.BytesIO()
    small = image if size == image.shape[:2] else _resize(image, *size)
    Image.fromarray(small).save(out, KINDS[kind], quality=quality, **_OPTIONS[KINDS[kind]])
    return bytes([kind, scale]) + out.getvalue()


@functools.lru_cache(maxsize=1024)
def _known(digest: bytes, shape: tuple[int, ...], kind: int, scale: int) -> tuple[dict, dict]:
    """What is known of a picture at one format and scale, bytes and error by quality, to be added to: senders ask for
    many sizes of the same pictures."""
    return {}, {}


def _best_quality(image, digest, kind, scale, max_bytes) -> tuple[_Trial | None, int]:
    """The best trial within `max_bytes` at one format and scale (or None), and the least bytes seen."""
    sizes, errors = _known(digest, image.shape, kind, scale)

    def bytes_at(quality: int) -> int:
        if quality not in sizes:
            sizes[quality] = len(_payload(image, kind, scale, quality))
        return sizes[quality]

    low, high, found, least = 0, 100, 0, bytes_at(0)
    if least > max_bytes:
        return None, least
    while low <= high:
        quality = (low + high) // 2
        if bytes_at(quality) <= max_bytes:
            found, low = quality, quality + 1
        else:
            high = quality - 1
    if found not in errors:
        shown = decode_still(_payload(image, kind, scale, found), *image.shape[:2])
        errors[found] = float(np.mean((shown.astype(np.float32) - image) ** 2))
    return _Trial(kind, scale, found, errors[found]), least
