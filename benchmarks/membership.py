"""How fast shadows are attacked, trained and asked: python benchmarks/membership.py [quick]

1. Scores of all K targets on N examples by online LiRA: one vectorised pass per target (the 63 other models'
   means and variances, anew for each) against privacy_for_free.attacks.lira, which subtracts each
   target from sums over all. Bytes are what the arithmetic must read and write at least once, held against
   this machine's rate of copying memory.
2. Training K networks on K small sets and asking each about the pool: a plain sequential loop (torch.nn
   modules, not compiled, all threads, as published) against ours with one thread, all threads, compiled, and
   with a process per core: the cost of one more network, and of what comes before the first (starting, and
   loading what was compiled before). On a GPU networks are stacked.

`quick` takes fewer networks and a smaller pool.
"""

import sys
import time

import torch
from _measure import least
from training import evaluate_plain, module, plain

from privacy_for_free import shadows
from privacy_for_free.attacks import lira
from privacy_for_free.core.devices import usable_cores
from privacy_for_free.core.randomness import generator
from privacy_for_free.core.roofline import copy_ceiling
from privacy_for_free.lab import provenance
from privacy_for_free.nets.networks import ConvNet
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.shadows.halves import random_halves

WIDTH, SET, EPOCHS = 16, 100, 100


def a_pass_a_target(values: torch.Tensor, membership: torch.Tensor) -> torch.Tensor:
    """Return the same scores with a vectorised pass over the other models for each target."""
    scores = torch.empty_like(values)
    for k in range(len(values)):
        others = torch.arange(len(values)) != k
        x, inside = values[others], membership[others]
        sides = []
        for side in (inside, ~inside):
            count = side.sum(0)
            mean = (x * side).sum(0) / count
            variance = ((x - mean).square() * side).sum(0) / (count - 1)
            sides.append(-0.5 * ((values[k] - mean).square() / variance + variance.log()))
        scores[k] = sides[0] - sides[1]
    return scores


def attacks(K: int, N: int) -> None:
    """Time the scores of all targets."""
    values = torch.randn((K, N), generator=generator(0, "statistics"), dtype=torch.float64)
    membership = random_halves(K, torch.arange(N) % 10, generator(0, "halves"))
    torch.testing.assert_close(
        lira.scores(values[:, :100], membership[:, :100]),
        a_pass_a_target(values[:, :100], membership[:, :100]),
    )
    began = time.perf_counter()
    a_pass_a_target(values, membership)
    slow = time.perf_counter() - began
    fast = least(lambda: lira.scores(values, membership))
    rate = copy_ceiling(torch.device("cpu"))
    needed = (2 * values.nbytes + membership.nbytes) / rate
    print(f"\nscores, {K} targets, {N:,} examples")
    print(f"  pass per target    {slow:8.2f} s")
    print(f"  masked sums        {fast:8.2f} s   {slow / fast:.0f} times faster")
    print(
        f"  to read and write everything once, at {rate / 1e9:.1f} GB/s: {needed:.3f} s, {needed / fast:.0%}"
    )


def shadow_networks(K: int, N: int, device: torch.device) -> None:
    """Time training and asking K networks."""
    stream = generator(0, "pool")
    images = torch.randn((N, 3, 32, 32), generator=stream).to(device)
    labels = (torch.arange(N) % 10).to(device)
    pool = shadows.draw(images, labels, N, K, 0)
    sets = [shadows.release(pool, "random_subset", "real", SET // 10, None, 0).flat(k) for k in range(K)]
    network = ConvNet(3, 32, 10, WIDTH)
    print(f"\n{K} networks of width {WIDTH}: {EPOCHS} epochs of {SET} images, then {N:,} images asked")
    print("                              s per network times faster   s before the first")

    def sequential() -> None:
        for x, y in sets:
            model = module(network).to(device)
            plain(model, x, y, EPOCHS)
            evaluate_plain(model, images)

    def ours(compile: bool, workers: int, number: int) -> float:
        schedule = Schedule(epochs=EPOCHS, compile=compile)
        began = time.perf_counter()
        list(shadows.confidences(network, pool, sets[:number], schedule, 0, range(number), workers=workers))
        return time.perf_counter() - began

    began = time.perf_counter()
    sequential()
    base = (time.perf_counter() - began) / K
    print(f"  plain loop, {torch.get_num_threads()} threads     {base:12.2f}")
    cores = usable_cores()
    few = max(cores, K // 4)
    for compile in (False, True):
        for workers in sorted({1, cores} if device.type == "cpu" else {1}):
            ours(compile, workers, few)  # compiles, once a machine
            some, all_of_them = ours(compile, workers, few), ours(compile, workers, K)
            each = (all_of_them - some) / (K - few)
            name = f"{'compiled' if compile else 'eager'}, processes: {workers}"
            print(f"  {name:24s}{each:14.2f}{base / each:15.1f}{max(0.0, some - few * each):21.0f}")


def main() -> None:
    """Print both parts."""
    quick = "quick" in sys.argv[1:]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(provenance.machine(device))
    attacks(64, 10_000 if quick else 50_000)
    shadow_networks(4 if quick else 16, 2_000 if quick else 10_000, device)


if __name__ == "__main__":
    main()
