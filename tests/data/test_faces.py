import shutil

import numpy as np
import pytest
import torch

from privacy_for_free.data import DataError, faces, files, load
from privacy_for_free.data.files import arrays_sha256, md5

FULL_FAIRFACE_SHA256 = "f728b119e47020538d638188e1b6ad8fa6a92eb7aa91823fec594bbe1d7bf7a8"


def _expected_celeba(folder, image_module, number):
    """Crop with array indices, then resize."""
    pixels = np.asarray(image_module.open(folder / "img_align_celeba" / f"{number:06}.jpg"))[20:198]
    small = image_module.fromarray(pixels).resize((32, 32), image_module.Resampling.BILINEAR)
    return torch.tensor(np.array(small)).permute(2, 0, 1).float() / 255


def test_celeba_partition_label_crop_and_size(celeba, tmp_path, image_module):
    data = load("celeba", tmp_path)
    for images, numbers in ((data.train_images, [1, 2, 5]), (data.test_images, [4, 6])):
        expected = torch.stack([_expected_celeba(celeba, image_module, number) for number in numbers])
        assert torch.equal(images, expected)
    assert data.train_labels.tolist() == [1, 0, 0]
    assert data.test_labels.tolist() == [0, 1]
    assert data.classes == ("female", "male")


def test_celeba_crop_agrees_with_torchvisions_transforms(
    celeba, tmp_path, image_module, torchvision_datasets
):
    from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

    transform = Compose([CenterCrop(178), Resize(32), PILToTensor()])
    listing = torchvision_datasets.CelebA(str(tmp_path), split="train", transform=transform)
    theirs = torch.stack([image for image, _ in listing])
    assert torch.equal((load("celeba", tmp_path).train_images * 255).round().to(torch.uint8), theirs)


def test_the_cache_spares_the_decoding(celeba, tmp_path, monkeypatch, untouched):
    first = load("celeba", tmp_path)
    assert (celeba / "celeba-32x32.npz").is_file()
    monkeypatch.setattr(faces, "_decode", lambda path: pytest.fail("decoded again"))
    with untouched(tmp_path):
        second = load("celeba", tmp_path)
    assert second.sha256 == first.sha256
    assert torch.equal(second.test_images, first.test_images)


def test_a_folder_that_cannot_be_written_to_is_read_all_the_same(celeba, tmp_path, monkeypatch, untouched):
    def refuse(*arguments, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr(files, "write_npz", refuse)
    with untouched(tmp_path):
        assert len(load("celeba", tmp_path).train_images) == 3


def test_a_cache_of_other_images_is_not_used(celeba, tmp_path, untouched):
    load("celeba", tmp_path)
    shutil.copyfile(celeba / "img_align_celeba" / "000001.jpg", celeba / "img_align_celeba" / "000002.jpg")
    with (
        untouched(tmp_path),
        pytest.raises(DataError, match=r"celeba-32x32.npz was made from other files") as error,
    ):
        load("celeba", tmp_path)
    assert "images changed" in str(error.value)
    assert "delete this cache" in str(error.value)
    (celeba / "celeba-32x32.npz").unlink()
    images = load("celeba", tmp_path).train_images
    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize("damage", ["flip", "truncated", "another file"])
def test_a_damaged_cache_is_an_error(celeba, tmp_path, untouched, flip_byte, damage):
    load("celeba", tmp_path)
    cache = celeba / "celeba-32x32.npz"
    if damage == "flip":
        flip_byte(cache)
    elif damage == "truncated":
        cache.write_bytes(cache.read_bytes()[:-100])
    else:
        np.savez(cache, something=np.arange(3))
    with untouched(tmp_path), pytest.raises(DataError, match="delete this cache and load again") as error:
        load("celeba", tmp_path)
    assert str(cache) in str(error.value)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("list_attr_celeba.txt", "missing"),
        ("list_eval_partition.txt", "flip"),
        ("list_attr_celeba.txt", "flip"),
        ("identity_CelebA.txt", "missing"),
        ("img_align_celeba/000004.jpg", "missing"),
        ("img_align_celeba/000004.jpg", "flip"),
        ("img_align_celeba/000005.jpg", "truncated"),
        ("img_align_celeba", "missing"),
        (".", "missing"),
    ],
)
def test_a_celeba_file_at_fault_is_named(celeba, tmp_path, untouched, flip_byte, file, fault):
    path = celeba / file
    if fault == "flip":
        flip_byte(path)
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("celeba", tmp_path)
    assert str(path) in str(error.value)
    assert ("missing" if fault == "missing" else "altered") in str(error.value)
    assert "get the aligned images and the lists from its authors" in str(error.value)


def _pixels(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_fairface_at_32x32_in_either_place(fairface, tmp_path):
    rows = {"train": [(_pixels(0), "Male"), (_pixels(1), "Female")], "val": [(_pixels(2), "Male")]}
    folder = fairface(rows)
    data = load("fairface", tmp_path)
    assert torch.equal(data.train_images[1], torch.tensor(_pixels(1)).permute(2, 0, 1).float() / 255)
    assert data.train_labels.tolist() == [1, 0]
    assert data.test_labels.tolist() == [1]
    assert data.notes == ("0 exact duplicates removed, 0 of them with another label than the first",)
    assert load("fairface", folder).sha256 == data.sha256


def test_fairface_as_published_is_reduced_with_antialiasing(fairface, tmp_path):
    checkerboard = np.indices((224, 224)).sum(0) % 2 * 255
    grey = np.repeat(checkerboard[:, :, None], 3, axis=2).astype(np.uint8)
    fairface(
        {"train": [(grey, "Male"), (_pixels(0, 224), "Female")], "val": [(_pixels(1, 448), "Male")]},
        suffix=".jpg",
    )
    data = load("fairface", tmp_path)
    assert data.train_images.shape == (2, 3, 32, 32)
    assert data.test_images.shape == (1, 3, 32, 32)
    assert (data.train_images[0] - 0.5).abs().max() < 0.05


def test_fairface_listed_as_jpg_and_stored_as_png(fairface, tmp_path):
    fairface({"train": [(_pixels(0), "Male")], "val": [(_pixels(1), "Female")]}, listed=".jpg")
    assert load("fairface", tmp_path).test_labels.tolist() == [0]


def test_fairface_duplicates_within_and_between_the_splits(fairface, tmp_path):
    train = [(0, "Male"), (1, "Male"), (0, "Male"), (1, "Female"), (2, "Female")]
    val = [(3, "Male"), (2, "Female"), (3, "Male"), (4, "Female")]
    fairface({"train": [(_pixels(s), g) for s, g in train], "val": [(_pixels(s), g) for s, g in val]})
    data = load("fairface", tmp_path)
    expected = {"train": [0, 1, 2], "test": [3, 4]}
    for split, seeds in expected.items():
        images = torch.stack([torch.tensor(_pixels(seed)).permute(2, 0, 1) for seed in seeds])
        assert torch.equal(getattr(data, f"{split}_images"), images.float() / 255)
    assert data.train_labels.tolist() == [1, 1, 0]
    assert data.notes == ("4 exact duplicates removed, 1 of them with another label than the first",)
    assert load("fairface", tmp_path).notes == data.notes  # from the cache too


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("fairface_label_train.csv", "missing"),
        ("fairface_label_val.csv", "missing"),
        ("train/1.png", "missing"),
        ("train/1.png", "flip"),
        ("val/1.png", "truncated"),
        ("val", "missing"),
    ],
)
def test_a_fairface_file_at_fault_is_named(fairface, tmp_path, untouched, flip_byte, file, fault):
    folder = fairface({"train": [(_pixels(0), "Male")], "val": [(_pixels(1), "Female")]})
    path = folder / file
    if fault == "flip":
        flip_byte(path)
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("fairface", tmp_path)
    assert str(path) in str(error.value)
    assert ("missing" if fault == "missing" else "altered") in str(error.value)
    assert "from the FairFace authors" in str(error.value)


def test_fairface_lists_that_say_something_else(fairface, tmp_path, untouched):
    folder = fairface({"train": [(_pixels(0), "Male")], "val": [(_pixels(1), "unknown")]})
    with (
        untouched(tmp_path),
        pytest.raises(DataError, match=r"fairface_label_val.csv, line 2: gender 'unknown'"),
    ):
        load("fairface", tmp_path)
    (folder / "fairface_label_val.csv").write_text("file,sex\nval/1.png,Male\n")
    with untouched(tmp_path), pytest.raises(DataError, match=r"\['file', 'sex'\], not file and gender"):
        load("fairface", tmp_path)


def _twenty(fairface, tmp_path):
    return fairface(
        {
            split: [(_pixels(seed), ("Female", "Male")[seed % 2]) for seed in range(start, end)]
            for split, start, end in (("train", 0, 20), ("val", 20, 24))
        }
    )


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("rows", [7, 0])
def test_k8_a_label_list_that_is_short_is_refused_with_both_counts(
    fairface, tmp_path, untouched, rows, cached
):
    folder = _twenty(fairface, tmp_path)
    if cached:
        load("fairface", tmp_path)
    path = folder / "fairface_label_train.csv"
    path.write_text("\n".join(path.read_text().splitlines()[: rows + 1]) + "\n")
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("fairface", tmp_path)  # case 36
    assert f"{path} has {rows} rows, {folder / 'train'} has 20 images" in str(error.value)
    assert f"{20 - rows} images without a row" in str(error.value)


def test_k8_rows_without_an_image_and_rows_of_one_image_are_counted(fairface, tmp_path, untouched):
    folder = _twenty(fairface, tmp_path)
    for number in (3, 5):
        (folder / "train" / f"{number}.png").unlink()
    path = folder / "fairface_label_val.csv"
    path.write_text(path.read_text() + "val/2.png,age,race,Male,True\n")
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("fairface", tmp_path)
    assert "has 20 rows" in str(error.value)
    assert f"2 rows without an image (the first: {folder / 'train' / '3.png'} is missing)" in str(error.value)
    assert "has 5 rows" in str(error.value)
    assert "1 rows of an image that has one already (the first: 2.png)" in str(error.value)


def test_k8_two_files_of_one_image_and_other_files(fairface, tmp_path):
    folder = _twenty(fairface, tmp_path)
    (folder / "train" / ".DS_Store").write_bytes(b"x")
    (folder / "train" / "README.txt").write_bytes(b"x")
    assert len(load("fairface", tmp_path).train_images) == 20
    shutil.copy(folder / "train" / "1.png", folder / "train" / "1.jpg")
    with pytest.raises(DataError, match="1 images without a row"):
        load("fairface", tmp_path)


@pytest.mark.parametrize(
    "row", ["../train/1.png", "train/../val/1.png", "train/1.txt", "val/1.png", "1.png", ""]
)
def test_k8_rows_of_no_image_of_the_split(fairface, tmp_path, untouched, row):
    folder = _twenty(fairface, tmp_path)
    path = folder / "fairface_label_train.csv"
    path.write_text(path.read_text().replace("train/20.png", row))
    with untouched(tmp_path), pytest.raises(DataError, match=r"line 21: file .* is no image in train/"):
        load("fairface", tmp_path)


@pytest.mark.parametrize("fault", ["image without a row", "row without an image", "no images"])
def test_k8_celebas_images_are_counted(celeba, tmp_path, untouched, fault):
    images = celeba / "img_align_celeba"
    if fault == "image without a row":
        shutil.copy(images / "000001.jpg", images / "000007.jpg")
        counts = "list_eval_partition.txt has 6 rows", "has 7 images: 1 images without a row"
    elif fault == "row without an image":
        (images / "000003.jpg").unlink()  # of the validation partition, which is not loaded
        counts = "has 6 rows", "has 5 images: 1 rows without an image", "000003.jpg is missing"
    else:
        shutil.rmtree(images)
        images.mkdir()
        counts = "has 6 rows", "has 0 images"
    with untouched(tmp_path), pytest.raises(DataError) as error:
        load("celeba", tmp_path)
    assert all(count in str(error.value) for count in counts)


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        (
            "identity_CelebA.txt",
            lambda lines: lines[:-1],
            "identity_CelebA.txt 5 rows, not of the same images",
        ),
        ("list_eval_partition.txt", lambda lines: lines[:-2], "list_eval_partition.txt 4 rows"),
        ("list_eval_partition.txt", lambda lines: [], "list_eval_partition.txt 0 rows"),
        ("list_eval_partition.txt", lambda lines: [*lines, lines[0]], "list_eval_partition.txt 7 rows"),
        ("list_attr_celeba.txt", lambda lines: lines[:-1], "has 5 rows, its first line states 6"),
        ("list_attr_celeba.txt", lambda lines: [*lines[:-1], lines[-2]], "not of the same images"),
        ("list_eval_partition.txt", lambda lines: ["000001.jpg 3", *lines[1:]], "another form"),
        ("list_attr_celeba.txt", lambda lines: [*lines[:-1], "000006.jpg 1"], "another form"),
    ],
)
def test_k8_celebas_lists_are_counted_against_each_other(
    celeba, tmp_path, monkeypatch, torchvision_datasets, file, change, told
):
    path = celeba / file
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    known = [
        (one, md5((celeba / name).read_bytes()) if name == file else checksum, name)
        for one, checksum, name in torchvision_datasets.CelebA.file_list
    ]
    monkeypatch.setattr(torchvision_datasets.CelebA, "file_list", known)
    with pytest.raises(DataError, match=told):
        load("celeba", tmp_path)


def test_full_fairface(full_data, image_module):
    if not any(
        (folder / "fairface_label_train.csv").is_file() for folder in (full_data, full_data / "fairface")
    ):
        pytest.skip("needs FairFace in PRIVACY_FOR_FREE_DATA (see README)")
    data = load("fairface", full_data)
    assert data.train_images.shape[1:] == (3, 32, 32)
    images = torch.cat([data.train_images, data.test_images])
    distinct = {image.numpy().tobytes() for image in images}
    assert len(distinct) == len(images)
    if len(images) + 47 == 45000:
        assert data.sha256 == FULL_FAIRFACE_SHA256
        assert data.train_labels.bincount().tolist() == [18816, 21144]
        assert data.test_labels.bincount().tolist() == [2361, 2632]
        assert data.notes == ("47 exact duplicates removed, 1 of them with another label than the first",)


def test_the_digest_depends_on_every_array_and_its_shape():
    arrays = {
        "train_images": np.zeros((2, 1, 2, 2), np.uint8),
        "train_labels": np.zeros(2, np.uint8),
        "test_images": np.zeros((1, 1, 2, 2), np.uint8),
        "test_labels": np.zeros(1, np.uint8),
    }
    changed = [arrays]
    for name in arrays:
        other = arrays[name].copy()
        other.flat[0] = 1
        changed.append(arrays | {name: other})
    changed.append(arrays | {"train_images": arrays["train_images"].reshape(2, 1, 4, 1)})
    assert len({arrays_sha256(each) for each in changed}) == 6
    with pytest.raises(TypeError, match="int64"):
        arrays_sha256(arrays | {"test_labels": np.zeros(1, np.int64)})
