"""The largest log ratio of two Gibbs posteriors, on real images, against its bound r eps0 (1.4 and 1.5).

A replicate is an ordered pair of classes and an order of their images: T is the first n of each, so the T of
one replicate are nested. S is condensed in closed form, m images per class of uniform noise moved onto the
class mean. One image of the first class is removed or replaced; `observed` is the largest |log ratio| over
theta and over the images tried, in nats. Models and images are those of `theory.gibbs_models`:

  gaussian, gaussian_kl   removal of every x of T
  logistic                removal of the x at the corners of T's hull
  logistic_replace        the same, replace-one, comparable with the next two
  logistic_all_data       all 2n real images at temperature tau n/m; replace-one; bound r eps0
  logistic_random_subset  m random real images per class; replace-one; bound ln(1 + r(e^eps0 - 1))
  sgld_network            Langevin chains; removal; its std_error is the normaliser's, between chains
  sgld_network_half_step  the same with half the step and twice the steps: does the discretisation matter?

Replacements come from all images of the class, and are the pairs (x, x') farthest apart. The largest over x
in T falls more slowly than 1/n on real images: a larger T holds stranger x. `observed_fixed_x` follows one x
(and one x') through all the nested T, and shows the rate of the theorem.
"""

import math
from typing import TYPE_CHECKING

import torch

from privacy_for_free.core.randomness import generator
from privacy_for_free.experiments.gibbs_ratio.cases import Case, case
from privacy_for_free.experiments.gibbs_ratio.design import Design, Task
from privacy_for_free.theory import gibbs, gibbs_models
from privacy_for_free.theory.gibbs_models import LogRatios

if TYPE_CHECKING:
    from privacy_for_free.data import Dataset


def run(
    task: Task, design: Design, dataset: "Dataset", seed: int, device: torch.device
) -> list[dict[str, object]]:
    """Return one row for each m of the task."""
    model, n, replicate = task
    images = case(task, design, dataset, seed, device)
    common = {
        "model": model,
        "n": n,
        "std_error": 0.0,
        "statistic": "largest_log_ratio",
        "adjacency": "remove",
        "replicate": replicate,
        "class_of_x": images.classes[0],
        "other_class": images.classes[1],
        "epsilon0": design.epsilon0,
        "dimension": 2,
        "log_normaliser": math.nan,
        "step": math.nan,
    }
    rows = []
    for m in design.synthetic(model, n):
        row = {"m": m, "bound": m / n * design.epsilon0, **MODELS[model](images, m)}
        rows.append(common | row)
    return rows


def gaussian(images: Case, m: int) -> dict[str, object]:
    """Remove every x of T in all d dimensions, theta in a ball."""
    rows, followed = images.in_full
    ratios = gibbs_models.gaussian(rows, m, images.design.epsilon0, images.design.ball_radius)
    return {**ratios.worst(followed), "dimension": rows.shape[1]}


def gaussian_kl(images: Case, m: int) -> dict[str, object]:
    """Return the divergence of the same posteriors without the ball; its bound is at displacement 2B/n."""
    rows, followed = images.in_full
    ratios = gibbs_models.gaussian_kl(rows, m, images.design.epsilon0, images.design.ball_radius)
    bound = gibbs.gaussian_kl(2 * gibbs_models.RADIUS / images.n, m, ratios.temperature)
    columns = {"bound": bound, "statistic": "kl_divergence", "dimension": rows.shape[1]}
    return {**ratios.worst(followed), **columns}


def logistic(images: Case, m: int) -> dict[str, object]:
    """Remove the x at the corners of T's hull, and the one that is followed."""
    return _logistic(images, m, images.removals()).worst()


def logistic_replace(images: Case, m: int) -> dict[str, object]:
    """Replace an image of T instead."""
    leaving, coming = images.replaced
    shifts = (coming - images.in_plane[0][leaving]) / images.n
    return {**_logistic(images, m, shifts.to(images.device)).worst(), "adjacency": "replace"}


def _logistic(images: Case, m: int, shifts: torch.Tensor) -> LogRatios:
    design = images.design
    return gibbs_models.logistic(
        *images.synthetic(m), shifts, design.epsilon0, design.disk_radius, design.grid
    )


def logistic_all_data(images: Case, m: int) -> dict[str, object]:
    """Replace an image, with training on all real images."""
    design, (points, others, _) = images.design, (part.to(images.device) for part in images.in_plane)
    settings = (m, design.epsilon0, design.disk_radius, design.grid)
    ratios = gibbs_models.logistic_all_data(points, others, images.replaced, *settings)
    return {**ratios.worst(), "adjacency": "replace"}


def logistic_random_subset(images: Case, m: int) -> dict[str, object]:
    """Replace an image, with training on m random real images per class."""
    design, (points, others, _) = images.design, (part.to(images.device) for part in images.in_plane)
    settings = (m, design.epsilon0, design.disk_radius, design.subset_grid)
    ratios = gibbs_models.logistic_random_subset(points, others, images.replaced, *settings)
    bound = gibbs.subset_epsilon(m / images.n, design.epsilon0)
    return {**ratios.worst(), "bound": bound, "adjacency": "replace"}


def network(images: Case, m: int, refine: int = 1) -> dict[str, object]:
    """Remove the x at the farthest corners of T's hull; with `refine` 2, at half the step."""
    chains = images.design.langevin.refined(refine)
    index = (images.replicate, images.n, m, refine)
    stream = generator(images.seed, "gibbs_ratio chains", *index, device=images.device)
    shifts = images.removals(images.design.removals)
    ratios = gibbs_models.network(*images.synthetic(m), shifts, images.design.epsilon0, chains, stream)
    return {**ratios.worst(), "dimension": 4 * chains.hidden, "step": chains.step}


def network_half_step(images: Case, m: int) -> dict[str, object]:
    """Return the same as `network` with half the step and twice the steps."""
    return network(images, m, refine=2)


MODELS = {
    "gaussian": gaussian,
    "gaussian_kl": gaussian_kl,
    "logistic": logistic,
    "logistic_replace": logistic_replace,
    "logistic_all_data": logistic_all_data,
    "logistic_random_subset": logistic_random_subset,
    "sgld_network": network,
    "sgld_network_half_step": network_half_step,
}
