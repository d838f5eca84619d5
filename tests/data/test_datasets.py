import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from privacy_for_free.data import NAMES, DataError, check_name, datasets, load


def test_default_is_the_embedded_set_in_the_unit_interval():
    data = load()
    assert data.train_images.dtype == torch.float32
    assert data.train_labels.dtype == torch.int64
    assert (data.train_images.min(), data.train_images.max()) == (0, 1)
    assert data.train_images.is_contiguous()
    assert not data.normalised
    assert torch.allclose(data.mean, data.train_images.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(data.std, data.train_images.std((0, 2, 3), correction=0), atol=1e-6)


def test_normalised():
    plain, data = load(), load(normalise=True)
    assert data.normalised
    assert data.sha256 == plain.sha256
    assert data.train_images.mean().abs() < 1e-5
    assert abs(data.train_images.std(correction=0) - 1) < 1e-5
    assert torch.allclose(data.test_images * data.std + data.mean, plain.test_images, atol=1e-6)


def test_of_class_keeps_stored_order():
    data = load()
    expected = [
        image for image, label in zip(data.train_images, data.train_labels, strict=True) if label == 3
    ]
    assert torch.equal(data.of_class(3), torch.stack(expected))
    for c in (-1, 10):
        with pytest.raises(ValueError, match=f"class of fashion_mnist_mini {c}: allowed are .* 0 to 9"):
            data.of_class(c)


def test_unknown_name_is_refused_before_the_disk_is_touched(monkeypatch):
    monkeypatch.setattr(datasets, "given", lambda *_: pytest.fail("touched the disk"))
    for function in (check_name, load):
        with pytest.raises(ValueError, match="dataset 'nonsense': known are fashion_mnist_mini, ") as error:
            function("nonsense")
        assert all(name in str(error.value) for name in NAMES)
    assert [check_name(name) for name in NAMES] == list(NAMES)


def test_the_environment_names_the_data_root(idx_files, tmp_path, monkeypatch):
    idx_files("mnist", tmp_path / "a" / "mnist")
    monkeypatch.setenv("PRIVACY_FOR_FREE_DATA", str(tmp_path / "a"))
    assert load("mnist").name == "mnist"
    assert load().name == "fashion_mnist_mini"
    with pytest.raises(DataError, match="nowhere"):
        load("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("PRIVACY_FOR_FREE_DATA", "")
    with pytest.raises(DataError, match=str(datasets.FOLDER)):
        load("mnist")


@pytest.mark.parametrize("value", [2024, 20.24, b"data", True, ["data"], "", "a\0b"])
def test_k7_a_data_root_that_is_no_path_is_refused_by_value(value):
    for name in NAMES:
        with pytest.raises(ValueError, match="allowed is a path, given as text") as error:
            load(name, data_root=value)  # case 41
        assert str(error.value).startswith(f"data_root {value!r}: ")


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_k7_the_data_root_is_expanded(idx_files, tmp_path, monkeypatch, by):
    idx_files("mnist", tmp_path / "x" / "mnist")
    monkeypatch.setenv("HOME", str(tmp_path))  # case 16
    if by == "argument":
        assert load("mnist", "~/x").name == "mnist"
        return
    monkeypatch.setenv("PRIVACY_FOR_FREE_DATA", "~/x")
    assert load("mnist").name == "mnist"
    monkeypatch.setenv("PRIVACY_FOR_FREE_DATA", "~no-such-user-here/x")
    with pytest.raises(
        ValueError, match="PRIVACY_FOR_FREE_DATA '~no-such-user-here/x': allowed is a path whose"
    ):
        load("mnist")


def test_k7_a_relative_data_root(idx_files, tmp_path, monkeypatch):
    idx_files("mnist", tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    assert load("mnist", "x").sha256 == load("mnist", tmp_path / "x").sha256


@pytest.mark.parametrize("name", NAMES)
def test_k7_a_data_root_that_is_a_file(tmp_path, monkeypatch, name):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"data_root .* is a file: allowed is the folder") as error:
        load(name, path)
    assert str(path) in str(error.value)
    monkeypatch.setenv("PRIVACY_FOR_FREE_DATA", str(path))
    with pytest.raises(DataError, match=r"PRIVACY_FOR_FREE_DATA .* is a file"):
        load(name)


def test_k7_a_data_root_that_the_system_refuses():
    with pytest.raises(DataError, match=r"dataset 'mnist' cannot be read \(.*too long: 'xxx"):
        load("mnist", "x" * 5000)


@pytest.mark.parametrize("name", [3, None, b"mnist", ["mnist"], np.array(["mnist", "cifar10"]), {}])
def test_k2_a_name_that_is_no_text_is_refused_by_value(name):
    with pytest.raises(ValueError, match="known are fashion_mnist_mini, ") as error:
        check_name(name)
    assert str(error.value).startswith(f"dataset {name!r}: ")
    with pytest.raises(ValueError, match=r"^(name|dataset) .*: (allowed is text|known are)"):
        load(name)


@pytest.mark.parametrize("switch", ["normalise", "download"])
@pytest.mark.parametrize("value", ["no", "False", 1, 0, None, torch.tensor(True)])
def test_k2_switches_are_true_or_false(switch, value):
    with pytest.raises(ValueError, match=f"^{switch} .*: allowed are True and False"):
        load(**{switch: value})


def test_k2_a_class_may_be_any_whole_number():
    data = load()
    for three in (np.int64(3), np.uint8(3), torch.tensor(3)):
        assert torch.equal(data.of_class(three), data.of_class(3))
    assert load(normalise=np.bool_(True)).normalised
    for c in ("3", 3.0, True, None, [3], np.array([3, 4])):
        with pytest.raises(ValueError, match=r"class of fashion_mnist_mini .*: allowed are whole numbers"):
            data.of_class(c)


@pytest.mark.parametrize("package", ["torchvision", "PIL", "tqdm"])
def test_a_package_that_is_not_installed_is_named_with_the_extra(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for name in {"torchvision": ["cifar10", "mnist"], "PIL": ["fairface"], "tqdm": ["fairface"]}[package]:
        folder = tmp_path / "fairface"
        for split in ("train", "val"):
            (folder / split).mkdir(parents=True, exist_ok=True)
            (folder / split / "1.jpg").write_bytes(b"")
            (folder / f"fairface_label_{split}.csv").write_text(f"file,gender\n{split}/1.jpg,Male\n")
        with pytest.raises(DataError) as error:
            load(name, tmp_path, download=True)
        assert f"needs the package {package}: pip install -e '.[data]'" in str(error.value)


def test_embedded_and_idx_sets_need_neither_torchvision_nor_pillow_nor_tqdm(idx_files, tmp_path):
    idx_files("mnist", tmp_path)
    program = """
import sys
for package in ("torchvision", "PIL", "tqdm"):
    sys.modules[package] = None
from privacy_for_free.data import idx, load
print(load().sha256)
root = idx.Path(sys.argv[1])
idx.MD5["mnist"] = {array: idx.md5((root / file).read_bytes()) for array, file in idx.FILES.items()}
print(load("mnist", root).sha256)
"""
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    library = str(Path(datasets.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": library}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert output.stdout.split() == [load().sha256, load("mnist", tmp_path).sha256]
