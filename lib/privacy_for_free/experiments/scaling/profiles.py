"""The settings of the three profiles of `scaling`."""

from types import MappingProxyType

from privacy_for_free.experiments.scaling.design import Design


def doubled(first: int, count: int) -> tuple[int, ...]:
    """Return `count` sizes from `first` on, each twice the one before."""
    return tuple(first * 2**power for power in range(count))


PROFILES = {
    "smoke": Design(
        measured=(
            ("dm_step", "ipc", doubled(1, 4)),
            ("dm_step", "K", doubled(2, 3)),
            ("training", "m", doubled(20, 4)),
            ("evaluation", "n", doubled(100, 4)),
            ("lira", "K", doubled(8, 4)),
            ("lira", "n", doubled(1000, 4)),
            ("class_mean", "n", doubled(1000, 4)),
            ("kip_step", "m", doubled(10, 4)),
            ("linear_dm", "n", doubled(100, 4)),
        ),
        n=2000,
        K=16,
        ipc=2,
        pool=400,
        batch_real=4,
        targets=200,
        width=8,
        repeats=3,
        square=500,
        block_mib=64,
    ),
    "laptop": Design(
        measured=(
            ("dm_step", "ipc", doubled(1, 6)),
            ("dm_step", "K", doubled(2, 6)),
            ("training", "m", doubled(20, 6)),
            ("evaluation", "n", doubled(250, 6)),
            ("lira", "K", doubled(8, 6)),
            ("lira", "n", doubled(1000, 6)),
            ("class_mean", "n", doubled(1000, 6)),
            ("kip_step", "m", doubled(40, 6)),
            ("linear_dm", "n", doubled(150, 6)),
        ),
        n=10_000,
        K=64,
        ipc=2,
        pool=4000,
        batch_real=32,
        targets=1000,
        width=32,
        repeats=5,
    ),
    "paper": Design(
        measured=(
            ("dm_step", "ipc", doubled(1, 7)),
            ("dm_step", "K", doubled(2, 8)),
            ("training", "m", doubled(20, 9)),
            ("evaluation", "n", doubled(500, 7)),
            ("lira", "K", doubled(8, 7)),
            ("lira", "n", doubled(1500, 6)),
            ("class_mean", "n", doubled(1500, 6)),
            ("kip_step", "m", doubled(40, 8)),
            ("linear_dm", "n", doubled(150, 6)),
        ),
        n=50_000,
        K=256,
        ipc=10,
        pool=50_000,
        batch_real=256,
        targets=5000,
        width=128,
        repeats=9,
        square=8192,
        block_mib=2048,
    ),
}

REDUCED = MappingProxyType(
    {
        name: getattr(PROFILES["smoke"], name)
        for name in ("measured", "n", "K", "ipc", "pool", "batch_real", "targets", "width", "block_mib")
    }
    | {"repeats": 1, "square": 200}
)
