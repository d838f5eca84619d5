"""Numbers and verdicts of the chapter "Non-linear extractors"."""

import math
from collections.abc import Mapping

import pandas as pd
import torch

from privacy_for_free.book import figures
from privacy_for_free.book.chapters.nonlinear_extractors import GELU, RELU, STARTED, View
from privacy_for_free.book.claims import evidence
from privacy_for_free.book.claims.catalogue import STEEPEST_FAILURE
from privacy_for_free.book.claims.rules import Verdict, below, combine, includes
from privacy_for_free.stats import slopes
from privacy_for_free.stats.intervals import Interval

FASHION, CIFAR = "fashion_mnist", "cifar10"  # the data sets whose numbers the prose has
MANY_KINKS = (9e-3, 1.1)  # displacements between which many units of a ReLU network change sides


def rows_for(view: View, dataset: str, start: str, **chosen: object) -> pd.DataFrame:
    """Return `View.final` of a data set; where its record is missing, the first one there is stands in."""
    return view.final(dataset if dataset in view.datasets else view.datasets[0], start, **chosen)


def slope(view: View, dataset: str, start: str, extractor: str) -> Interval:
    """Return the exponent in n of the shift after all steps, with its t-interval over replicates."""
    return evidence.shift_exponent(rows_for(view, dataset, start, extractor=extractor))


def output_slope(view: View, dataset: str, against: str) -> Interval:
    """Return the exponent in n or m of the change of trained networks' outputs, images from noise."""
    return evidence.shift_exponent(rows_for(view, dataset, "noise", extractor=RELU), "output_change", against)


def mean_shift(view: View, start: str, extractor: str, n: int) -> float:
    """Return the mean shift of the middle number of FashionMNIST images after all steps, at a size n."""
    rows = rows_for(view, FASHION, start, extractor=extractor, m=view.middle, n=n)
    return float(rows["shift"].mean())


def numbers(view: View, apart: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """Return the numbers of the prose; `apart` holds the distances that `figure_kinks` draws."""
    fits = view.fits
    inside = (fits.low <= fits.bootstrap_low) & (fits.bootstrap_high <= fits.high)
    values = {
        "n.lowest": int(view.networks.n.min()),
        "n.highest": int(view.networks.n.max()),
        "m": view.middle,
        "steps": int(max(view.stops)),
        "replicates": int(view.networks.seed.nunique()),
        "fits": len(fits),
        "fits.bootstrap_inside": int(inside.sum()),
        "kinks.steps": apart[RELU].shape[1] - 1,
    }
    return {**values, **_smooth(view), **_shifts(view), **_kinks(view), **_outputs(view)}


def _smooth(view: View) -> dict[str, object]:
    """Return how the smooth extractor's shifts compare with bounds and first order."""
    tanh, minimum = view.tanh, view.minimum
    return {
        "smooth.side": max(design["smooth_side"] for design in view.designs),
        "tanh.steps": int(tanh.iterations.max()),
        "tanh.bound_over_shift": (tanh.bound / tanh["shift"]).median(),
        "tanh.proved_over_shift": (tanh.bound_proved / tanh["shift"]).median(),
        "minimum.pairs": len(minimum),
        "minimum.shift_over_predicted": (minimum["shift"] / minimum.predicted).median(),
        "minimum.held": int((minimum["shift"] <= minimum.bound).sum()),
    }


def _shifts(view: View) -> dict[str, object]:
    """Return slopes and shifts of the ConvNets after all steps."""
    few, many = int(view.networks.n.min()), int(view.networks.n.max())
    started, ordinary = (mean_shift(view, start, GELU, many) for start in (STARTED, "real"))
    return {
        "fashion_mnist.convnet.slope": slope(view, FASHION, "noise", RELU).value,
        "fashion_mnist.convnet_gelu.slope": slope(view, FASHION, "noise", GELU).value,
        "fashion_mnist.convnet.started.slope": slope(view, FASHION, STARTED, RELU).value,
        "fashion_mnist.convnet_gelu.started.slope": slope(view, FASHION, STARTED, GELU).value,
        "cifar10.convnet.slope": slope(view, CIFAR, "noise", RELU).value,
        "cifar10.convnet_gelu.slope": slope(view, CIFAR, "noise", GELU).value,
        "cifar10.convnet_gelu.started.slope": slope(view, CIFAR, STARTED, GELU).value,
        "fashion_mnist.convnet.shift.lowest_n": mean_shift(view, "noise", RELU, few),
        "fashion_mnist.convnet.shift.highest_n": mean_shift(view, "noise", RELU, many),
        "fashion_mnist.convnet_gelu.shift.highest_n": mean_shift(view, "noise", GELU, many),
        "fashion_mnist.convnet_gelu.started.times": started / ordinary,
    }


def _kinks(view: View) -> dict[str, object]:
    """Return how gradients change with displacements at which many units change sides."""
    rows = view.kicked[view.kicked.delta.between(*MANY_KINKS)]
    fewest, most = rows.networks.min(), rows.networks.max()

    def changes(extractor: str, count: float) -> pd.DataFrame:
        some = rows[(rows.extractor == extractor) & (rows.networks == count)]
        return some.set_index(["seed", "delta"])

    kinked, smooth, averaged = changes(RELU, fewest), changes(GELU, fewest), changes(RELU, most)
    return {
        "kinks.convnet.exponent": _exponent(kinked),
        "kinks.convnet_gelu.exponent": _exponent(smooth),
        "kinks.convnet.averaged": _geometric_mean(kinked.relative / averaged.relative),
        "kinks.networks": int(most),
        "kinks.networks.root": math.sqrt(most / fewest),
    }


def _exponent(rows: pd.DataFrame) -> float:
    deltas = rows.index.get_level_values("delta")
    return slopes.log_log(deltas, rows.relative, clusters=rows.index.get_level_values("seed")).value


def _geometric_mean(ratios: pd.Series) -> float:
    return float(math.exp(ratios.map(math.log).mean()))


def _outputs(view: View) -> dict[str, object]:
    """Return how the outputs of trained networks change with n and m, and how much more with the seed."""
    values: dict[str, object] = {}
    for name in (FASHION, CIFAR):
        rows = rows_for(view, name, "noise", extractor=RELU)
        values[f"{name}.outputs.slope_in_n"] = figures.interval(*output_slope(view, name, "n"))
        values[f"{name}.outputs.slope_in_m"] = figures.interval(*output_slope(view, name, "m"))
        values[f"{name}.outputs.reseeded"] = (rows.output_reseeded / rows.output_change).median()
    return values


def verdicts(view: View, embedding: pd.DataFrame) -> dict[str, object]:
    """Return the verdicts on the statements of the chapter, in the order of its table.

    embedding   the table of `table_embedding`
    """
    return {
        "verdict.embedding": embedding["bound 2κ"] - embedding["n x largest shift"],
        "verdict.smooth": _steep(view, "noise", GELU),
        "verdict.relu": _steep(view, "noise", RELU),
        "verdict.real": _steep(view, STARTED, GELU),
        "verdict.network": combine(
            [
                includes(power)(output_slope(view, name, against))
                for name in (FASHION, CIFAR)
                for against, power in (("n", -1), ("m", 1))
            ]
        ),
    }


def _steep(view: View, start: str, extractor: str) -> Verdict:
    """Return whether the shift falls with n about as fast as the theorem says, on both data sets."""
    rule = below(STEEPEST_FAILURE)
    return combine([rule(slope(view, name, start, extractor)) for name in (FASHION, CIFAR)])
