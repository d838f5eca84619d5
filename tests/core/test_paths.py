"""Paths that a user gives."""

import os
from pathlib import Path

import pytest

from privacy_for_free.core.paths import given


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a/b", "a/b"),
        (Path("a/b"), "a/b"),
        ("/a", "/a"),
        ("2024", "2024"),
        (".", "."),
        ("a folder with spaces", "a folder with spaces"),
        ("a/~", "a/~"),
    ],
)
def test_text_and_paths_are_taken_as_they_are(value, expected):
    assert given("data_root", value) == Path(expected)


def test_k7_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # case 16
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for value in ("~/res", Path("~/res")):
        assert given("--results-dir", value) == tmp_path / "res"


@pytest.mark.parametrize("value", [2024, 20.24, True, None, b"data", ["data"], {}])
def test_k7_what_is_no_text_is_refused_by_name_and_value(value):
    with pytest.raises(ValueError, match="allowed is a path, given as text") as error:
        given("data_root", value)  # case 41
    assert str(error.value).startswith(f"data_root {value!r}: ")
    assert ("papermill: -r data_root" in str(error.value)) == isinstance(value, int | float)


@pytest.mark.parametrize("value", ["", "a\0b"])
def test_k7_no_text_and_a_zero_are_refused(value):
    with pytest.raises(ValueError, match="text that is not empty"):
        given("data_root", value)


def test_k7_the_home_of_a_user_there_is_not():
    if not hasattr(os, "getuid"):
        pytest.skip("needs a system with a list of users")
    with pytest.raises(ValueError, match=r"data_root '~no-such-user-here/x': allowed is a path whose home"):
        given("data_root", "~no-such-user-here/x")
