"""The settings of the three profiles of `secret_start`."""

import math
from types import MappingProxyType

from privacy_for_free.experiments.secret_start.design import Design
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.nets.schedule import Schedule

STARTS = ((10, 1.0), (10, 0.1), (1, 1.0), (50, 1.0))
EPSILONS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, math.inf)

PROFILES = {
    "smoke": Design(
        starts=((2, 1.0), (1, 0.5)),
        epsilons=(0.0, 1.0, math.inf),
        network_epsilons=(1.0,),
        few_epsilons=(),
        seeds=1,
        width=8,
        schedule=Schedule(epochs=5, augmentation=STRATEGY),
        attack_epsilons=(1.0, 10.0),
        runs=500,
        traced=50,
        halves=4,
        check_steps=20,
    ),
    "laptop": Design(
        starts=STARTS,
        epsilons=EPSILONS,
        network_epsilons=(0.0, 0.1, 1.0, 10.0, math.inf),
        few_epsilons=(1.0, math.inf),
        seeds=5,
        width=32,
        schedule=Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        attack_epsilons=(1.0, 3.0, 10.0, 30.0, math.inf),
        runs=4000,
        traced=500,
        halves=40,
        check_steps=200,
    ),
    "paper": Design(
        starts=STARTS,
        epsilons=EPSILONS,
        network_epsilons=EPSILONS,
        few_epsilons=EPSILONS,
        seeds=10,
        width=128,
        schedule=Schedule.published(STRATEGY, compile=True),
        attack_epsilons=(1.0, 3.0, 10.0, 30.0, math.inf),
        runs=20_000,
        traced=2500,
        halves=100,
        check_steps=500,
    ),
}

REDUCED = MappingProxyType(
    {
        "starts": ((2, 1.0), (1, 0.5)),
        "epsilons": (0.0, 1.0, math.inf),
        "network_epsilons": (1.0,),
        "few_epsilons": (),
        "seeds": 1,
        "schedule.epochs": 2,
        "runs": 50,
        "traced": 50,
        "halves": 4,
        "check_steps": 5,
    }
)
