"""Captions: what a scene's parameters say, as English sentences. Runs on the host."""

import numpy as np

from semjax.scenes import families as fam
from semjax.scenes.colour import name
from semjax.scenes.look import MATERIALS
from semjax.scenes.state import Motion, Scene, SceneConfig, host
from semjax.scenes.themes import HOURS, TABLE
from semjax.types import Caption

_LIT = dict(
    zip(
        HOURS,
        ("in bright daylight", "in the morning", "at golden hour", "at dusk", "at night", "on a grey day"),
    )
)
_VERBS = {
    "rest": "rests", "roll": "rolls", "bounce": "bounces", "float": "floats", "swim": "swims", "fly": "flies",
    "drive": "drives", "swing": "swings", "sway": "sways", "fall": "tumbles down", "sail": "drifts",
    "turn": "turns slowly", "pulse": "pulses", "flutter": "flutters", "walk": "walks", "whirl": "whirls",
}  # fmt: skip
_ADJECTIVES = {
    "stripes": "striped", "checks": "checked", "spots": "spotted", "wood": "wooden", "marble": "marbled",
    "zigzag": "zigzag", "patches": "patterned", "rings": "ringed",
}  # fmt: skip
_FRUIT = ("apple", "orange", "pear", "lemon")
_ANIMALS = ("woolly sheep", "brown dog", "pink pig", "spotted cow")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _noun(family, shape, material, colour):
    """Adjectives and noun of one object, without an article. The limits are those of its drawing."""
    hue, second = name(colour[0]), name(colour[1])
    coat = _ADJECTIVES.get(MATERIALS[material], "")
    nth = min(int(shape[0] * 4), 3)
    if family == "ball":
        kinds = ((0.3, f"{hue} and white beach ball"), (0.45, "football"), (0.6, "basketball"))
        return next((text for limit, text in kinds if shape[0] < limit), f"{coat} {hue} ball".strip())
    if family == "box":
        if shape[0] < 0.4:
            return f"{hue if shape[3] > 0.4 else 'white'} die"
        return f"{hue} present with a {name(colour[2])} ribbon" if shape[0] < 0.7 else f"{hue} toy block"
    if family == "fruit":
        green = nth == 0 and shape[1] > 0.67
        return f"{'green' if green else 'red' if nth == 0 else ''} {_FRUIT[nth]}".strip()
    if family == "pottery":
        return f"{coat} {hue} {'mug' if shape[0] > 0.55 else 'vase'}".strip()
    nouns = {
        "car": f"{hue} toy {'van' if shape[0] > 0.575 else 'car'}",
        "duck": f"{hue if shape[0] > 0.7 else 'yellow'} rubber duck",
        "leaf": f"{hue} {'maple leaf' if shape[0] > 0.7 else 'leaf'}",
        "animal": _ANIMALS[nth],
        "snowman": f"snowman with a {hue} scarf",
        "mushroom": f"{hue} toadstool",
        "fish": f"{coat} {hue} fish".strip(),
        "boat": f"sailing boat with a {hue} sail",
        "airship": f"{hue} and {second} hot-air balloon",
        "lantern": f"glowing {hue} paper lantern",
        "kite": f"{hue} and {second} kite",
    }
    return nouns.get(family, f"{hue} {family}")


def nouns(scene: Scene) -> list[str]:
    """One noun phrase for every object slot, "" where there is none; index k belongs to label k + 1."""
    th = host(scene.things)
    return [
        _noun(fam.NAMES[f], th.shape[k], int(th.material[k]), th.col[k]) if f else ""
        for k, f in enumerate(th.family.tolist())
    ]


def _with_article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _listed(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _plural(phrase):
    head, *rest = phrase.split(" with ")
    endings = (("fish", "fish"), ("sheep", "sheep"), ("die", "dice"), ("leaf", "leaves"), ("man", "men"))
    for single, many in endings:
        if head.endswith(single):
            head = head[: -len(single)] + many
            break
    else:
        head = head[:-1] + "ies" if head.endswith("fly") else head + ("es" if head.endswith("ch") else "s")
    return " with ".join([head, *rest])


def _grouped(phrases):
    """With articles; equal phrases become one with a number."""
    counts = {phrase: phrases.count(phrase) for phrase in phrases}
    return [
        _with_article(p) if n == 1 else f"{_NUMBERS[n] if n < len(_NUMBERS) else n} {_plural(p)}"
        for p, n in counts.items()
    ]


def _sentence(parts, where):
    text = f"{_listed(parts)} {where}."
    return text[0].upper() + text[1:]


def _camera_words(cam):
    slide = float(cam.x[-1] - cam.x[0]) * 0.25 - float(cam.du[-1] - cam.du[0])
    zoom = float(cam.focal[-1] / cam.focal[0])
    words = []
    if abs(slide) > 0.05:
        words.append(f"pans {'right' if slide > 0 else 'left'}")
    if abs(zoom - 1) > 0.03:
        words.append("zooms in" if zoom > 1 else "zooms out")
    return "The camera " + (" and ".join(words) or "holds still") + "."


def _presence(motion: Motion, labels):
    """bool [T, O]: the object is to be seen."""
    present = np.asarray(motion.present)
    if labels is None:
        return present
    seen = np.stack([np.bincount(m.ravel(), minlength=256) for m in labels])[:, 1 : present.shape[1] + 1]
    return present & (seen > labels[0].size * 2e-4)


def _heading(motion: Motion, k, first, last, cfg: SceneConfig):
    """Which way object `k` goes on the screen between two frames, "" if nowhere much."""
    dx, dy = motion.centre[last, k] - motion.centre[first, k]
    if abs(dx) > 0.03 * cfg.width and abs(dx) > abs(dy):
        return " to the right" if dx > 0 else " to the left"
    if abs(dy) > 0.05 * cfg.height:
        return " downwards" if dy > 0 else " upwards"
    return ""


def _crossings(motion: Motion, here):
    """(frame, hidden, hiding) wherever one object's middle comes behind another's, once for each pair."""
    radius = motion.scale.mean(-1) * 0.6
    found = []
    for k in range(here.shape[1]):
        for j in range(here.shape[1]):
            apart = np.hypot(*(motion.centre[:, k] - motion.centre[:, j]).T)
            meets = (apart < radius[:, j] + 0.3 * radius[:, k]) & here[:, k] & here[:, j]
            meets &= motion.depth[:, k] > motion.depth[:, j]
            if j != k and meets.any() and not meets[0]:
                found.append((int(np.argmax(meets)), k, j))
    return found


def describe(scene: Scene, cfg: SceneConfig, motion: Motion, labels=None) -> list[Caption]:
    """The clip's sentence, first, and then one for each stretch of about a second.

    motion: `motion(scene, cfg)`. labels: uint8 [T, H, W], if given, decide who is to be seen when (else
    the objects' circles do). The first Caption covers the whole clip; the others follow one another
    without gaps. Host side; ours.
    """
    scene, motion = host(scene), host(motion)
    here = _presence(motion, labels)
    phrases = nouns(scene)
    theme = TABLE[int(scene.theme)]
    where = theme.place + (f" {_LIT[HOURS[int(scene.hour)]]}" if theme.upper == "sky" else "")
    ever = [k for k, phrase in enumerate(phrases) if phrase and here[:, k].any()]
    whole = _sentence(_grouped([phrases[k] for k in ever]) or ["nothing but the scenery"], where)
    captions = [Caption(0, cfg.frames - 1, f"{whole} {_camera_words(scene.camera)}")]
    behind = _crossings(motion, here)
    span = max(1, round(cfg.fps))
    for first in range(0, cfg.frames, span):
        last = min(first + span, cfg.frames) - 1
        clauses = []
        for k in ever:
            if here[first : last + 1, k].any():
                clauses.append(_clause(k, first, last, here, phrases, scene, motion, behind, cfg))
        clauses.sort(key=lambda c: not c[0])  # news first
        text = _sentence([c[1] for c in clauses] or ["the scenery lies empty"], where)
        captions.append(Caption(first, last, text))
    return captions


def _clause(k, first, last, here, phrases, scene, motion, behind, cfg):
    """(is it news, what object `k` does from frame `first` to `last`)."""
    subject = _with_article(phrases[k])
    verb = _VERBS[fam.MOTIONS[int(scene.things.motion[k])]]
    going = _heading(motion, k, first, last, cfg) if fam.CAN_MOVE[int(scene.things.motion[k])] else ""
    if not here[first, k] and here[last, k]:
        side = "left" if motion.centre[last, k, 0] < cfg.width / 2 else "right"
        return True, f"{subject} comes into view on the {side}"
    if here[first, k] and not here[last, k]:
        return True, f"{subject} leaves{going}"
    hides = [j for frame, hidden, j in behind if hidden == k and first <= frame <= last]
    if hides:
        return True, f"{subject} passes behind {_with_article(phrases[hides[0]])}"
    return False, f"{subject} {verb}{going}"
