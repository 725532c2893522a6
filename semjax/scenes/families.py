"""The table of object families: how each looks, how big it is, how it moves and where it belongs."""

import dataclasses
from collections.abc import Callable

import numpy as np

from semjax.scenes import characters, nature, things, toys
from semjax.scenes.colour import rgb
from semjax.scenes.themes import TABLE, THEMES

MOTIONS = (
    "rest", "roll", "bounce", "float", "swim", "fly", "drive", "swing", "sway", "fall", "sail", "turn",
    "pulse", "flutter", "walk", "whirl",
)  # fmt: skip
ROLES = ("stay", "enter", "leave")
# Those that get somewhere, so that they may enter or leave the picture.
MOBILE = frozenset({"roll", "bounce", "float", "swim", "fly", "drive", "sail", "flutter", "walk"})


@dataclasses.dataclass(frozen=True)
class Family:
    """One kind of object.

    size: half extent on the screen, in picture heights, at a middle distance. foot: how far below its
    centre it touches the ground, own units. ground, air: how it may move (some of MOTIONS) on the ground or
    water, and in the air. wave: (axis, amplitude, wave number) of the body's wave;
    axis 0 bends y along x (fish), axis 1 bends x along y (flowers). halo: how strongly it lights the air.
    """

    name: str
    draw: Callable
    size: float
    foot: float = 1.0
    ground: tuple[str, ...] = ()
    air: tuple[str, ...] = ()
    wave: tuple[int, float, float] = (0, 0.0, 1.0)
    halo: float = 0.0
    reach: float = 1.1  # radius of a circle round the centre that holds it all
    colours: tuple[str, ...] = ()  # natural colours instead of the scene's palette, four hex colours a row
    rigid: bool = True  # its outline only moves by the similarity that Motion reports


_FLEECE = ("e8871e 7d3c14 c44f1a f2c14a", "c8102a 7a1022 e26a2c f6c445", "d9a520 8a5a14 b8401c e9d16a",
           "5d8f3c 2f5a27 a8b545 d6d67a")  # fmt: skip
_REEF = ("ff7a1a fff4e0 16161c ffd166", "2364d2 ffd23f 0d1b3e 7fd8ff", "ffd23f fffbe8 e2711d 1c1c22",
         "e5499b ffe1f0 7a2d8f ffd166", "12b5a6 f8f4d8 f2683c 0b4f54", "f4f1e8 1a1a20 f6c22d e0e0e0")  # fmt: skip
_FEATHERS = ("e9edf0 55606c f2a03a ffffff", "2f74c0 16325c f6b73c ffe2b8", "d0342c 5a1612 f2c14e f6d9b8",
             "f4c430 6b5a1e e07b39 fff6d8", "3c3f4a 1c1d24 8a8f9a d8d8de",
             "3fae6b 1d5b46 ef476f f8f3c9")  # fmt: skip
_JELLY = ("f29ac8 fbd7ee b55fc6 ffffff", "8fb8ff d9e8ff 6c63d9 ffffff", "ffb08a ffe3c9 f0708a ffffff",
          "a8f0dc e9fff8 45b8b0 ffffff")  # fmt: skip
_WARM = ("e0322b 8f1710 ffd27a ffd27a", "f08a24 a84a10 fff0b0 ffd27a", "e8467c 8a1c48 ffe1c4 ffd27a",
         "f4c542 b0761a d9402a ffd27a")  # fmt: skip
_CAPS = ("c8201c e05a2a f6e7c6 fff8e7", "b5652a d08a4a f3dfb8 fff3dc", "d9622b f2a04a fbe8c8 fff6e2")

FAMILIES = (
    Family("nothing", toys.ball, 0.1),
    Family("ball", toys.ball, 0.13, 1.0, ("roll", "bounce", "bounce"), reach=1.0),
    Family("box", toys.dice, 0.14, 0.85, ("turn",), reach=1.08, rigid=False),
    Family("car", toys.car, 0.17, 0.8, ("drive",), reach=1.05, rigid=False),
    Family("boat", toys.boat, 0.18, 0.73, ("sail",), reach=1.15, rigid=False),
    Family("duck", toys.duck, 0.13, 0.92, ("rest", "sail"), reach=1.1, rigid=False),
    Family("fish", nature.fish, 0.14, 0.6, (), ("swim",), (0, 0.2, 2.4), colours=_REEF, reach=1.15, rigid=False),
    Family("bird", nature.bird, 0.1, 0.5, (), ("fly",), colours=_FEATHERS, reach=1.15, rigid=False),
    Family("butterfly", nature.butterfly, 0.085, 0.5, (), ("flutter",), reach=1.1, rigid=False),
    Family("jellyfish", nature.jellyfish, 0.16, 1.2, (), ("pulse",), halo=0.12, colours=_JELLY, reach=1.35,
           rigid=False),
    Family("leaf", nature.leaf, 0.1, 0.3, (), ("fall",), (0, 0.08, 2.0), colours=_FLEECE, reach=1.2, rigid=False),
    Family("flower", nature.flower, 0.19, 1.0, ("sway",), (), (1, 0.2, 0.5), reach=1.15, rigid=False),
    Family("starfish", nature.starfish, 0.09, 0.8, ("rest",), reach=1.05),
    Family("fruit", things.fruit, 0.115, 0.93, ("rest", "roll"), reach=1.25),
    Family("pottery", things.vase, 0.17, 1.0, ("rest", "turn"), reach=1.15),
    Family("balloon", things.balloon, 0.14, 2.0, (), ("float",), reach=2.0, rigid=False),
    Family("airship", things.airship, 0.2, 1.05, (), ("float",), halo=0.03, reach=1.1, rigid=False),
    Family("lantern", things.lantern, 0.12, 1.15, (), ("float", "swing"), halo=0.3, colours=_WARM, reach=1.2,
           rigid=False),
    Family("kite", things.kite, 0.14, 2.0, (), ("fly",), reach=2.1, rigid=False),
    Family("animal", characters.critter, 0.17, 0.92, ("walk",), reach=1.1, rigid=False),
    Family("snowman", characters.snowman, 0.2, 1.0, ("rest",), reach=1.1, rigid=False),
    Family("pinwheel", characters.pinwheel, 0.17, 1.0, ("whirl",), reach=1.1, rigid=False),
    Family("mushroom", things.mushroom, 0.13, 1.0, ("rest",), colours=_CAPS, reach=1.1),
)  # fmt: skip
NAMES = tuple(f.name for f in FAMILIES)


def _weights(where):
    """[themes, families] how often a family occurs `where` ("ground" or "air")."""
    return np.array([[getattr(t, where).get(name, 0.0) for name in NAMES] for t in TABLE], np.float32)


GROUND, AIR = _weights("ground"), _weights("air")


def _motions(which):
    """[families, 6] motion numbers to draw from, repeated to fill."""
    rows = []
    for f in FAMILIES:
        kinds = getattr(f, which) or f.ground or f.air or ("rest",)
        rows.append([MOTIONS.index(kinds[k % len(kinds)]) for k in range(6)])
    return np.array(rows)


GROUND_MOTIONS, AIR_MOTIONS = _motions("ground"), _motions("air")
SIZE, FOOT, HALO, REACH = (
    np.array([getattr(f, k) for f in FAMILIES], np.float32) for k in ("size", "foot", "halo", "reach")
)
WAVE = np.array([f.wave for f in FAMILIES], np.float32)  # [families, 3]
NATURAL = np.array([bool(f.colours) for f in FAMILIES])
_ROWS = max(len(f.colours) for f in FAMILIES)
NATURAL_COLOURS = np.array(
    [
        [
            [rgb(c) for c in (f.colours or ("808080 " * 4,))[k % max(len(f.colours), 1)].split()]
            for k in range(_ROWS)
        ]
        for f in FAMILIES
    ]
)  # [families, rows, 4, 3]
CAN_MOVE = np.array([m in MOBILE for m in MOTIONS])


def possible(themes) -> list[int]:
    """Numbers of the families that may occur in these themes."""
    rows = [THEMES.index(t) for t in themes]
    return [k for k in range(len(NAMES)) if GROUND[rows, k].any() or AIR[rows, k].any()]
