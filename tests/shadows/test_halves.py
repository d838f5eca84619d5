import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from privacy_for_free.core.randomness import generator
from privacy_for_free.data import load
from privacy_for_free.shadows import balanced_pool, random_halves


@given(
    classes=st.integers(1, 5),
    available=st.integers(2, 12),
    pairs=st.integers(1, 6),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=60)
def test_a_pool_is_balanced_distinct_ordered_and_reproducible(classes, available, pairs, seed):
    labels = torch.arange(classes * available) % classes
    labels = labels[torch.randperm(len(labels), generator=generator(seed, "labels"))]
    per_class = min(2 * pairs, available - available % 2)
    pool = balanced_pool(labels, per_class * classes, generator(seed, "pool"))
    assert pool.dtype == torch.int64
    assert len(set(pool.tolist())) == per_class * classes
    assert labels[pool].tolist() == sorted(list(range(classes)) * per_class)
    assert all((block.diff() > 0).all() for block in pool.split(per_class))
    assert torch.equal(pool, balanced_pool(labels, per_class * classes, generator(seed, "pool")))


def test_every_image_is_as_likely_in_the_pool():
    labels = torch.arange(8) % 2
    counts = torch.zeros(8)
    for draw in range(2000):
        counts[balanced_pool(labels, 4, generator(0, "pool", draw))] += 1
    assert chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("size", [20.0, True, None, "20"])
def test_k2_a_size_that_is_no_whole_number_is_refused(size):
    with pytest.raises(ValueError, match=r"size .*: allowed are whole numbers") as error:
        balanced_pool(torch.arange(100) % 10, size, generator(0, "pool"))
    assert repr(size) in str(error.value)


@pytest.mark.parametrize("size", [0, -20, 30, 21])
def test_a_pool_that_cannot_be_halved_in_balance_is_refused(size):
    with pytest.raises(ValueError, match=r"positive multiples of 20, twice the 10 classes") as error:
        balanced_pool(torch.arange(100) % 10, size, generator(0, "pool"))
    assert repr(size) in str(error.value)


def test_more_images_than_there_are():
    labels = torch.tensor([0] * 6 + [1] * 5)
    with pytest.raises(ValueError, match=r"pool of 12 images: 6 of class 1 asked for, there are 5"):
        balanced_pool(labels, 12, generator(0, "pool"))
    with pytest.raises(ValueError, match=r"1002 of class 0 asked for, there are 1000"):
        balanced_pool(load().train_labels, 10020, generator(0, "pool"))


@given(
    pairs=st.integers(1, 6),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=60)
def test_margins_and_reproducibility(pairs, sizes, seed):
    labels = torch.tensor([c for c, size in enumerate(sizes) for _ in range(2 * size)])
    labels = labels[torch.randperm(len(labels), generator=generator(seed, "labels"))]
    halves = random_halves(2 * pairs, labels, generator(seed, "halves"))
    assert halves.dtype == torch.bool
    assert halves.shape == (2 * pairs, len(labels))
    assert (halves.sum(0) == pairs).all()
    for c, size in enumerate(sizes):
        assert (halves[:, labels == c].sum(1) == size).all()
    assert torch.equal(halves, random_halves(2 * pairs, labels, generator(seed, "halves")))


def test_other_seeds_give_other_halves_and_global_generators_are_not_drawn_from():
    labels = torch.arange(40) % 2
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (random_halves(8, labels, generator(seed, "halves")) for seed in (0, 1))
    balanced_pool(labels, 8, generator(0, "pool"))
    assert not torch.equal(first, second)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def _all_halves(rows, columns):
    """Enumerate the bool matrices with half of every row and half of every column True."""
    row_choices = [
        row for row in itertools.product((False, True), repeat=columns) if sum(row) == columns // 2
    ]
    for matrix in itertools.product(row_choices, repeat=rows):
        if (np.sum(matrix, axis=0) == rows // 2).all():
            yield np.array(matrix).tobytes()


@pytest.mark.parametrize(("rows", "columns", "number"), [(4, 4, 90), (4, 2, 6), (2, 4, 6), (6, 2, 20)])
def test_every_matrix_with_the_margins_is_as_likely(rows, columns, number):
    counts = dict.fromkeys(_all_halves(rows, columns), 0)
    assert len(counts) == number
    labels = torch.zeros(columns, dtype=torch.int64)
    for draw in range(20 * number):
        halves = random_halves(rows, labels, generator(0, "halves", draw))
        counts[halves.numpy().tobytes()] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_rows_are_as_good_as_independent():
    shadows, size = 32, 2000
    halves = random_halves(shadows, torch.arange(size) % 10, generator(0, "halves"))
    signs = 2.0 * halves - 1
    correlations = (signs @ signs.T / size)[~torch.eye(shadows, dtype=torch.bool)]
    assert abs(correlations.mean() + 1 / (shadows - 1)) < 1e-6  # fixed by the column sums
    assert abs(correlations.std() * size**0.5 - 1) < 0.1  # as wide as for independent rows
    assert correlations.abs().max() < 5 * size**-0.5  # no row has a twin


@pytest.mark.parametrize("shadows", [0, 1, 3, -2, 2.0, True])
def test_an_odd_number_of_shadows_is_refused(shadows):
    with pytest.raises(ValueError, match=r"allowed are (even|whole) numbers") as error:
        random_halves(shadows, torch.arange(4) % 2, generator(0, "halves"))
    assert repr(shadows) in str(error.value)


def test_a_class_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="labels_of_pool with 3 images of class 1"):
        random_halves(4, torch.tensor([0, 0, 1, 1, 1]), generator(0, "halves"))
