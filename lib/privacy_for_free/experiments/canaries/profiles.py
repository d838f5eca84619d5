"""The profiles of `canaries`. The laptop's is a reduced experiment: small pool, narrow nets, few steps."""

import math
from types import MappingProxyType

from privacy_for_free.condensation.dm import DM
from privacy_for_free.experiments.canaries.design import Design
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.private.dp_sgd import DPSGD

PROFILES = {
    "smoke": Design(
        pool=400,
        planted=4,
        shadows=8,
        ipc=1,
        epsilons=(math.inf,),
        width=8,
        dm=DM(iterations=3, batch_real=8, width=8),
        dp_sgd=DPSGD(0.0, sample=100, steps=3),
        schedule=Schedule(epochs=10, learning_rate=0.03),
        full_schedule=Schedule(epochs=10, learning_rate=0.05, batch=64),
        resamples=200,
    ),
    "laptop": Design(
        pool=2000,
        planted=10,
        shadows=64,
        ipc=2,
        epsilons=(2.0, 8.0, math.inf),
        width=16,
        dm=DM(iterations=200, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dp_sgd=DPSGD(0.0, sample=128, steps=40),
        schedule=Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=Schedule(epochs=20, learning_rate=0.05, batch=128, compile=True),
        every=2,
    ),
    "paper": Design(
        pool=50_000,
        planted=50,
        shadows=256,
        ipc=10,
        epsilons=(1.0, 2.0, 4.0, 8.0, math.inf),
        width=128,
        dm=DM(compile=True, mixed_precision=True),
        dp_sgd=DPSGD(0.0, sample=2048, steps=500, chunk=256),
        schedule=Schedule.published(STRATEGY, compile=True),
        full_schedule=Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        every=10,
    ),
}

# What cuts the laptop design to seconds.
REDUCED = MappingProxyType(
    {
        "pool": 400,
        "planted": 4,
        "shadows": 8,
        "dm.iterations": 2,
        "dp_sgd.sample": 64,
        "dp_sgd.steps": 2,
        "schedule.epochs": 2,
        "full_schedule.epochs": 1,
        "resamples": 50,
    }
)
