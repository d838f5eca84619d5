"""The profiles of `private_release`.

The laptop profile is a reduced experiment: narrower networks, and far fewer steps of every iterative method.
With fewer steps less noise is needed for an epsilon, so its NDPDC and DP-SGD are other mechanisms than the
published ones, at the same guarantee.
"""

import math

from privacy_for_free.condensation.dm import DM
from privacy_for_free.condensation.gan import GAN
from privacy_for_free.experiments.private_release.design import Design
from privacy_for_free.nets.augmentation import STRATEGY
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.private.dp_merf import DPMERF
from privacy_for_free.private.dp_sgd import DPSGD
from privacy_for_free.private.noisy_condensation import LDPDC, NDPDC, OneRelease


def _merf(**values: object) -> DPMERF:
    return DPMERF(noise_multiplier=0.0, adjacency="add_remove", **values)


PROFILES = {
    "smoke": Design(
        epsilons=(1.0, math.inf),
        few_epsilons=(1.0,),
        ipcs=(1, 2),
        seeds=1,
        width=8,
        # Large samples: at a small rate there is little noise, and the accountant takes long over that.
        ldpdc=LDPDC(0.0, sample=200),
        ndpdc=NDPDC(0.0, sample=200, iterations=2, width=8),
        one_release=OneRelease(0.0, extractors=2, width=8, iterations=5),
        dp_merf=_merf(features=100, epochs=1),
        dp_sgd=DPSGD(0.0, sample=2000, steps=2),
        gan=GAN(steps=3, batch=16, width=8, discriminator_width=8),
        dm=DM(iterations=3, batch_real=16, width=8),
        schedule=Schedule(epochs=10, augmentation=STRATEGY),
        full_schedule=Schedule(epochs=1),
        audit_epsilons=(1.0,),
    ),
    "laptop": Design(
        epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        few_epsilons=(1.0,),
        ipcs=(10, 50),
        seeds=3,
        width=32,
        ldpdc=LDPDC(0.0),
        ndpdc=NDPDC(0.0, iterations=300, width=32, compile=True),
        one_release=OneRelease(0.0, extractors=16, width=32, iterations=400, compile=True),
        dp_merf=_merf(),
        dp_sgd=DPSGD(0.0, steps=80),
        gan=GAN(steps=400, width=32, discriminator_width=32),
        dm=DM(iterations=400, learning_rate=4.0, batch_real=64, width=32, compile=True),
        # A third of the published epochs at three times the rate.
        schedule=Schedule(epochs=100, learning_rate=0.03, augmentation=STRATEGY, compile=True),
        full_schedule=Schedule(epochs=3, compile=True),
        audit_runs=500,
        audit_pilots=150,
    ),
    "paper": Design(
        epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        few_epsilons=(0.5, 1.0, 2.0, 4.0, 8.0, math.inf),
        ipcs=(10, 50),
        seeds=5,
        width=128,
        ldpdc=LDPDC(0.0),
        ndpdc=NDPDC(0.0, compile=True),
        one_release=OneRelease(0.0, compile=True),
        dp_merf=_merf(),
        dp_sgd=DPSGD(0.0, sample=2048, steps=1000, chunk=256),
        gan=GAN(steps=20_000),
        dm=DM(compile=True, mixed_precision=True),
        schedule=Schedule.published(STRATEGY, compile=True),
        full_schedule=Schedule(epochs=100, augmentation=STRATEGY, compile=True),
        audit_epsilons=(0.5, 1.0, 2.0, 4.0, 8.0),
        audit_runs=2000,
        audit_pilots=500,
    ),
}
