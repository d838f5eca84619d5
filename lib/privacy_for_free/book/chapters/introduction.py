"""Numbers of the introduction: effects of claims, as the claims' tables show them."""

import math
import os

from privacy_for_free.book import claims


def numbers(results_dir: str | os.PathLike | None = None) -> dict[str, float]:
    """What the prose inserts, in the units of each claim; not a number where there is no record.

    results_dir   folder of the records that claims are judged from; None for the repository's
    """
    effects = {claim.key: claims.judge(claim, results_dir).effects for claim in claims.CLAIMS}

    def value(claim: str, dataset: str) -> float:
        effect = effects[claim].get(dataset)
        return effect.value if effect else math.nan

    return {
        "fashion_mnist.A4": value("A4", "fashion_mnist"),
        "fashion_mnist.A5": value("A5", "fashion_mnist"),
        "fashion_mnist.A6": value("A6", "fashion_mnist"),
        "fashion_mnist.A12": value("A12", "fashion_mnist"),
        "fashion_mnist.A13": value("A13", "fashion_mnist"),
        "fashion_mnist.B2.size": abs(value("B2", "fashion_mnist")),
        "fashion_mnist.B4": value("B4", "fashion_mnist"),
        "fashion_mnist.C4": value("C4", "fashion_mnist"),
        "fashion_mnist.C6.size": abs(value("C6", "fashion_mnist")),
        "cifar10.A12": value("A12", "cifar10"),
        "cifar10.A13": value("A13", "cifar10"),
        "cifar10.C2": value("C2", "cifar10"),
        "cifar10.C7.size": abs(value("C7", "cifar10")),
    }
