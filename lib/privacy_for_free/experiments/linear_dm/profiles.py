"""The settings of the three profiles of `linear_dm`."""

from types import MappingProxyType

from privacy_for_free.experiments.linear_dm.design import Design

PROFILES = {
    "smoke": Design((2, 4), (8,), ((50, 1), (500, 10)), normals=2_000_000, chains=400),
    "laptop": Design(
        (1, 2, 4), (1, 8, 64), ((50, 1), (500, 10), (5000, 50)), normals=40_000_000, chains=2000
    ),
    "paper": Design(
        (1, 2, 4), (1, 8, 64, 256), ((50, 1), (500, 10), (5000, 50)), normals=1_000_000_000, chains=20_000
    ),
}

REDUCED = MappingProxyType(
    {"pools": (2, 4), "features": (64,), "sizes": ((50, 1), (500, 10)), "normals": 2_000_000, "chains": 400}
)
