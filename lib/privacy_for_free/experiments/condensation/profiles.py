"""The settings of the three profiles of `condensation`.

The laptop profile is a reduced experiment: a narrower ConvNet, fewer steps, smaller batches. Its numbers
compare methods with each other under one small budget; they are not the published ones.
"""

from types import MappingProxyType

from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.condensation.kip import KIP
from privacy_for_free.condensation.selection import Herding
from privacy_for_free.experiments.condensation.design import Design, cells
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.nets.schedule import Schedule

PROFILES = {
    "smoke": Design(
        cells((1, 2), (1,), (2,)),
        seeds=1,
        width=8,
        dm=DM(iterations=5, batch_real=16, width=8),
        dsa=GradientMatching(iterations=2, batch_real=8, width=8, inner_loop=1),
        kip=KIP(iterations=5, batch_targets=200),
        herding=Herding(width=8),
        schedule=Schedule(epochs=10, augmentation=STRATEGY),
        full_schedule=Schedule(epochs=1),
    ),
    "laptop": Design(
        cells((1, 10, 50), (1, 10), (1, 10, 50)),
        seeds=3,
        width=32,
        # The loss sums over the features, a quarter as many here: a rate of 4 is the published step.
        dm=DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dsa=GradientMatching(
            iterations=50, outer_loop=3, inner_loop=10, batch_real=64, width=32, compile=True
        ),
        kip=KIP(iterations=100, batch_targets=2000, compile=True),
        herding=Herding(width=32, compile=True),
        schedule=Schedule(epochs=300, augmentation=STRATEGY, compile=True),
        full_schedule=Schedule(epochs=3, compile=True),
    ),
    "paper": Design(
        cells((1, 10, 50), (1, 10, 50), (1, 10, 50)),
        seeds=5,
        width=128,
        dm=DM(compile=True, mixed_precision=True),
        dsa=GradientMatching(compile=True),
        kip=KIP(),
        herding=Herding(),
        schedule=Schedule.published(STRATEGY, compile=True),
        full_schedule=Schedule(epochs=100, augmentation=STRATEGY, compile=True),
    ),
}

REDUCED = MappingProxyType(
    {
        "seeds": 1,
        "width": 4,
        "dm.iterations": 2,
        "dm.batch_real": 8,
        "dm.width": 8,
        "dsa.iterations": 2,
        "dsa.outer_loop": 2,
        "dsa.inner_loop": 1,
        "dsa.batch_real": 8,
        "dsa.width": 8,
        "kip.iterations": 2,
        "kip.batch_targets": 100,
        "herding.width": 8,
        "schedule.epochs": 4,
        "full_schedule.epochs": 1,
    }
)
