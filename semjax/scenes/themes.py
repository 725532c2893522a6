"""Where scenes take place, and when: one table of themes, one of the hours of the day."""

import dataclasses

import numpy as np

from semjax.scenes.colour import rgb

UPPERS = ("sky", "wall", "bokeh", "depths")
LOWERS = ("grass", "shore", "lake", "snow", "planks", "tiles", "seabed")
HOURS = ("day", "morning", "golden hour", "dusk", "night", "overcast")


@dataclasses.dataclass(frozen=True)
class Theme:
    """One kind of place.

    place: for captions. upper, lower: parts of the backdrop. edge: depth at which the ground ends (and a
    wall stands). horizon: bounds of its height above the picture's middle, in picture heights. eye: the
    camera's height over the ground. hours: weights of HOURS. aloft: the share of objects in the air.
    ground, air: weights of the families that occur. decor: backdrop colours to choose from, each a row of
    four: ground or land, wall, second colour, accent.
    """

    name: str
    place: str
    upper: str
    lower: str
    edge: float
    horizon: tuple[float, float]
    eye: float
    hours: tuple[float, ...]
    aloft: float
    ground: dict[str, float]
    air: dict[str, float]
    decor: tuple[str, ...]


TABLE = (
    Theme(
        "meadow", "in a meadow", "sky", "grass", edge=90.0, horizon=(0.02, 0.16), eye=1.25,
        hours=(4, 2, 2.5, 1.3, 0.5, 0.6), aloft=0.42,
        ground={"ball": 3, "flower": 2.5, "animal": 4, "mushroom": 1, "car": 1},
        air={"kite": 2, "balloon": 2, "bird": 2, "butterfly": 1.5, "airship": 1},
        decor=(
            "4f8f2f 88b04b d9c04a f2668b", "5d9c35 7fae45 e9d24f 8a5fd0", "7a9a2e a8b545 f1cf4a e2574c",
        ),
    ),
    Theme(
        "beach", "on a sandy beach", "sky", "shore", edge=300.0, horizon=(0.08, 0.2), eye=1.4,
        hours=(4, 2, 2.5, 1, 0, 0.4), aloft=0.45,
        ground={"ball": 4, "starfish": 2, "duck": 1.5, "pinwheel": 2},
        air={"kite": 2, "bird": 2, "balloon": 1},
        decor=(
            "5d8a4a 3f8fae f2d49b e76f51",
        ),
    ),
    Theme(
        "lake", "at a lake", "sky", "lake", edge=120.0, horizon=(0.02, 0.14), eye=1.1,
        hours=(4, 2, 2.5, 1.3, 0.5, 0.6), aloft=0.35,
        ground={"boat": 4, "duck": 3},
        air={"bird": 2, "airship": 1.5, "leaf": 1},
        decor=(
            "4a7d3f 2f6f73 d9c04a e9c46a", "6a8f3a 3b6a80 e9c46a d1603d", "b5622f 7a5a3c e9b44c c8402e",
        ),
    ),
    Theme(
        "snow", "on a snowy field", "sky", "snow", edge=90.0, horizon=(0.02, 0.14), eye=1.2,
        hours=(3, 3, 2, 1, 0.7, 1), aloft=0.4,
        ground={"ball": 2, "snowman": 4, "car": 2, "animal": 1, "box": 1},
        air={"bird": 2, "balloon": 2, "lantern": 0.7},
        decor=(
            "4f6f7f 8fb0cf e8eef6 d1495b",
        ),
    ),
    Theme(
        "sky", "in an open sky", "sky", "grass", edge=300.0, horizon=(-0.62, -0.4), eye=3.0,
        hours=(4, 2, 2.5, 1.3, 0.5, 0.6), aloft=1.0,
        ground={},
        air={"airship": 4, "bird": 2, "kite": 2, "balloon": 2},
        decor=(
            "5d8f45 7fae6a e9c46a e76f51", "7f9a55 9fb07a e9c46a c86b4a",
        ),
    ),
    Theme(
        "harbour", "at a city waterfront", "sky", "lake", edge=120.0, horizon=(-0.05, 0.08), eye=1.1,
        hours=(0, 0, 1, 3, 4, 0), aloft=0.6,
        ground={"boat": 3, "duck": 0.7},
        air={"lantern": 4, "airship": 1},
        decor=(
            "26304f 33406b ffcf6e f25c54",
        ),
    ),
    Theme(
        "table", "on a wooden table with blurred lights behind it", "bokeh", "planks",
        edge=7.0, horizon=(0.2, 0.3), eye=1.5,
        hours=(1, 0, 0, 0, 0, 0), aloft=0.1,
        ground={"fruit": 4, "pottery": 3, "box": 2, "ball": 2},
        air={"butterfly": 1, "leaf": 0.7},
        decor=(
            "a9744a 2f3e46 e9a45f f25c54", "8a5a3c 3a2740 d98cb3 f9c74f", "b58a5c 1f4a4d 8fd0c0 ffb703",
            "6f4a35 40301f f2b56b e76f51", "a87b5b 243a5e 9db9e8 f4a261",
        ),
    ),
    Theme(
        "playroom", "in a playroom", "wall", "planks", edge=8.5, horizon=(0.16, 0.26), eye=1.6,
        hours=(1, 0, 0, 0, 0, 0), aloft=0.22,
        ground={"car": 3, "ball": 3, "box": 3, "duck": 1.5, "pottery": 0.7},
        air={"balloon": 3, "lantern": 0.6},
        decor=(
            "b98a5c f2d7b6 e8b88f e76f51", "c49a6c cfe3e2 9cc5c9 f4a261", "a9794f f6e3e3 e9b7bd 6d6875",
            "b08458 dfe8d2 b1c99a 2a9d8f", "9f7550 e6def2 bba7da f2c14e", "b98a5c fbeec2 f2cf7a 457b9d",
        ),
    ),
    Theme(
        "patio", "on a tiled patio before a brick wall", "wall", "tiles", edge=9.0, horizon=(0.16, 0.26), eye=1.6,
        hours=(1, 0, 0, 0, 0, 0), aloft=0.3,
        ground={"pottery": 3, "ball": 2, "flower": 2, "pinwheel": 1.5, "animal": 1},
        air={"butterfly": 2, "leaf": 1.5},
        decor=(
            "b07a50 d9c9b8 c9a58a 6a994e", "9f7550 e9e3da b8b0a4 d08c60", "a9794f d8b89a b5835a 457b9d",
        ),
    ),
    Theme(
        "reef", "near the sea bed", "depths", "seabed", edge=40.0, horizon=(-0.12, 0.0), eye=1.0,
        hours=(1, 0, 0, 0, 0, 0), aloft=0.82,
        ground={"starfish": 2},
        air={"fish": 6, "jellyfish": 2.5},
        decor=(
            "2f9fb8 2a9fd0 f2d49b ff7f6b", "2f9fb8 19b5a5 f2d49b ffb703", "2f9fb8 3a6fd8 f2d49b f15bb5",
        ),
    ),
    Theme(
        "garden", "in a garden", "bokeh", "grass", edge=9.0, horizon=(0.05, 0.18), eye=1.3,
        hours=(1, 0, 0, 0, 0, 0), aloft=0.4,
        ground={"flower": 4, "mushroom": 2, "pinwheel": 2, "ball": 1},
        air={"butterfly": 3, "leaf": 1.5, "bird": 0.7},
        decor=(
            "3f7f33 2e5f3a 9fc25a f28ab0", "4f8a2f 3c6b2c d9cf6a f4d35e", "5a8f3a 27554a 7fc2a0 b388eb",
        ),
    ),
)  # fmt: skip
THEMES = tuple(t.name for t in TABLE)


def _column(field):
    return np.array([getattr(t, field) for t in TABLE], np.float32)


# The same as arrays with a row for each theme.
EDGE, HORIZON, EYE, HOUR_WEIGHTS, ALOFT = map(_column, ("edge", "horizon", "eye", "hours", "aloft"))
UPPER = np.array([UPPERS.index(t.upper) for t in TABLE])
LOWER = np.array([LOWERS.index(t.lower) for t in TABLE])
DECOR_COUNT = np.array([len(t.decor) for t in TABLE])
DECOR = np.array(
    [[[rgb(c) for c in t.decor[k % len(t.decor)].split()] for k in range(DECOR_COUNT.max())] for t in TABLE]
)  # [themes, rows, 4, 3]

# What the hours look like, linear colours with a row for each: zenith, horizon, lit cloud, shaded cloud,
# glow of the sun; then sunlight, skylight, and the tint of daylight on the ground.
SKY = np.stack([
    [rgb("2f7fd6"), rgb("bfe3f7"), rgb("ffffff"), rgb("a9c3dd"), rgb("fff4d2")],
    [rgb("7fb6e6"), rgb("ffe3cf"), rgb("fff3ea"), rgb("c9b8cf"), rgb("ffd9a8")],
    [rgb("4f7fb8"), rgb("ffc978"), rgb("ffdca6"), rgb("b98a8f"), rgb("ffb04a")],
    [rgb("33366f"), rgb("f58a63"), rgb("f7a58f"), rgb("6a4f86"), rgb("ff8a5c")],
    [rgb("101c4a"), rgb("3d5490"), rgb("5a6aa2"), rgb("243063"), rgb("a8bcec")],
    [rgb("93a9bb"), rgb("dfe6ea"), rgb("f3f5f6"), rgb("b3c0ca"), rgb("f6f1e6")],
])  # fmt: skip
SUN = np.stack([rgb("fff6e6") * 1.75, rgb("ffe4c4") * 1.6, rgb("ffc27a") * 1.75, rgb("ff9f7a") * 1.0,
                 rgb("b4c4ff") * 1.0, rgb("f2f5f8") * 0.9])  # fmt: skip
AMBIENT = np.stack([rgb("bcd8f5") * 0.75, rgb("d9cfe8") * 0.7, rgb("c9b6d0") * 0.6, rgb("8d7fc0") * 0.6,
                     rgb("6f80c4") * 0.75, rgb("dbe3ea") * 0.95])  # fmt: skip
TINT = np.stack([rgb("ffffff"), rgb("ffeedd"), rgb("ffd8a4"), rgb("c79ab0"), rgb("8494cc"), rgb("dfe6ea")])
SUN_HEIGHT = np.array([1.05, 0.8, 0.6, 0.6, 0.8, 1.3], np.float32)
CITY_LIGHTS = np.array([0.0, 0.05, 0.12, 0.5, 0.75, 0.05], np.float32)


def is_theme(scene, name: str):
    """Whether the scene's theme is `name`."""
    return scene.theme == THEMES.index(name)
