"""The profiles of `membership`. The laptop's is a reduced experiment: narrow networks, few steps, short
training, DSA for 16 shadows.
"""

from types import MappingProxyType

from privacy_for_free import shadows
from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.condensation.kip import KIP
from privacy_for_free.experiments.membership.design import BASELINE, FULL, Design
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.nets.schedule import Schedule


def grid(
    ratios: tuple[float, ...], middle: float, shadows: int, dsa_shadows: int
) -> tuple[tuple[str, str, float, int], ...]:
    """Return the cells: DM and the random subset at every ratio, KIP and DSA at the middle one, and `full`.

    DSA, which takes longest, has `dsa_shadows` shadows.
    """
    everywhere = ((BASELINE, "real"), ("dm", "real"), ("dm", "noise"))
    return (
        *((*release, ratio, shadows) for ratio in ratios for release in everywhere),
        *(("kip", init, middle, shadows) for init in ("real", "noise")),
        *(("dsa", init, middle, dsa_shadows) for init in ("real", "noise")),
        ("full", "real", FULL, shadows),
    )


PROFILES = {
    "smoke": Design(
        pool=400,
        shadows=8,
        fewer=(),
        cells=grid((0.05, 0.1), 0.05, 8, 8),
        width=8,
        dm=DM(iterations=5, batch_real=8, width=8),
        dsa=GradientMatching(iterations=1, batch_real=8, width=8, inner_loop=1),
        kip=KIP(iterations=3, batch_targets=50),
        schedule=Schedule(epochs=10, learning_rate=0.03),
        full_schedule=Schedule(epochs=15, learning_rate=0.05, batch=64),
        resamples=200,
    ),
    "laptop": Design(
        pool=10_000,
        shadows=64,
        fewer=(16, 32),
        cells=grid((0.002, 0.01, 0.02), 0.01, 64, 16),
        width=16,
        dm=DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=GradientMatching(
            iterations=50, outer_loop=3, inner_loop=10, batch_real=64, width=32, compile=True
        ),
        kip=KIP(iterations=100, batch_targets=1000, compile=True),
        # A third of the published epochs at three times the rate.
        schedule=Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=Schedule(epochs=20, learning_rate=0.05, batch=128, compile=True),
        every=5,
    ),
    "paper": Design(
        pool=50_000,
        shadows=256,
        fewer=(16, 32, 64, 128),
        cells=grid((0.002, 0.01, 0.02), 0.01, 256, 64),
        width=128,
        dm=DM(compile=True, mixed_precision=True),
        dsa=GradientMatching(compile=True),
        kip=KIP(),
        schedule=Schedule.published(STRATEGY, compile=True),
        full_schedule=Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        queries=shadows.QUERIES,
        every=5,
    ),
}

# What cuts the laptop design to seconds; DSA has fewer shadows than the others here too.
REDUCED = MappingProxyType(
    {
        "pool": 400,
        "shadows": 10,
        "fewer": (8,),
        "cells": grid((0.05, 0.1), 0.05, 10, 8),
        "width": 4,
        "dm.iterations": 2,
        "dm.width": 8,
        "dsa.iterations": 1,
        "dsa.width": 8,
        "dsa.outer_loop": 2,
        "dsa.inner_loop": 1,
        "kip.iterations": 2,
        "kip.batch_targets": 50,
        "schedule.epochs": 2,
        "full_schedule.epochs": 1,
        "resamples": 50,
    }
)
