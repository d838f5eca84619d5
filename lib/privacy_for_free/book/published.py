"""Published test accuracies of private synthetic data, to hold ours against: other people's numbers."""

from typing import NamedTuple


class Published(NamedTuple):
    """A test accuracy in percent that somebody published, at delta 1e-5."""

    mechanism: str
    dataset: str
    epsilon: float
    ipc: int
    test_accuracy: float
    source: str


_TABLE = "Zheng & Li, Differentially Private Dataset Condensation"
ACCURACIES = tuple(
    Published(mechanism, dataset, 1.0, ipc, accuracy, _TABLE)
    for mechanism, dataset, *accuracies in (
        ("ndpdc", "mnist", 93.1, 94.1),
        ("ndpdc", "fashion_mnist", 77.7, 78.8),
        ("ndpdc", "cifar10", 39.4, 42.3),
        ("dp_merf", "mnist", 75.0, 84.4),
        ("dp_merf", "fashion_mnist", 65.5, 71.3),
    )
    for ipc, accuracy in zip((10, 50), accuracies, strict=True)
)
