"""Make the embedded data set from the full FashionMNIST.

    python -m privacy_for_free.data.embedded SOURCE_FOLDER DESTINATION

SOURCE_FOLDER holds the four idx files (Debian's: /usr/share/datasets/fashion-mnist); DESTINATION is the .npz
to write, and must not exist. The choice of images depends on SEED alone.
"""

import sys
from pathlib import Path

import numpy as np

from privacy_for_free.core.paths import given
from privacy_for_free.core.randomness import numpy_generator
from privacy_for_free.data.files import DataError, write_npz
from privacy_for_free.data.idx import REMEDIES, read_folder

SEED = 2022
PER_CLASS = {"train": 1000, "test": 200}


def choose(labels: np.ndarray, split: str) -> np.ndarray:
    """Draw PER_CLASS[split] images of every class; return their indices, ascending, int32."""
    chosen = [
        numpy_generator(SEED, "fashion_mnist_mini", split, int(label)).choice(
            np.flatnonzero(labels == label), PER_CLASS[split], replace=False
        )
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def selection(source: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the embedded file, chosen from the full set in `source`.

    {train,test}_images uint8 N x 28 x 28, _labels uint8 N, and _indices int32 N: the positions in the full
    set. Raises DataError when `source` does not hold the full set unaltered.
    """
    full = read_folder("fashion_mnist", source)
    if full is None:
        if not source.is_dir():
            raise DataError(
                f"SOURCE_FOLDER {str(source)!r}: there is no such folder; {REMEDIES['fashion_mnist']}"
            )
        raise DataError(f"{source}: no FashionMNIST idx files there; {REMEDIES['fashion_mnist']}")
    arrays = {}
    for split in PER_CLASS:
        indices = choose(full[f"{split}_labels"], split)
        arrays[f"{split}_images"] = full[f"{split}_images"][indices, 0]
        arrays[f"{split}_labels"] = full[f"{split}_labels"][indices]
        arrays[f"{split}_indices"] = indices
    return arrays


def main(arguments: list[str]) -> None:
    """Run the command line; SystemExit with the reason when the file cannot be made."""
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    try:
        source, destination = map(given, ("SOURCE_FOLDER", "DESTINATION"), arguments)
        if not destination.parent.is_dir():
            raise DataError(f"DESTINATION {str(destination)!r}: there is no folder {destination.parent}")
        write_npz(destination, selection(source), compress=True)
    except (DataError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(sys.argv[1:])
