"""The profiles of `tracing`."""

from privacy_for_free.condensation.dm import DM
from privacy_for_free.experiments.tracing.design import Design

PROFILES = {
    "smoke": Design(
        ns=(20, 50),
        factors=(4,),
        linear_ns=(20,),
        linear_ms=(1, 5),
        targets=8,
        dm_ns=(20,),
        ipcs=(1,),
        dm=DM(iterations=3, batch_real=8, width=8),
        dm_targets=8,
        extractors=2,
        features=64,
        predicted=50,
        resamples=100,
    ),
    "laptop": Design(
        ns=(50, 150, 500, 1500),
        factors=(1, 2, 4),
        linear_ns=(150, 500),
        linear_ms=(1, 10, 100),
        targets=64,
        dm_ns=(150, 500),
        ipcs=(1, 10),
        dm=DM(iterations=200, learning_rate=4.0, batch_real=64, width=32, compile=True),
        dm_targets=32,
        extractors=8,
        features=512,
    ),
    "paper": Design(
        ns=(50, 150, 500, 1500, 2500),
        factors=(1, 2, 4),
        linear_ns=(500, 2500),
        linear_ms=(1, 10, 50, 250),
        targets=256,
        dm_ns=(500, 2500),
        ipcs=(1, 10, 50),
        dm=DM(iterations=5000, compile=True, mixed_precision=True),
        dm_targets=64,
        extractors=32,
        features=2048,
    ),
}
