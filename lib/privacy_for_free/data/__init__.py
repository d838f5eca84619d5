"""Image data sets, checked before use, and who is a member of which half."""

from privacy_for_free.data.datasets import NAMES, Dataset, check_name, load
from privacy_for_free.data.files import DataError
from privacy_for_free.data.membership import balanced_pool, random_halves

__all__ = ["NAMES", "DataError", "Dataset", "balanced_pool", "check_name", "load", "random_halves"]
