"""Functions that a caller gives may return anything: one error names the function and the step."""

import numpy as np
import pytest
import torch

from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.core.randomness import generator
from privacy_for_free.theory import kernel, linear, stability

REAL = torch.randn((5, 3), generator=generator(0, "real"), dtype=torch.float64)
THETA = torch.randn((2, 4, 3), generator=generator(0, "theta"), dtype=torch.float64)


def late(good, bad):
    return lambda step: bad if step == 2 else good


def descend(extractors=THETA, **more):
    return linear.descend(REAL[:2], REAL, extractors, 4, 0.01, **more)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (THETA.float(), r"float32 \(2, 4, 3\): allowed is torch.float64, any number x any number x 3"),
        (THETA[0], r"float64 \(4, 3\): allowed is torch.float64, any number x any number x 3"),
        (THETA[:, :, :2], r"float64 \(2, 4, 2\)"),
        (THETA * torch.nan, "nan at"),
        (None, "None: allowed is a torch tensor"),
        (THETA[:0], r"\(0, 4, 3\)"),
    ],
)
def test_k3_extractors_of_a_step_that_are_none_are_refused(bad, message):
    with pytest.raises(ValueError, match=rf"^extractors\(2\).*{message}"):
        descend(late(THETA, bad))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.tensor([0, 5]), "0 to 5: allowed are 0 to 4"),
        (torch.tensor([-1, 2]), "-1 to 2: allowed are 0 to 4"),
        (torch.tensor([0.0, 1.0]), r"float32 \(2,\): allowed is torch.int64"),
        (torch.ones(5).bool(), r"bool \(5,\): allowed is torch.int64"),
        (torch.zeros((2, 2)).long(), r"\(2, 2\): allowed is torch.int64, any number"),
        (torch.zeros(0).long(), r"\(0,\): allowed is torch.int64, any number"),
        ([0, 1], "list .*: allowed is a torch tensor or a numpy array"),
    ],
)
def test_k3_batches_of_a_step_that_are_none_are_refused(bad, message):
    with pytest.raises(ValueError, match=rf"^batches\(2\).*{message}"):
        descend(batches=late(torch.tensor([0, 1]), bad))


def test_indices_of_a_batch_may_come_from_numpy():
    expected = descend(batches=lambda step: torch.tensor([0, step]))
    assert torch.equal(descend(batches=lambda step: np.array([0, step], dtype=np.int32)), expected)


@pytest.mark.parametrize("bad", [lambda s: None, lambda s: torch.optim.SGD([torch.zeros(2)], lr=1.0)])
def test_k3_what_is_no_optimiser_of_the_set_is_refused(bad):
    with pytest.raises(ValueError, match=r"^optimiser\(\[S\]\) .*: allowed is a torch optimiser of S alone"):
        descend(optimiser=bad)


def test_k1_a_descent_that_stops_being_finite_says_at_which_step():
    with pytest.raises(DivergenceError, match=r"step_size 1e\+200, step 1: the set is not finite"):
        linear.descend(REAL[:2], REAL, THETA, 9, 1e200)
    with pytest.raises(DivergenceError, match=r"step_size 1e\+200, step 1: the path is not finite"):
        stability.descend(lambda rows: rows**2, (REAL**2).mean(0), REAL[:2], 9, 1e200)


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        (lambda rows: rows.sum(), r"float64 \(\): allowed is torch.float64, [25] x"),
        (lambda rows: rows[:1], r"\(1, 3\): allowed is torch.float64, [25] x"),
        (lambda rows: rows.float(), "torch.float32"),
        (lambda rows: rows / 0, "(inf|-inf) at"),
        (lambda rows: rows.numpy(), "ndarray"),
    ],
)
def test_k3_features_that_are_none_are_refused(extractor, message):
    for name, call in {
        "initial": lambda: stability.descend(extractor, torch.zeros(3).double(), REAL[:2], 2, 0.1),
        "real": lambda: stability.shift_path(extractor, REAL, 0, REAL[:2], 2, 0.1),
    }.items():
        with pytest.raises(ValueError, match=rf"^extractor\({name}\).*{message}"):
            call()


@pytest.mark.parametrize("bad", [lambda x, z: x, lambda x, z: (x @ z.mT).float(), lambda x, z: x @ z.mT / 0])
def test_k3_a_gram_matrix_that_is_none_is_refused(bad):
    for call in (
        lambda: kernel.mmd_squared(bad, REAL, REAL[:2]),
        lambda: kernel.mmd_gradient(bad, REAL, REAL[:2]),
        lambda: kernel.mean_embedding_shift(bad, REAL),
        lambda: kernel.mean_embedding_bound(bad, REAL),
    ):
        with pytest.raises(ValueError, match=r"^kernel\(.*allowed"):
            call()
