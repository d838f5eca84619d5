"""How far apart two images look, and which of many images looks nearest.

    l2          root mean square difference of the pixel values
    ssim        1 - SSIM (Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 13, 2004), with their window: a Gaussian
                of standard deviation 1.5 on 11 x 11 pixels, wherever it fits in; the mean over channels
    lpips_alex  LPIPS 0.1 (Zhang, Isola, Efros, Shechtman & Wang, CVPR 2018): squared differences of a trained
    lpips_vgg   network's normalised activations, AlexNet or VGG16, weighted by what people found similar

All are distances of images in [0, 1], N x C x H x W, C 1 or 3: 0 for an image and itself, smaller for nearer.

    metric = image_distance.build("ssim")
    metrics.distance(metric, x, y)                                  # of pairs
    nearest.nearest(metric, images, candidates, allowed, owner)     # the nearest of many, in groups of them

`metrics` has the first two and what they have in common, `lpips` the other two, `nearest` the search.
"""

from typing import TYPE_CHECKING

import torch

from privacy_for_free.core import devices, validate
from privacy_for_free.core.entrance import entrance

if TYPE_CHECKING:
    from privacy_for_free.attacks.image_distance.metrics import Metric

METRICS = ("l2", "ssim", "lpips_alex", "lpips_vgg")


@entrance
def build(name: str, device: torch.device | str = "cpu") -> "Metric":
    """Return a metric by name; ValueError lists the known ones. For LPIPS, errors are those of its `weights`.

    >>> build("emd")
    Traceback (most recent call last):
    ValueError: name 'emd': known are l2, ssim, lpips_alex, lpips_vgg
    """
    from privacy_for_free.attacks.image_distance import lpips, metrics

    validate.one_of("name", name, METRICS)
    device = devices.present(device)
    if name in lpips.NETS:
        return lpips.load(name, device)
    return metrics.RootMeanSquare() if name == "l2" else metrics.StructuralSimilarity()


@entrance
def available(name: str) -> bool:
    """Return whether a metric of METRICS can be built here: all but LPIPS without its weights."""
    from privacy_for_free.attacks.image_distance import lpips

    validate.one_of("name", name, METRICS)
    return name not in lpips.NETS or lpips.installed()
