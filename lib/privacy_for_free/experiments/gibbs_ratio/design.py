"""The settings of `gibbs_ratio`, and its tasks: one for each model, number of real images and replicate."""

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from privacy_for_free.core import validate
from privacy_for_free.theory.gibbs_models import Chains

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset

Task = tuple[str, int, int]  # (model, n, replicate)

EXACT = ("gaussian", "gaussian_kl", "logistic", "logistic_replace", "logistic_all_data")
SUBSET = "logistic_random_subset"
CHAINS = ("sgld_network", "sgld_network_half_step")


@dataclass(frozen=True)
class Design:
    """Sizes, and the accuracy with which each model is computed.

    sizes, images_per_class, replicates   n and m per class, and pairs of classes; only m <= n/2 is run
    epsilon0             eps0, which sets the temperature
    ball_radius          rho of the Gaussian model
    disk_radius, grid    rho of the logistic models; radial and angular nodes, and points on the circle
    pairs                replacements tried
    subset_sizes, subset_images, subset_grid   n, m and grid of the random subset
    largest_enumeration  subsets of one class, at most
    chain_sizes, chain_images, chain_replicates   n, m and pairs of classes of the network
    removals             tried on the chains: those farthest from the mean among the hull's corners
    hidden, network_radius   width of the network; radius of each ball of its parameters
    chains, step, burn_in, steps, keep_every, batch   of `theory.langevin.sgld`

    A size larger than the smallest class of the data set is left out.
    """

    sizes: tuple[int, ...]
    images_per_class: tuple[int, ...]
    replicates: int
    epsilon0: float = 1.0
    ball_radius: float = 1.0
    disk_radius: float = 10.0
    grid: tuple[int, int, int] = (32, 96, 512)
    pairs: int = 16
    subset_sizes: tuple[int, ...] = (10, 30, 100)
    subset_images: tuple[int, ...] = (1, 2, 3)
    largest_enumeration: int = 5000
    subset_grid: tuple[int, int, int] = (16, 32, 256)
    chain_sizes: tuple[int, ...] = ()
    chain_images: tuple[int, ...] = ()
    chain_replicates: int = 1
    removals: int = 8
    hidden: int = 8
    network_radius: float = 2.0
    chains: int = 256
    step: float = 0.01
    burn_in: int = 200
    steps: int = 400
    keep_every: int = 20
    batch: int = 32

    def __post_init__(self) -> None:
        """Refuse settings that no chain can have, before any task."""
        validate.whole("chains", self.chains, 1)
        _ = self.langevin

    @property
    def langevin(self) -> Chains:
        """The settings of the chains."""
        lengths = (self.burn_in, self.steps, self.keep_every)
        return Chains(self.hidden, self.network_radius, self.chains, self.step, *lengths, self.batch)

    def synthetic(self, model: str, n: int) -> list[int]:
        """Return the numbers m of synthetic images per class that a model is run with."""
        if model == SUBSET:
            return [m for m in self.subset_images if math.comb(n, m) <= self.largest_enumeration]
        return [m for m in (self.chain_images if model in CHAINS else self.images_per_class) if 2 * m <= n]


def fitting_sizes(sizes: tuple[int, ...], dataset: "Dataset") -> list[int]:
    """Return the sizes no larger than the smallest class; ValueError when there is none."""
    smallest = int(dataset.train_labels.bincount(minlength=len(dataset.classes)).min())
    fitting = [n for n in sizes if n <= smallest]
    if sizes and not fitting:
        raise ValueError(f"sizes {sizes}: allowed are 2 to {smallest}, the smallest class of {dataset.name}")
    return fitting


def tasks(design: Design, dataset: "Dataset") -> list[Task]:
    """Return (model, n, replicate); a task covers every m that fits its n.

    ValueError where the smallest class has fewer images than any of the sizes.
    """
    grid = [
        (EXACT, design.sizes, design.replicates),
        ((SUBSET,), design.subset_sizes, design.replicates),
        (CHAINS[:1], design.chain_sizes, design.chain_replicates),
        (CHAINS[1:], design.chain_sizes, 1),
    ]
    return [
        task
        for models, sizes, replicates in grid
        for task in product(models, fitting_sizes(sizes, dataset), range(replicates))
    ]


def kind(task: Task) -> str:
    """Return what tells tasks apart that take different ways through the code: the model."""
    return task[0]
