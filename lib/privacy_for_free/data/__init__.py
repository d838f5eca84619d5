"""Image data sets, checked before use."""

from privacy_for_free.data.datasets import NAMES, Dataset, check_name, load
from privacy_for_free.data.files import DataError

__all__ = ["NAMES", "DataError", "Dataset", "check_name", "load"]
