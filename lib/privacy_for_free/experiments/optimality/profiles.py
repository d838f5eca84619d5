"""The profiles of `optimality`.

At least four halves are attacked and two chosen on in each cell. `laptop` goes up to 1,000 members of a known
bank and 250 of the published loop; `paper` has the paper's own halves and width.
"""

from privacy_for_free.condensation.dm_bank import BankedDM
from privacy_for_free.experiments.optimality.design import Design
from privacy_for_free.nets.augmentation import STRATEGY

PUBLISHED = BankedDM(bank=None, iterations=3000, learning_rate=3.0, width=16, augmentation="")
SHORT = BankedDM(bank=None, iterations=4, learning_rate=3.0, width=4, augmentation="")
KNOWN = "attacks=(('bank', 0, 'as_is'), ('same_law', 100, 'as_is'))"
BASE = (
    "attacks=(('same_law', 100, 'as_is'), ('same_law', 10, 'as_is'), ('same_law', 30, 'as_is'), "
    "('same_law', 300, 'as_is'), ('convnet_depth_2', 100, 'as_is'), ('mlp', 100, 'as_is'), "
    "('same_law', 100, 'rounded'), ('same_law', 100, 'clipped'), ('same_law', 100, 'clipped_inside'))"
)
POST = (
    "attacks=(('bank', 0, 'as_is'), ('same_law', 50, 'as_is'), ('bank', 0, 'clipped'), "
    "('bank', 0, 'clipped_inside'), ('bank', 0, 'rounded'))"
)
CLAMPED = "dm.clamp=True; attacks=(('same_law', 100, 'as_is'), ('same_law', 100, 'as_is_inside'))"
BANK = f"dm.bank=20; dm.iterations=1000; {KNOWN}"
OF_BANK = f"dm.bank=20; dm.iterations=800; dm.augmentation={STRATEGY}"

PROFILES = {
    "smoke": Design(
        cells=(
            "attacks=(('same_law', 2, 'as_is'), ('convnet_depth_2', 2, 'rounded'), ('mlp', 2, 'clipped'))",
            "dm.bank=3; attacks=(('bank', 0, 'as_is'),)",
            "dm.clamp=True; attacks=(('same_law', 2, 'as_is_inside'),)",
        ),
        cifar10_cells=(
            f"dm.bank=3; dm.augmentation={STRATEGY}; attacks=(('bank', 0, 'as_is'), ('bank', 0, 'rounded'))",
        ),
        dm=SHORT,
        n=20,
        ipc=2,
        ridges=(0.01, 1.0),
    ),
    "laptop": Design(
        cells=(
            BASE,
            f"n=500; {BANK}",
            "dm.iterations=600",
            "dm.iterations=150",
            "n=250",
            "ipc=1",
            "dm.batch_real=32",
            "dm.schedule=constant; dm.learning_rate=1.0",
            f"dm.augmentation={STRATEGY}",
            "init=real",
            CLAMPED,
            f"dm.bank=10; dm.iterations=1000; {KNOWN}",
            BANK,
            f"n=1000; {BANK}",
            "ipc=50",
        ),
        cifar10_cells=(
            "",
            f"n=500; dm.width=32; {OF_BANK}; {POST}",
            f"dm.augmentation={STRATEGY}",
            f"{OF_BANK}; {KNOWN}",
            f"n=1000; {OF_BANK}; {KNOWN}",
        ),
        dm=PUBLISHED,
    ),
    "paper": Design(
        cells=(
            BASE,
            "n=1000",
            "n=3000",
            f"n=3000; dm.bank=100; dm.iterations=4000; {KNOWN}",
            "n=3000; dm.batch_real=256",
            "n=3000; ipc=50",
            "dm.width=32",
            "n=3000; dm.learning_rate=1.0; dm.schedule=constant; dm.batch_real=256; init=real",
        ),
        cifar10_cells=(
            BASE,
            "n=1000",
            "n=2500",
            f"n=2500; dm.bank=100; dm.iterations=4000; {POST}",
            "n=2500; dm.batch_real=256",
            "n=2500; ipc=50",
            "dm.width=32",
            "n=2500; dm.learning_rate=1.0; dm.schedule=constant; dm.batch_real=256; init=real",
        ),
        dm=BankedDM(
            bank=None, iterations=20_000, learning_rate=3.0, compile=True, mixed_precision=True,
        ),
        classes=tuple(range(10)),
        attacks=(("same_law", 300, "as_is"),),
    ),
}  # fmt: skip

WAYS = (  # the attackers, releases and condensers of the cells of `laptop`
    "attacks=(('same_law', 2, 'as_is'), ('convnet_depth_2', 2, 'rounded'), ('mlp', 2, 'clipped_inside'))",
    "dm.bank=3; attacks=(('bank', 0, 'as_is'), ('bank', 0, 'clipped'))",
    f"dm.clamp=True; ipc=1; dm.augmentation={STRATEGY}; attacks=(('same_law', 2, 'as_is_inside'),)",
    "dm.batch_real=8; dm.schedule=constant; init=real",
)
REDUCED = {
    "cells": WAYS,
    "cifar10_cells": WAYS,
    "n": 20,
    "ipc": 2,
    "dm.iterations": 3,
    "dm.width": 4,
    "attacks": (("same_law", 2, "as_is"),),
    "ridges": (0.01, 1.0),
}
