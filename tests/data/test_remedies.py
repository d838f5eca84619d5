"""Each remedy fits the fault: what is missing is not moved away, and what lies there instead is named."""

import gzip
import os
import shutil

import numpy as np
import pytest

from privacy_for_free.data import DataError, idx, load, mini

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture
def told(untouched):
    """Return the message of loading a set from a folder, which stays as it is."""

    def message(name, root):
        with untouched(root), pytest.raises(DataError) as error:
            load(name, root)
        return str(error.value)

    return message


@pytest.fixture
def places(idx_files, batches, celeba, fairface, tmp_path):
    """The root in which all of the sets lie, whole; CIFAR-10 and CelebA are there already."""
    idx_files("mnist", tmp_path / "mnist")
    idx_files("fashion_mnist", tmp_path / "fashion-mnist", zipped=True)
    picture = [[[value] * 3] * 32 for value in range(32)]
    rows = {split: [(np.array(picture, np.uint8) + add, "Male")] for split, add in (("train", 0), ("val", 1))}
    fairface(rows)
    for name in ("mnist", "fashion_mnist", "cifar10"):
        load(name, tmp_path)
    return tmp_path


FILES = [  # of each loader, and a word of the way to it
    ("mnist", f"mnist/{IMAGES}", "download=True"),
    ("mnist", f"mnist/{LABELS}", "download=True"),
    ("fashion_mnist", f"fashion-mnist/{IMAGES}.gz", "apt install dataset-fashion-mnist"),
    ("cifar10", "cifar-10-batches-py/data_batch_2", "cifar-10-python.tar.gz"),
    ("cifar10", "cifar-10-batches-py/batches.meta", "cifar-10-python.tar.gz"),
    ("celeba", "celeba/list_attr_celeba.txt", "get the aligned images and the lists from its authors"),
    ("celeba", "celeba/img_align_celeba/000004.jpg", "get the aligned images and the lists from its authors"),
    ("celeba", "celeba/img_align_celeba", "get the aligned images and the lists from its authors"),
    ("fairface", "fairface/fairface_label_val.csv", "from the FairFace authors"),
    ("fairface", "fairface/train/1.png", "from the FairFace authors"),
    ("fairface", "fairface/val", "from the FairFace authors"),
]


@pytest.mark.parametrize(("name", "file", "way"), FILES)
def test_k10_what_is_missing_is_not_moved_away(places, told, name, file, way):
    path = places / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    message = told(name, places)  # cases 33, 34
    assert "is missing" in message
    assert str(path).removesuffix(".gz") in message
    assert way in message
    assert "Move it away" not in message
    assert "move it away" not in message


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "HTML"])
@pytest.mark.parametrize(
    ("name", "file", "way"), [row for row in FILES if "." in row[1] or "batch" in row[1] or IMAGES in row[1]]
)
def test_k10_what_is_altered_is_named_with_the_way_to_it(places, told, name, file, way, damage):
    path = places / file
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[: len(content) // 3],
            "altered": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
            "empty": b"",
            "HTML": b"<!DOCTYPE html>\n<html>Not Found</html>",
        }[damage]
    )
    message = told(name, places)
    assert str(path) in message
    assert way in message
    assert "is missing" not in message
    if name.endswith("mnist"):
        assert ("an HTML page" in message) == (damage == "HTML")
        assert ("an empty file" in message) == (damage == "empty")


@pytest.mark.parametrize(("name", "file", "way"), [row for row in FILES if "align_celeba" not in row[1]])
def test_k10_a_folder_of_the_files_name_and_names_nearby(places, told, name, file, way):
    path = places / file
    kept = path.with_name("kept-aside")
    path.rename(kept)
    is_folder = kept.is_dir()
    near = path.with_name(path.name.upper() + " (1)" * (not path.suffix))
    if path.name.startswith(("1.", "0000")):
        return  # single images are counted
    shutil.move(kept, near)
    message = told(name, places)
    assert f"{near} is there. Rename {near.name} to {path.name}" in message
    shutil.move(near, kept)
    (places / "elsewhere").mkdir()
    if is_folder:
        path.write_bytes(b"")
        assert "a file of that name is there. Replace that file by the folder" in told(name, places)
    else:
        path.mkdir()
        shutil.move(kept, path / path.name)
        message = told(name, places)
        assert "a folder of that name is there" in message
        assert f"Move {path / path.name} out of it" in message


@pytest.mark.parametrize("zipped", [False, True])
def test_k10_idx_names_with_a_dot(idx_files, tmp_path, told, zipped):
    idx_files("mnist", tmp_path, zipped=zipped)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    message = told("mnist", tmp_path)  # case 33
    for file in idx.FILES.values():
        name = file + ".gz" * zipped
        assert f"Rename {name.replace('-idx', '.idx')} to {name}" in message
    assert "is missing" not in told("fashion_mnist", tmp_path)  # the files are the other set's


def test_k10_idx_unzipped_under_the_zipped_name_and_the_reverse(idx_files, tmp_path, told):
    idx_files("mnist", tmp_path)
    (tmp_path / IMAGES).rename(tmp_path / f"{IMAGES}.gz")
    assert f"{IMAGES}.gz is not gzip: it is the unzipped file. Rename it to {IMAGES}" in told(
        "mnist", tmp_path
    )
    data = (tmp_path / f"{IMAGES}.gz").read_bytes()
    (tmp_path / f"{IMAGES}.gz").unlink()
    (tmp_path / IMAGES).write_bytes(gzip.compress(data))
    assert f"does not end in .gz. Rename it to {IMAGES}.gz" in told("mnist", tmp_path)  # case 33


def test_k10_the_remedies_of_idx_files_work(idx_files, tmp_path, told):
    """A file that is missing in Debian's folder is had by installing that again, not by a download."""
    idx_files("fashion_mnist", idx.DEBIAN_FOLDER, zipped=True)
    (idx.DEBIAN_FOLDER / f"{IMAGES}.gz").unlink()
    (tmp_path / "root").mkdir()
    assert "apt install --reinstall dataset-fashion-mnist" in told("fashion_mnist", tmp_path / "root")
    assert f"there is no folder {tmp_path / 'no'}" in told("mnist", tmp_path / "no")


ARCHIVES = [
    ("mnist", "mnist", "mnist/mnist.zip"),
    ("mnist", "mnist", f"{IMAGES}.zip"),
    ("fashion_mnist", "fashion-mnist", "fashion-mnist-master.zip"),
    ("cifar10", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
    ("cifar10", "cifar-10-batches-py", "cifar-10-batches-py/cifar-10-python.tar.gz"),
    ("celeba", "celeba/img_align_celeba", "celeba/img_align_celeba.zip"),
    ("celeba", "celeba/img_align_celeba", "celeba/Img/img_align_celeba.zip"),
    ("celeba", "celeba", "celeba.zip"),
    ("fairface", "fairface/train", "fairface/fairface-img-margin025-trainval.zip"),
    ("fairface", "fairface", "FairFace.zip"),
]


@pytest.mark.parametrize(("name", "gone", "archive"), ARCHIVES)
@pytest.mark.parametrize("emptied", [False, True])
def test_k10_an_archive_that_is_there_is_to_be_unpacked(places, told, name, gone, archive, emptied):
    shutil.rmtree(places / gone)
    if emptied:
        (places / gone).mkdir()
    (places / archive).parent.mkdir(parents=True, exist_ok=True)
    (places / archive).write_bytes(b"PK\x03\x04")
    assert f"Unpack {places / archive}, which is there" in told(name, places)  # cases 34, 35


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ("cifar-10-batches-bin/data_batch_1.bin", "the binary version of CIFAR-10"),
        ("data_batch_1.bin", "the binary version of CIFAR-10"),
        ("cifar-10-binary.tar.gz", "the binary version of CIFAR-10"),
        ("cifar-10-batches-mat/data_batch_1.mat", "the Matlab version of CIFAR-10"),
        ("cifar-100-python/train", "CIFAR-100"),
    ],
)
def test_k10_another_version_of_cifar10_is_named(tmp_path, told, torchvision_datasets, other, kind):
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_bytes(b"x")
    message = told("cifar10", tmp_path)  # case 34
    assert f"{tmp_path / other.split('/')[0]} is {kind}. The Python version of CIFAR-10 is needed" in message
    assert "download=True" in message


@pytest.mark.parametrize("called", [None, "cifar"])
def test_k10_the_data_root_may_be_cifar10s_own_folder(batches, tmp_path, called):
    folder = tmp_path / "cifar-10-batches-py"
    whole = load("cifar10", tmp_path).sha256
    folder = folder.rename(tmp_path / called) if called else folder
    assert load("cifar10", folder).sha256 == whole  # case 34
    assert load("cifar10", folder, download=True).sha256 == whole
    (folder / "data_batch_1").unlink()
    with pytest.raises(DataError, match=r"data_batch_1 is missing\. Unpack") as error:
        load("cifar10", folder)
    assert f"{folder / 'data_batch_1'} is missing" in str(error.value)


def test_k10_folders_unpacked_one_too_deep(places, told):
    (places / "deep").mkdir()
    shutil.move(places / "cifar-10-batches-py", places / "deep")
    assert f"Name {places / 'deep'} as the data root" in told("cifar10", places)
    images = places / "celeba" / "img_align_celeba"
    images.rename(places / "inner")
    images.mkdir()
    shutil.move(places / "inner", images / images.name)
    assert f"Move {images / images.name} to {images.parent}, in place of" in told("celeba", places)  # case 35
    lists = places / "celeba" / "Anno"
    lists.mkdir()
    shutil.move(places / "celeba" / "list_attr_celeba.txt", lists)
    assert f"Move {lists / 'list_attr_celeba.txt'} to {lists.parent}" in told("celeba", places)


def test_k10_other_forms_of_celeba(places, told):
    os.rename(places / "celeba" / "list_attr_celeba.txt", places / "celeba" / "list_attr_celeba.csv")
    assert "list_attr_celeba.csv, which is there, is not in the published form" in told("celeba", places)
    shutil.rmtree(places / "celeba" / "img_align_celeba")
    (places / "celeba" / "img_align_celeba_png.7z").write_bytes(b"7z")
    message = told("celeba", places)
    assert "img_align_celeba_png.7z, which is there, is not img_align_celeba.zip" in message
    assert "Unpack" not in message


def test_k10_celebas_own_folder_is_taken(celeba, tmp_path):
    assert load("celeba", celeba).sha256 == load("celeba", tmp_path).sha256  # case 35


def test_k10_torchvisions_folder_of_mnist_is_taken(idx_files, tmp_path):
    idx_files("mnist", tmp_path / "MNIST" / "raw")
    assert load("mnist", tmp_path / "MNIST").sha256 == load("mnist", tmp_path).sha256


def test_k10_unfinished_downloads(places, told):
    batch = places / "cifar-10-batches-py" / "data_batch_1"
    batch.rename(batch.with_name("data_batch_1.part"))
    assert "data_batch_1.part is there. Finish that download" in told("cifar10", places)


def test_k10_the_embedded_set(tmp_path, monkeypatch, told):
    (tmp_path / mini.FILE).write_bytes(b"")
    message = told("fashion_mnist_mini", tmp_path)
    assert "move it away, and the package's own is used" in message
    assert "git checkout" not in message
    (tmp_path / mini.FILE).unlink()
    monkeypatch.setattr(mini, "EMBEDDED", tmp_path / "gone.npz")
    assert "is missing; restore it (`git checkout" in told("fashion_mnist_mini", tmp_path)
    monkeypatch.setattr(mini, "checkout", lambda: None)
    message = told("fashion_mnist_mini", tmp_path)
    assert "install the package again" in message
    assert "move it away" not in message
    monkeypatch.setattr(mini, "EMBEDDED", tmp_path)
    assert f"{tmp_path} is a folder, not a file" in told("fashion_mnist_mini", tmp_path)
