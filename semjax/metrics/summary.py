"""All measures that need no weights, in one call."""

from semjax.errors import InputError
from semjax.metrics._inputs import Labels, Pictures, picture_pair
from semjax.metrics.fidelity import ms_ssim, psnr, ssim
from semjax.metrics.perceptual import gmsd, haarpsi
from semjax.metrics.regions import boundary_f, contour_distance, miou, pixel_accuracy
from semjax.metrics.temporal import errors_along_flow, flicker


def compare(
    reference: Pictures,
    reconstruction: Pictures,
    *,
    reference_labels: Labels | None = None,
    reconstruction_labels: Labels | None = None,
) -> dict[str, float]:
    """Every weight-free measure of a pair of clips, by name: those of the label maps when both are given, those
    of time when there are two frames or more (`warping_error_reference` is the reference's own).

    PSNR is infinite for a copy. `InputError` as the single functions raise it.
    """
    scores = {m.__name__: float(m(reference, reconstruction)) for m in (psnr, ssim, ms_ssim, gmsd, haarpsi)}
    if reference.ndim == 4 and len(reference) > 1:
        scores["flicker"] = float(flicker(reference, reconstruction))
        own, theirs = errors_along_flow(*picture_pair(reference, reference), reconstruction)
        scores["warping_error"] = float(theirs.mean())
        scores["warping_error_reference"] = float(own.mean())
    if (reference_labels is None) != (reconstruction_labels is None):
        raise InputError("Label maps are compared in pairs; give both or neither.")
    if reference_labels is not None:
        for measure in (miou, pixel_accuracy, boundary_f, contour_distance):
            scores[measure.__name__] = float(measure(reference_labels, reconstruction_labels))
    return scores
