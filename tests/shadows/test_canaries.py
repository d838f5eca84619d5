"""Planted images: who they are, and which releases start from them."""

import pytest
import torch

from privacy_for_free import data, shadows
from privacy_for_free.experiments.common import scaled_publicly
from privacy_for_free.shadows.canaries import KINDS, canary_start, plant


@pytest.fixture(scope="module")
def drawn():
    dataset = data.load("fashion_mnist_mini")
    images, _ = scaled_publicly(dataset, torch.device("cpu"))
    return shadows.draw(images, dataset.train_labels, 400, 8, 5, 10)


def test_planted_images_are_what_they_are_called(drawn):
    found = plant(drawn, 4, 5)
    pool, kinds = found.pool, found.kinds
    ordinary, wrong, strange = (found.of_kind(kind) for kind in KINDS)
    assert kinds.unique().tolist() == [0, 1, 2]
    assert [int(mask.sum()) for mask in (ordinary, wrong, strange)] == [320, 40, 40]
    assert (pool.labels[wrong] != drawn.labels[wrong]).all()
    assert torch.equal(pool.labels[~wrong], drawn.labels[~wrong])
    assert torch.equal(pool.images[~strange], drawn.images[~strange])
    assert torch.equal(pool.images[strange], -drawn.images[strange])
    for c in range(10):
        assert int((wrong & (drawn.labels == c)).sum()) == 4
        assert int((pool.labels == c).sum()) == 40  # the mislabelled are dealt evenly
        assert (pool.membership[:, pool.labels == c].sum(1) == 20).all()  # and the halves balanced anew


def test_the_pool_itself_is_left_as_it_is(drawn):
    before = drawn.images.clone(), drawn.labels.clone()
    plant(drawn, 4, 5)
    assert torch.equal(drawn.images, before[0])
    assert torch.equal(drawn.labels, before[1])


@pytest.mark.parametrize("ipc", [1, 3])
def test_the_start_takes_planted_members_first(drawn, ipc):
    planted = plant(drawn, 4, 5)
    start = canary_start(planted, ipc, 0)
    for k in range(8):
        for c in range(10):
            chosen = start[k, c]
            assert len(set(chosen.tolist())) == ipc
            assert planted.pool.membership[k, chosen].all()
            assert (planted.pool.labels[chosen] == c).all()
            candidates = planted.pool.membership[k] & (planted.pool.labels == c) & (planted.kinds > 0)
            assert int((planted.kinds[chosen] > 0).sum()) == min(ipc, int(candidates.sum()))


@pytest.mark.parametrize("planted", [-1, 21, 10**12, "4", 2.0])
def test_k3_more_canaries_than_there_are_images_are_refused(drawn, planted):
    with pytest.raises(ValueError, match=f"planted {planted!r}: allowed are whole numbers"):
        plant(drawn, planted, 5)


def test_k3_a_start_of_more_members_than_there_are_is_refused(drawn):
    with pytest.raises(ValueError, match="ipc 21: allowed are whole numbers from 1 to 20"):
        canary_start(plant(drawn, 4, 5), 21, 0)
