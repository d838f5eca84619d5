"""The embedded data set: 1,000 training and 200 test images per class of FashionMNIST, in one file.

`privacy_for_free.data.embedded` makes the file; this module reads it. The images are Zalando's, under the MIT
licence in FASHION_MNIST_LICENSE beside it.
"""

from pathlib import Path

from privacy_for_free.core.checkout import checkout
from privacy_for_free.data.files import ARRAYS, Content, DataError, arrays_sha256, read_npz
from privacy_for_free.data.idx import CLASSES

FILE = "fashion_mnist_mini.npz"
EMBEDDED = Path(__file__).with_name(FILE)
SHA256 = "0bef34b3cfb2132729c235e92b1073aad5c16667726052af26e5ad04f2e7aadb"
MAKE = "`python -m privacy_for_free.data.embedded /usr/share/datasets/fashion-mnist NEW_FILE`"


def _remedy(path: Path) -> str:
    if path != EMBEDDED:
        return f"move it away, and the package's own is used, or make it again from the full set: {MAKE}"
    restore = (
        f"`git checkout lib/privacy_for_free/data/{FILE}`" if checkout() else "install the package again"
    )
    return f"restore it ({restore}), or make it again from the full set: {MAKE}"


def load_mini(root: Path) -> Content:
    """Load the embedded set from `root` where the file is there, else from this package.

    Raises DataError when the file is missing, unreadable, or its arrays do not have the digest SHA256.
    """
    path = root / FILE if (root / FILE).is_file() else EMBEDDED
    remedy = _remedy(path)
    stored = read_npz(path, remedy)
    try:
        arrays = {name: stored[name] for name in ARRAYS}
        for name in ("train_images", "test_images"):
            arrays[name] = arrays[name][:, None]
        found = arrays_sha256(arrays)
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path} is altered ({error}); {remedy}") from error
    if found != SHA256:
        raise DataError(f"{path} is altered: its arrays have SHA-256 {found} instead of {SHA256}; {remedy}")
    return Content(**arrays, classes=CLASSES["fashion_mnist"])
