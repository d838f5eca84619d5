"""The profiles of `nonlinear_shift`."""

from privacy_for_free.condensation.dm import DM
from privacy_for_free.experiments.nonlinear_shift.design import Design
from privacy_for_free.nets.schedule import Schedule

PROFILES = {
    "smoke": Design(
        ns=(10, 20, 40),
        extractors=(("convnet", (1, 2)), ("convnet_gelu", (2,)), ("mlp", (1, 2))),
        replicates=3,
        dm=DM(iterations=3, learning_rate=4.0, width=8),
        stops=(1, 3),
        width=8,
        schedule=Schedule(epochs=5),
        tests=20,
        gradient_m=2,
        gradient_networks=(1, 4),
        smooth_ms=(2,),
        minimum_ms=(1,),
        smooth_steps=(2, 5),
        smooth_side=2,
    ),
    "laptop": Design(
        ns=(50, 100, 200, 400, 800, 1600),
        extractors=(("convnet", (1, 5, 25)), ("convnet_gelu", (5,)), ("mlp", (1, 5, 25))),
        replicates=15,
        dm=DM(iterations=40, learning_rate=4.0, width=32, compile=True),
        stops=(1, 2, 5, 15, 40),
        width=16,
        schedule=Schedule(epochs=50, learning_rate=0.03, compile=True),
        tests=250,
        gradient_m=5,
        gradient_networks=(1, 8),
        smooth_ms=(1, 5),
        minimum_ms=(1, 2),
        smooth_steps=(5, 10, 20),
    ),
    "paper": Design(
        ns=(50, 100, 200, 400, 800, 1600, 2500),
        extractors=(("convnet", (1, 10, 50)), ("convnet_gelu", (1, 10, 50)), ("mlp", (1, 10, 50))),
        replicates=20,
        dm=DM(iterations=1000, compile=True),
        stops=(1, 2, 5, 15, 40, 200, 1000),
        width=128,
        schedule=Schedule.published(compile=True),
        tests=1000,
        gradient_m=10,
        gradient_networks=(1, 4, 16, 64),
        smooth_ms=(1, 5),
        minimum_ms=(1, 2),
        smooth_steps=(5, 10, 20, 40),
    ),
}
