"""How good is it: functions of (reference, reconstruction), one a metric; docs/metrics.md has them in one table.

Pictures are uint8 or floats in [-1, 1], [T, H, W, 3]; label maps are uint8 [T, H, W]. Mismatched sizes and NaN are
an `InputError`. Whatever does not say otherwise works under `jax.jit`, in memory for one frame at a time.

Fidelity    mse, psnr, ssim, ms_ssim                                                       (metrics.fidelity)
Perception  gmsd, haarpsi                                                                  (metrics.perceptual)
            frame_distance, temporal_distance (with LPIPS, DISTS of semjax.models)         (metrics.learned)
Meaning     miou, class_iou, pixel_accuracy, label_counts, miou_from_counts, boundary_f,
            contour_distance                                                               (metrics.regions)
Words       bleu, rouge_l                                                                  (metrics.text)
Features    clip_score, frechet_distance, bert_score, depth_errors, top_k_accuracy         (metrics.features)
Time        warping_error, backward_flow, flicker                                          (metrics.temporal)
Rate        bpp, bits_per_second, ratio_to_raw, cbr, bd_rate, bd_quality                   (metrics.rate)
Privacy     nearest_neighbour, linear_probe, tail, interval (under their module's name)   (metrics.privacy)
All at once compare                                                                        (metrics.summary)
"""

from semjax.metrics.features import (
    BertScore,
    DepthErrors,
    bert_score,
    clip_score,
    depth_errors,
    frechet_distance,
    top_k_accuracy,
)
from semjax.metrics.fidelity import ms_ssim, mse, psnr, ssim
from semjax.metrics.learned import frame_distance, temporal_distance
from semjax.metrics.perceptual import gmsd, haarpsi
from semjax.metrics.rate import bd_quality, bd_rate, bits_per_second, bpp, cbr, ratio_to_raw
from semjax.metrics.regions import (
    boundary_f,
    class_iou,
    contour_distance,
    label_counts,
    miou,
    miou_from_counts,
    pixel_accuracy,
)
from semjax.metrics.summary import compare
from semjax.metrics.temporal import backward_flow, flicker, warping_error
from semjax.metrics.text import bleu, rouge_l

__all__ = [
    "BertScore",
    "DepthErrors",
    "backward_flow",
    "bd_quality",
    "bd_rate",
    "bert_score",
    "bits_per_second",
    "bleu",
    "boundary_f",
    "bpp",
    "cbr",
    "class_iou",
    "clip_score",
    "compare",
    "contour_distance",
    "depth_errors",
    "flicker",
    "frame_distance",
    "frechet_distance",
    "gmsd",
    "haarpsi",
    "label_counts",
    "miou",
    "miou_from_counts",
    "ms_ssim",
    "mse",
    "pixel_accuracy",
    "psnr",
    "ratio_to_raw",
    "rouge_l",
    "ssim",
    "temporal_distance",
    "top_k_accuracy",
    "warping_error",
]
