"""Fit and measure the structural scorer of semjax.semantics on procedural scenes with planted events.

    python scripts/fit_structural.py fit --scenes 96          prints WEIGHTS for semjax/semantics/structural.py
    python scripts/fit_structural.py measure --scenes 48      event F1 and false keyframes on other seeds

A clip is a scene's frames up to a moment, and from then on those of a changed scene: a thing more, a thing less, a
thing in another colour, another thing in its place, or another place altogether. Frames before and after the change
differ in meaning, frames on the same side do not, however things and camera move. Scenes in which something enters,
leaves or is hidden on its own are left out: whether that is an event is a matter of taste.
"""

import dataclasses
import functools
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.optimize import minimize

from semjax import scenes
from semjax._progress import progress
from semjax.scenes.state import host
from semjax.semantics import structural
from semjax.semantics.keyframes import SkemConfig, select

EVENTS = ("appears", "vanishes", "recoloured", "replaced", "cut")
CFG = scenes.SceneConfig(frames=40, height=72, width=128, fps=8.0, max_objects=4)
TIMES = np.arange(0, CFG.frames, 4)  # a frame every half second is enough, and rendering is what takes long
NOTICED = 30  # mean change of a thing's pixels, of 255, that counts as an event
_sample = jax.jit(scenes.sample_scene, static_argnames="cfg")


@functools.partial(jax.jit, static_argnames="cfg")
def _render(scene, times, cfg):
    def one(t):
        frame = scenes.render_frame(scene, t, cfg)
        return jnp.round(frame.image * 255).astype(jnp.uint8), frame.labels

    return jax.lax.map(one, times)


def frames_of(scene):
    """Frames and label maps of a scene at TIMES; the renderer of its theme alone compiles quickly."""
    theme = scenes.THEMES[int(scene.theme)]
    return host(_render(scene, TIMES, dataclasses.replace(CFG, themes=(theme,))))


def settled(scene):
    """The scene without what enters, leaves or stands across the edge of the picture at any of TIMES."""
    moved = host(scenes.motion(scene, CFG))
    centre, reach = moved.centre[TIMES], np.abs(moved.scale[TIMES])
    inside = ((centre - reach >= 0) & (centre + reach <= [CFG.width, CFG.height])).all((0, 2))
    return scene._replace(things=scene.things._replace(family=np.where(inside, scene.things.family, 0)))


def steady(labels: np.ndarray) -> list[int]:
    """The labels of a clip if all of them stay in sight throughout, else none."""
    areas = np.stack([np.bincount(m.ravel(), minlength=256) for m in labels])[:, 1:] / labels[0].size
    seen = np.flatnonzero(areas.max(0) > 0)
    kept = areas[:, seen]
    # Large enough at all times, and never mostly hidden or mostly outside.
    good = len(seen) and (kept.min(0) > 0.004).all() and (kept.min(0) > 0.4 * kept.max(0)).all()
    return [int(k) + 1 for k in seen] if good else []


def changed(scene, event: str, label: int, rng: np.random.Generator):
    """The scene after an event that concerns a label."""
    things, at = scene.things, label - 1
    if event == "vanishes":
        family = np.array(things.family)
        family[at] = 0
        return scene._replace(things=things._replace(family=family))
    if event == "recoloured":
        colours = np.array(things.col)
        colours[at] = 1 - colours[at, ::-1]
        return scene._replace(things=things._replace(col=colours))
    family = np.array(things.family)
    others = [k for k in np.unique(family) if k not in (0, family[at])]
    if not others:
        return None
    family[at] = rng.choice(others)
    return scene._replace(things=things._replace(family=family))


def planted(seed: int):
    """(frames before, label maps before, {event: (frames after, label maps after)}) or None for an unsteady scene."""
    rng = np.random.default_rng(seed)
    scene = settled(host(_sample(jax.random.key(seed), CFG)))
    if not scene.things.family.any():
        return None
    frames, labels = frames_of(scene)
    seen = steady(labels)
    if not seen:
        return None
    after = {}
    for event in ("vanishes", "recoloured", "replaced"):
        other = changed(scene, event, int(rng.choice(seen)), rng)
        if other is not None:
            after[event] = frames_of(other)
    elsewhere = frames_of(settled(host(_sample(jax.random.key(seed + 10_000_000), CFG))))
    if steady(elsewhere[1]) or not elsewhere[1].any():
        after["cut"] = elsewhere
    return frames, labels, after


def kept(seed: int, cache: Path | None):
    """`planted`, from the folder `cache` if it has been made before."""
    file = cache / f"{seed}.pickle" if cache else None
    if file and file.exists():
        return pickle.loads(file.read_bytes())
    made = planted(seed)
    if file:
        cache.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(made))
    return made


def noticed(made):
    """A planted scene without the changes that hardly show, such as a black thing that turned dark brown."""
    frames, labels, after = made

    def shows(other, maps) -> bool:
        apart = np.abs(frames.astype(np.int32) - other).mean(-1)
        things = [(labels == k) | (maps == k) for k in np.unique(labels) if k]
        return max(apart[thing].mean() for thing in things) > NOTICED

    return frames, labels, {event: pair for event, pair in after.items() if shows(*pair)}


def clips(first: int, many: int, cache: Path | None):
    """Planted scenes from a seed on, until there are `many`."""
    found, seed = 0, first
    while found < many:
        made = kept(seed, cache)
        seed += 1
        if made is not None:
            found += 1
            yield noticed(made)


def pairs(made, rng: np.random.Generator):
    """(measures, differ) of pairs of frames: as many of one kind as of the other, some without any regions."""
    frames, labels, after = made
    views = [structural.view(f, m) for f, m in zip(frames, labels)]
    for _ in range(2 * len(after)):
        i, j = np.sort(rng.choice(len(views), 2, replace=False))
        yield structural.measures(views[i], views[j]), 0
    for other in after.values():
        for _ in range(2):
            i, j = rng.choice(len(views), 2)
            yield (
                structural.measures(*_either_way(views[i], structural.view(other[0][j], other[1][j]), rng)),
                1,
            )
    nothing = np.zeros_like(labels[0])
    for _ in range(2):
        i, j, k = rng.choice(len(views), 3, replace=False)
        bare = structural.view(frames[i], nothing)
        yield structural.measures(bare, structural.view(frames[j], nothing)), 0
        if "cut" in after:
            yield structural.measures(bare, structural.view(after["cut"][0][k], nothing)), 1


def _either_way(a, b, rng: np.random.Generator):
    return (a, b) if rng.random() < 0.5 else (b, a)


def logistic(x: np.ndarray, y: np.ndarray, ridge: float = 0.15) -> np.ndarray:
    """Weights of a logistic regression, bias first; `ridge` pulls all but the bias to zero.

    No weight is negative: more of a difference never makes two frames more alike.
    """

    def cost(w):
        z = w[0] + x @ w[1:]
        slope = 1 / (1 + np.exp(-z)) - y
        value = np.logaddexp(0, z).sum() - (y * z).sum() + ridge * (w[1:] ** 2).sum()
        return value, np.concatenate([[slope.sum()], x.T @ slope + 2 * ridge * w[1:]])

    bounds = [(None, None)] + [(0, None)] * x.shape[1]
    return minimize(cost, np.zeros(x.shape[1] + 1), jac=True, bounds=bounds).x


def fit(scenes: int = 96, seed: int = 0, cache: Path | None = None) -> None:
    """Fit the weights on as many scenes, and print them; `cache` is a folder that keeps what was rendered."""
    rng, rows = np.random.default_rng(seed), []
    for made in progress(clips(seed, scenes, cache), scenes, "scenes"):
        rows += pairs(made, rng)
    x, y = np.stack([row for row, _ in rows]), np.array([label for _, label in rows])
    w = logistic(x, y)
    right = np.mean(((w[0] + x @ w[1:]) > 0) == y)
    print(f"{len(y)} pairs, {100 * right:.1f} % right; means of the same and of the different:")
    for name, a, b, weight in zip(structural.MEASURES, x[y == 0].mean(0), x[y == 1].mean(0), w[1:]):
        print(f"  {name:12} {a:.3f} {b:.3f}   weight {weight:+.2f}")
    print("WEIGHTS = (" + ", ".join(f"{v:.2f}" for v in w) + ")")


def measure(scenes: int = 48, seed: int = 1_000_000, cache: Path | None = None) -> None:
    """Event F1 of SKEM, and keyframes without cause, on scenes that the fit has not seen."""
    rng, hits, misses, false, eventless, quiet_keys = np.random.default_rng(seed), 0, 0, 0, 0.0, 0
    by_event = {event: [0, 0] for event in EVENTS}
    cfg = SkemConfig(last=False)
    for frames, labels, after in progress(clips(seed, scenes, cache), scenes, "scenes"):
        quiet = select(len(frames), structural.scorer(frames, labels), cfg)
        eventless, quiet_keys = eventless + CFG.frames / CFG.fps, quiet_keys + len(quiet) - 1
        for name, (changed_frames, changed_labels) in after.items():
            at = int(rng.integers(2, len(frames) - 2))
            first, then = (frames, labels), (changed_frames, changed_labels)
            event = name
            if name == "vanishes" and rng.random() < 0.5:
                first, then, event = then, first, "appears"
            clip, maps = (np.concatenate([a[:at], b[at:]]) for a, b in zip(first, then))
            keys = select(len(clip), structural.scorer(clip, maps), cfg)[1:]
            hit = at in keys
            hits, misses, false = hits + hit, misses + (not hit), false + len(keys) - hit
            by_event[event][0] += hit
            by_event[event][1] += 1
    f1 = 2 * hits / (2 * hits + misses + false)
    print(f"event F1 {f1:.3f}: {hits} found, {misses} missed, {false} without cause")
    print("found by kind: " + ", ".join(f"{k} {a}/{b}" for k, (a, b) in by_event.items()))
    print(
        f"eventless motion: {quiet_keys} keyframes in {eventless:.0f} s, {20 * quiet_keys / eventless:.2f} in 20 s"
    )


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"fit": fit, "measure": measure}, description=__doc__)
