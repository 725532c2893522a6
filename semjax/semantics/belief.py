"""Label probabilities from one frame to the next: carry, weigh the evidence, smooth.

A recursive Bayesian filter (ours). Each region explains a pixel by its colour histogram and by its affine motion;
one more class, "unknown", explains everything equally badly and wins where no region near by explains a pixel.
"""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.semantics import motion
from semjax.semantics.fused import off_course
from semjax.semantics.partition import COLOUR_BINS, blur_histograms, colour_histograms
from semjax.semantics.smoothing import edge_aware

Belief = Float[np.ndarray, "K+1 h w"]

LEAST = 1e-4  # no probability is ever smaller, so nothing is ruled out for good
UNKNOWN = 0.02  # least prior probability of "unknown" anywhere
_NEAR = 13  # side in pixels of the neighbourhood that a region may spread in from one frame to the next
_COLOUR_TRUST = 0.5  # evidence is tempered: neighbouring pixels and successive frames are not independent
_MOTION_TRUST = 0.35
_FLAT = 3.0  # grey levels per pixel: gradients below this are noise and tell no motion
_BLUNT = 0.3  # pixels of misplacement that mean nothing
_MOTION_CAP = 4.0  # misplacement, in units of the above, past which a motion is simply "not mine"
_DRIFT_MEMORY = 0.85  # what is left of old drift after a frame
_DRIFT_CAP = 3.0  # drift off a region's own, in sigmas, past which it is simply "not mine"
_DRIFT_TRUST = 0.2
_PATCH = (5, 5)  # pixels that are matched together
_LEARN = 0.1  # share of a region's colours renewed with every frame


def carry_plainly(belief: Belief, flow: Float[np.ndarray, "h w 2"]) -> Belief:
    """The probabilities moved along the flow, and nothing else."""
    position = motion.pixel_grid(*flow.shape[:2]) + flow
    border = cv2.BORDER_REPLICATE
    return np.stack(
        [cv2.remap(plane, position, None, cv2.INTER_LINEAR, borderMode=border) for plane in belief]
    )


def carry(belief: Belief, flow: Float[np.ndarray, "h w 2"]) -> Belief:
    """The probabilities before looking at the new picture: moved along, a little diffuse, local.

    A region may turn up close to where it was, and hardly anywhere else: a thing of the same colour at the other
    end of the picture is another thing.
    """
    prior = carry_plainly(belief, flow)
    for plane in prior:
        near = cv2.blur(plane, (_NEAR, _NEAR))
        np.maximum(cv2.GaussianBlur(plane, (0, 0), 0.7), 0.05 * near, out=plane)
    np.maximum(prior[:-1], LEAST / 10, out=prior[:-1])
    np.maximum(0.7 * prior[-1], UNKNOWN, out=prior[-1])
    return prior / prior.sum(axis=0)


def colour_evidence(index: Int[np.ndarray, "h w"], histogram: Float[np.ndarray, "K 4096"]) -> Belief:
    """Tempered log-likelihood of every pixel's colour (its `partition.colour_index`).

    Something unknown has, as likely as not, colours that the picture has elsewhere, or else any colour.
    """
    bins = COLOUR_BINS**3
    whole = blur_histograms(np.bincount(index.ravel(), minlength=bins)[None])
    table = np.log(np.vstack([histogram, 0.5 * whole + 0.5 / bins]) + 1e-6)
    return _COLOUR_TRUST * np.stack([cv2.blur(row[index], (3, 3)) for row in table.astype(np.float32)])


def _mismatch(grey: np.ndarray, carried: np.ndarray) -> np.ndarray:
    return cv2.blur(cv2.absdiff(grey, carried).astype(np.float32), _PATCH)


@dataclasses.dataclass(frozen=True)
class Match:
    """Pictures of two frames and how to compare them (see `misplacement`).

    best: matching error of the dense flow; unit: grey levels of error per pixel of misplacement.
    """

    grey: UInt8[np.ndarray, "h w"]
    before: UInt8[np.ndarray, "h w"]
    best: Float[np.ndarray, "h w"]
    unit: Float[np.ndarray, "h w"]


def match(grey: UInt8[np.ndarray, "h w"], before: UInt8[np.ndarray, "h w"], flow: np.ndarray) -> Match:
    """Prepare the comparison of other motions with the dense flow."""
    gradient = [cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))]
    unit = cv2.blur(cv2.magnitude(*gradient), _PATCH) + _FLAT
    return Match(grey, before, _mismatch(grey, motion.warp(before, flow)), unit)


def region_motions(
    flow: Float[np.ndarray, "h w 2"], belief: Belief, trust: Float[np.ndarray, "h w"], match: Match
) -> Float[np.ndarray, "K 3 2"]:
    """The affine motion that most of each region's textured pixels follow."""
    weight = trust * (1 - _FLAT / match.unit) + 1e-2
    return np.stack([motion.fit_affine(flow, plane * (plane > 0.5) * weight) for plane in belief[:-1]])


def misplacement(match: Match, affine: Float[np.ndarray, "3 2"]) -> Float[np.ndarray, "h w"]:
    """By how many pixels, across the picture's gradients, an affine motion misses; negative where it is better.

    Where there is no texture every motion fits, and where something was uncovered none does: about zero in both.
    """
    return (_mismatch(match.grey, motion.warp_affine(match.before, affine)) - match.best) / match.unit


def motion_evidence(match: Match, motions: Float[np.ndarray, "K 3 2"]) -> Belief:
    """Tempered log-likelihood of every pixel's motion: how much each region's misses more than the best one."""
    missed = np.stack([misplacement(match, m) for m in motions])
    missed -= np.minimum(missed.min(axis=0), 0)
    off = np.minimum(missed / _BLUNT, _MOTION_CAP)
    return -_MOTION_TRUST * np.concatenate([off, np.full_like(off[:1], _MOTION_CAP / 2)])


def settle(
    flow: Float[np.ndarray, "h w 2"],
    motions: Float[np.ndarray, "K 3 2"],
    belief: Belief,
    match: Match,
    trust: Float[np.ndarray, "h w"],
    along: Callable[[np.ndarray], np.ndarray],
) -> Float[np.ndarray, "h w 2"]:
    """The flow, but the motion of a pixel's region wherever the pixels do not contradict that.

    Dense flow spreads the motion of a thing into the flat ground around it and stands still in a thing's flat
    inside; this takes it back. Where the flow is not to be trusted it comes from trusted pixels near by that look
    the same.
    """
    regional = belief[-1][..., None] * flow
    for plane, affine in zip(belief[:-1], motions, strict=True):
        regional += plane[..., None] * motion.affine_flow(affine, *plane.shape)
    missed = (_mismatch(match.grey, motion.warp(match.before, regional)) - match.best) / match.unit
    speaks = np.clip(along(np.clip(missed / _BLUNT, 0, 1) * trust), 0, 1)
    known = np.maximum(along(trust), 0) + 0.05
    own = []
    for plane in np.moveaxis((flow - regional) * speaks[..., None], -1, 0):
        plane = np.ascontiguousarray(plane)
        own.append(trust * plane + (1 - trust) * along(trust * plane) / known)
    return regional + np.stack(own, axis=-1)


def drift_step(
    drift: Float[np.ndarray, "h w 2"],
    flow: Float[np.ndarray, "h w 2"],
    camera: Float[np.ndarray, "3 2"],
    trust: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 2"]:
    """How far every pixel's content has moved against the camera in the last frames (fading), in pixels.

    What moves steadily adds up, the noise of the flow does not: slow things stand out after a few frames.
    """
    against = flow - motion.affine_flow(camera, *trust.shape)
    return (_DRIFT_MEMORY * motion.warp(drift, flow) + against) * trust[..., None]


def drift_evidence(drift: Float[np.ndarray, "h w 2"], prior: Belief) -> Belief:
    """Tempered log-likelihood of every pixel's drift under the affine drift of each region."""
    evidence = []
    for plane in prior[:-1]:
        fit = motion.fit_affine(drift, plane * (plane > 0.5))
        own = motion.affine_flow(fit, *plane.shape)
        evidence.append(off_course(drift, own, _DRIFT_CAP))
    unknown = np.full(drift.shape[:2], -0.5 * (_DRIFT_CAP / 2) ** 2, np.float32)
    return _DRIFT_TRUST * np.stack([*evidence, unknown])


def posterior(prior: Belief, evidence: Belief) -> Belief:
    """Bayes' rule, pixel by pixel."""
    belief = prior * np.exp(evidence - evidence.max(axis=0))
    return belief / belief.sum(axis=0)


def edges_of(lab: UInt8[np.ndarray, "h w 3"], smoothness: float) -> Callable[[np.ndarray], np.ndarray]:
    """The filter that smooths along this picture's edges."""
    return edge_aware(lab.astype(np.float32) / 255, max(1, round(4 * smoothness)), 2e-3)


def smooth(belief: Belief, along: Callable[[np.ndarray], np.ndarray]) -> Belief:
    """Follow the picture's edges, stay positive, sum to one."""
    belief = np.stack([along(plane) for plane in belief])
    belief = np.maximum(belief, LEAST)
    return belief / belief.sum(axis=0)


def learn(
    index: Int[np.ndarray, "h w"], belief: Belief, histogram: Float[np.ndarray, "K 4096"]
) -> Float[np.ndarray, "K 4096"]:
    """Histograms that follow their regions' colours slowly; a region that is nowhere sure keeps its own."""
    nobody = len(histogram)
    sure = np.where((belief[:-1].max(axis=0) > 0.6) & (belief[-1] < 0.3), belief[:-1].argmax(axis=0), nobody)
    seen = colour_histograms(index, sure, nobody + 1)[:-1]
    known = seen.sum(axis=1, keepdims=True) > 0
    return np.where(known, (1 - _LEARN) * histogram + _LEARN * seen, histogram).astype(np.float32)
