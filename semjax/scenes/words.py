"""Captions: what a scene's parameters say, as English sentences. Runs on the host."""

import numpy as np

from semjax.scenes import families as fam
from semjax.scenes.backdrop import HOURS, UPPER
from semjax.scenes.colour import name
from semjax.scenes.look import MATERIALS
from semjax.scenes.state import THEMES, Motion, Scene, SceneConfig, host
from semjax.types import Caption

_PLACES = {
    "meadow": "a meadow", "beach": "a sandy beach", "lake": "a lake", "snow": "a snowy field", "sky": "an open sky",
    "harbour": "a city waterfront", "table": "a wooden table with blurred lights behind it", "playroom": "a playroom",
    "patio": "a tiled patio before a brick wall", "reef": "the sea bed", "garden": "a garden",
}  # fmt: skip
_IN = {"meadow": "on", "beach": "on", "lake": "at", "snow": "on", "sky": "in", "harbour": "at", "table": "on",
       "playroom": "in", "patio": "on", "reef": "near", "garden": "in"}  # fmt: skip
_LIT = dict(zip(HOURS, ("in bright daylight", "in the morning", "at golden hour", "at dusk", "at night", "under an overcast sky")))
_VERBS = {
    "rest": "rests", "roll": "rolls", "bounce": "bounces", "float": "floats", "swim": "swims", "fly": "flies",
    "drive": "drives", "swing": "swings", "sway": "sways", "fall": "tumbles through the air", "sail": "drifts",
    "turn": "turns slowly", "pulse": "pulses through the water", "flutter": "flutters",
}  # fmt: skip
_ADJECTIVES = {"stripes": "striped", "checks": "checked", "spots": "spotted", "wood": "wooden", "marble": "marbled",
               "gradient": "", "zigzag": "zigzag", "patches": "patterned", "rings": "ringed", "plain": ""}  # fmt: skip
_FRUIT = ("apple", "orange", "pear", "lemon")
_ANIMALS = ("woolly sheep", "brown dog", "pink pig", "spotted cow")


def _noun(family, shape, material, colour):
    """Adjectives and noun of one object, without an article."""
    hue = name(colour[0])
    coat = _ADJECTIVES[MATERIALS[material]]
    if family == "ball":
        kinds = ((0.3, f"{hue} and white beach ball"), (0.45, "football"), (0.6, "basketball"))
        return next((text for limit, text in kinds if shape[0] < limit), f"{coat} {hue} ball".strip())
    if family == "box":
        if shape[0] < 0.4:
            return f"{hue} dice" if shape[3] > 0.4 else "white dice"
        return f"{hue} present with a {name(colour[2])} ribbon" if shape[0] < 0.7 else f"{hue} toy block"
    if family == "car":
        return f"{hue} toy {'van' if shape[0] > 0.575 else 'car'}"
    if family == "fruit":
        kind = _FRUIT[min(int(shape[0] * 4), 3)]
        green = kind == "apple" and shape[1] > 0.67
        return f"{'green ' if green else 'red ' if kind == 'apple' else ''}{kind}"
    if family == "pottery":
        return f"{coat} {hue} {'mug' if shape[0] > 0.55 else 'vase'}".strip()
    if family == "duck":
        return f"{hue if shape[0] > 0.7 else 'yellow'} rubber duck"
    if family == "leaf":
        return f"{hue} {'maple leaf' if shape[0] > 0.7 else 'leaf'}"
    if family == "animal":
        return _ANIMALS[min(int(shape[0] * 4), 3)]
    if family == "snowman":
        return f"snowman with a {hue} scarf"
    if family == "mushroom":
        return f"{hue} toadstool"
    nouns = {"boat": f"sailing boat with a {hue} sail", "airship": f"{hue} and {name(colour[1])} hot-air balloon",
             "lantern": f"glowing {hue} paper lantern", "kite": f"{hue} and {name(colour[1])} kite"}  # fmt: skip
    if family in nouns:
        return nouns[family]
    return f"{coat if family == 'fish' else ''} {hue} {family}".strip()


def _with_article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def nouns(scene: Scene) -> list[str]:
    """One noun phrase for every object slot, "" where there is none; index k belongs to label k + 1."""
    th = host(scene.things)
    return [
        _noun(fam.NAMES[f], th.shape[k], int(th.material[k]), th.col[k]) if f else ""
        for k, f in enumerate(th.family.tolist())
    ]


def _listed(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _grouped(phrases):
    """Several equal phrases become one with a number."""
    numbers = ("", "", "two", "three", "four", "five", "six", "seven", "eight")
    out = []
    for phrase in dict.fromkeys(phrases):
        count = phrases.count(phrase)
        if count == 1:
            out.append(_with_article(phrase))
        else:
            head, *rest = phrase.split(" with ")
            plural = head if head.endswith(("fish", "dice")) else head + ("es" if head.endswith(("ch", "x")) else "s")
            out.append(f"{numbers[min(count, 8)]} {' with '.join([plural, *rest])}")
    return out


def _camera_words(scene: Scene):
    cam = scene.camera
    slide = float(cam.x[-1] - cam.x[0]) * 0.25 - float(cam.du[-1] - cam.du[0])
    zoom = float(cam.focal[-1] / cam.focal[0])
    words = []
    if abs(slide) > 0.05:
        words.append(f"pans {'right' if slide > 0 else 'left'}")
    if abs(zoom - 1) > 0.03:
        words.append("zooms in" if zoom > 1 else "zooms out")
    return "the camera " + " and ".join(words) if words else "the camera holds still"


def _presence(motion: Motion, labels):
    """bool [T, O]: the object is to be seen."""
    present = np.asarray(motion.present)
    if labels is None:
        return present
    seen = np.stack([np.bincount(m.ravel(), minlength=256) for m in labels])[:, 1 : present.shape[1] + 1]
    return present & (seen > labels[0].size * 2e-4)


def describe(scene: Scene, cfg: SceneConfig, motion: Motion, labels=None) -> list[Caption]:
    """The clip's sentence, first, and then one for each stretch of about a second.

    motion: `motion(scene, cfg)`. labels: uint8 [T, H, W], if given, decide who is to be seen when (else
    the objects' circles do). The first Caption covers the whole clip; the others follow one another
    without gaps. Host side; ours.
    """
    scene, motion = host(scene), host(motion)
    here = _presence(motion, labels)
    phrases = nouns(scene)
    verbs = [_VERBS[fam.MOTIONS[m]] for m in scene.things.motion.tolist()]
    place = _PLACES[THEMES[int(scene.theme)]]
    where = f"{_IN[THEMES[int(scene.theme)]]} {place}"
    if UPPER[int(scene.theme)] == 0:
        where += " " + _LIT[HOURS[int(scene.hour)]]
    ever = [k for k, phrase in enumerate(phrases) if phrase and here[:, k].any()]
    whole = _sentence(_grouped([phrases[k] for k in ever]) or ["nothing but the scenery"], where)
    whole += " " + _camera_words(scene).capitalize() + "."
    captions = [Caption(0, cfg.frames - 1, whole)]
    span = max(1, round(cfg.fps))
    for first in range(0, cfg.frames, span):
        last = min(first + span, cfg.frames) - 1
        captions.append(Caption(first, last, _segment(first, last, here, ever, phrases, verbs, where)))
    return captions


def _sentence(parts, where):
    text = f"{_listed(parts)} {where}."
    return text[0].upper() + text[1:]


def _segment(first, last, here, ever, phrases, verbs, where):
    """What happens from frame `first` to `last`: arrivals and departures first, then the rest."""
    news, rest = [], []
    for k in ever:
        begins, ends = bool(here[first, k]), bool(here[last, k])
        if not begins and ends:
            news.append(f"{_with_article(phrases[k])} comes into view")
        elif begins and not ends:
            news.append(f"{_with_article(phrases[k])} leaves")
        elif here[first : last + 1, k].any():
            rest.append(f"{_with_article(phrases[k])} {verbs[k]}")
    if not news and not rest:
        return _sentence(["the scenery lies empty"], where)
    return _sentence(news + rest, where)
