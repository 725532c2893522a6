"""How good is it: pure functions of (reference, reconstruction), one a metric.

Fidelity    mse, psnr, ssim, ms_ssim                                        (metrics.fidelity)
Meaning     miou, class_iou, pixel_accuracy; label_counts, miou_from_counts (metrics.regions)
"""

from semjax.metrics.fidelity import ms_ssim, mse, psnr, ssim
from semjax.metrics.regions import class_iou, label_counts, miou, miou_from_counts, pixel_accuracy

__all__ = [
    "class_iou",
    "label_counts",
    "miou",
    "miou_from_counts",
    "ms_ssim",
    "mse",
    "pixel_accuracy",
    "psnr",
    "ssim",
]
