import os
import subprocess
import sys
from pathlib import Path

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
    monkeypatch.setattr(datasets, "Path", lambda *_: pytest.fail("touched the disk"))
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
