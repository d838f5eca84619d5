"""The settings of the three profiles of `visual_privacy`.

The laptop profile is a reduced experiment: a pool of 2,000 images and 14 halves, 3 images per class, a
ConvNet a quarter as wide as the published one; 400 steps of DM for 20,000, 30 networks of DSA for 1,000, 100
steps of KIP for 300. DSA has hardly moved its images by then. The search is never reduced: it goes through
all pairs.
"""

from types import MappingProxyType

from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.condensation.kip import KIP
from privacy_for_free.experiments.visual_privacy.design import Design, cells

PROFILES = {
    "smoke": Design(
        pool=200,
        sets=4,
        cells=cells((1,)),
        moments=(0.0, 1.0),
        dm=DM(iterations=20, batch_real=8, width=8),
        dsa=GradientMatching(iterations=2, batch_real=8, width=8),
        kip=KIP(iterations=10, batch_targets=100),
        metrics=("l2", "ssim", "lpips_alex"),
        optional=True,
        gallery=1,
        pictured=("l2",),
    ),
    "laptop": Design(
        pool=2000,
        sets=14,
        cells=cells((3,)),
        moments=(0.0, 0.1, 0.3, 1.0),
        dm=DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=GradientMatching(iterations=30, batch_real=64, width=32, compile=True),
        kip=KIP(iterations=100, batch_targets=1000, compile=True),
    ),
    "paper": Design(
        pool=20_000,
        sets=16,
        cells=cells((1, 10, 50)),
        moments=(0.0, 0.01, 0.1, 0.3, 1.0),
        dm=DM(compile=True, mixed_precision=True),
        dsa=GradientMatching(compile=True),
        kip=KIP(),
    ),
}

REDUCED = MappingProxyType(
    {
        "pool": 80,
        "sets": 2,
        "cells": cells((1,)),
        "dm.iterations": 2,
        "dm.batch_real": 8,
        "dm.width": 8,
        "dsa.iterations": 2,
        "dsa.batch_real": 8,
        "dsa.width": 8,
        "kip.iterations": 2,
        "kip.batch_targets": 100,
        "moments": (0.0, 1.0),
    }
)
