"""Paths that a user gives, in one place: the command line's, the API's, the chapters', the environment's."""

import os
from pathlib import Path


def given(name: str, value: object) -> Path:
    """Return a path that a user gave, with `~` expanded; a relative one is left to the working directory.

    name   what the path is called where it was given: data_root, --results-dir
    value  text, or a `pathlib.Path`

    ValueError for anything else (papermill's `-p` makes a number of `2024`), for no text, and for the home of
    a user there is not.

    >>> given("data_root", 2024)
    Traceback (most recent call last):
    ValueError: data_root 2024: allowed is a path, given as text (papermill: -r data_root 2024)
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        remedy = f" (papermill: -r {name} {value})" if isinstance(value, int | float) else ""
        raise ValueError(f"{name} {value!r}: allowed is a path, given as text{remedy}")
    if not text or "\0" in text:
        raise ValueError(f"{name} {value!r}: allowed is a path, given as text that is not empty")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{name} {value!r}: allowed is a path whose home folder there is ({error})"
        ) from error
