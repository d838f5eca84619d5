"""The tracing statistic against loops, closed forms and what each attacker may know."""

import pytest
import torch

from privacy_for_free.attacks import released_images, roc, tracing
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.shadows.halves import random_halves


def some(K=3, N=40, classes=2, d=5):
    stream = generator(0, "tracing attack")
    mixing = torch.randn((d, d), generator=stream, dtype=torch.float64)
    images = torch.randn((N, d), generator=stream, dtype=torch.float64) @ mixing
    labels = torch.arange(N) % classes
    return images + labels[:, None], labels, torch.randn((K, classes, d), generator=stream).double()


def within(images, labels):
    """Return the covariance within classes, one image at a time."""
    total = torch.zeros((images.shape[1],) * 2, dtype=torch.float64)
    for x, c in zip(images, labels, strict=True):
        y = x - images[labels == c].mean(0)
        total += torch.outer(y, y)
    return total / len(images)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0, "ledoit_wolf"])
def test_same_as_a_loop(shrinkage):
    images, labels, released = some()
    known = tracing.fit(images, labels, 2)
    white = known.whitening(shrinkage)
    scores = tracing.statistic(images, labels, released, known.centres, white)
    spread = white.spread(images - known.centres[labels])
    C, s = within(images, labels), white.shrinkage
    M = torch.linalg.inv((1 - s) * C + s * C.trace() / 5 * torch.eye(5, dtype=torch.float64))
    for i, x in enumerate(images):
        centre = images[labels == labels[i]].mean(0)
        w = M @ (x - centre)
        for k in range(3):
            expected = w @ (released[k, labels[i]] - centre)
            torch.testing.assert_close(scores[k, i], expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(spread[i], (w @ C @ w).sqrt(), rtol=1e-10, atol=1e-10)


def test_without_whitening_it_is_the_class_mean_statistic():
    images, labels, released = some()
    known = tracing.fit(images, labels, 2)
    expected = released_images.class_mean(
        images.reshape(-1, 1, 1, 5), labels, released.reshape(3, 2, 1, 1, 1, 5)
    )
    plain = tracing.statistic(images, labels, released, known.centres)
    torch.testing.assert_close(plain, expected, rtol=1e-10, atol=1e-10)
    whitened = tracing.statistic(images, labels, released, known.centres, known.whitening(1.0))
    torch.testing.assert_close(whitened * known.values.mean(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("N", "d"), [(6, 3), (30, 4), (4, 9)])
def test_ledoit_wolf_is_its_naive_twin(N, d):
    X = torch.randn((N, d), generator=generator(0, "rows", N), dtype=torch.float64)
    X = (X - X.mean(0)) * torch.arange(1, d + 1)
    C = X.mT @ X / N
    error = sum((torch.outer(x, x) - C).square().sum() for x in X) / N**2
    spread = (C - C.trace() / d * torch.eye(d, dtype=torch.float64)).square().sum()
    expected = min(1.0, float(error / spread))
    found = tracing.ledoit_wolf(X.square().sum(1), torch.linalg.eigvalsh(C))
    assert found == pytest.approx(expected, rel=1e-10)


def test_ledoit_wolf_of_a_multiple_of_the_identity_and_of_many_images():
    directions = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    assert (
        tracing.ledoit_wolf(directions.square().sum(1), torch.full((3,), 1 / 3, dtype=torch.float64)) == 1.0
    )
    X = torch.randn((20_000, 3), generator=generator(0, "many"), dtype=torch.float64)
    X = X * torch.tensor([1.0, 3.0, 9.0])
    assert tracing.ledoit_wolf(X.square().sum(1), torch.linalg.eigvalsh(X.mT @ X / len(X))) < 0.01


def test_singular_covariance_needs_shrinkage():
    images, labels, _ = some(N=6, d=5)
    known = tracing.fit(images, labels, 2)
    with pytest.raises(
        ValueError, match=r"shrinkage 0: the covariance of 6 images has rank 4 in 5 .* allowed"
    ):
        known.whitening(0)
    assert torch.isfinite(known.whitening(0.01).precision).all()


def test_disjoint_attacker_uses_of_the_pool_the_image_in_question_only():
    images, labels, released = some()
    known = tracing.fit(images[:20], labels[:20], 2)
    ours, own = images[20:], labels[20:]
    white = known.whitening(0.1)
    whole = tracing.statistic(ours, own, released, known.centres, white)
    others = ours.clone()
    others[1:] = 1e6
    alone = tracing.statistic(others, own, released, known.centres, white)
    torch.testing.assert_close(alone[:, 0], whole[:, 0], rtol=1e-12, atol=1e-12)


def test_scores_of_several_shrinkages_are_the_statistic_and_its_spread():
    images, labels, released = some()
    known = tracing.fit(images[:20], labels[:20], 2)
    found = list(tracing.scores(known, images, labels, released, (0.1, "ledoit_wolf")))
    assert [one.shrinkage for one in found] == [0.1, "ledoit_wolf"]
    assert [one.shrinkage_used for one in found] == [0.1, known.shrinkage]
    for one in found:
        white = known.whitening(one.shrinkage)
        raw = tracing.statistic(images, labels, released, known.centres, white)
        assert torch.equal(one.raw, raw)
        spread = white.spread(images - known.centres[labels])
        torch.testing.assert_close(one.spread, spread, rtol=1e-12, atol=0)
        torch.testing.assert_close(one.standardised, raw / spread, rtol=1e-12, atol=0)


def test_an_image_at_the_centre_has_a_score_of_zero():
    images, labels, released = some(N=8, d=2)
    known = tracing.fit(images, labels, 2)
    (found,) = tracing.scores(known, known.centres, torch.arange(2), released[..., :2], (0.5,))
    assert torch.equal(found.standardised, torch.zeros(3, 2, dtype=torch.float64))


def test_class_means_are_those_of_the_members():
    images, labels, _ = some()
    membership = random_halves(4, labels, generator(0, "class means"))
    found = tracing.class_means(images, labels, membership, 2)
    for k in range(4):
        for c in range(2):
            inside = images[membership[k] & (labels == c)]
            torch.testing.assert_close(found[k, c], inside.mean(0), rtol=1e-12, atol=1e-12)


def test_without_data_is_a_loop():
    images, labels, released = some(classes=2)
    scores = tracing.without_data(images, labels, released)
    for k in range(3):
        centre = (released[k, 0] + released[k, 1]) / 2
        for i, x in enumerate(images):
            expected = (x - centre) @ (released[k, labels[i]] - centre)
            torch.testing.assert_close(scores[k, i], expected, rtol=1e-10, atol=1e-10)


def test_the_more_is_known_the_more_is_found():
    stream = generator(0, "leak")
    root = torch.diag(torch.linspace(0.1, 3, 40, dtype=torch.float64))
    pool, other = (torch.randn((400, 40), generator=stream, dtype=torch.float64) @ root for _ in range(2))
    labels = torch.arange(400) % 2
    members = random_halves(20, labels, stream)
    released = torch.stack([(members & (labels == c)).double() @ pool / 100 for c in range(2)], 1)
    found = {"none": tracing.without_data(pool, labels, released)}
    for name, images in (("pool", pool), ("disjoint", other)):
        known = tracing.fit(images, labels, 2)
        for s in (0.01, 1.0):
            scores = tracing.statistic(pool, labels, released, known.centres, known.whitening(s))
            found[name, s] = scores / known.whitening(s).spread(pool - known.centres[labels])
    aucs = {name: roc.auc(scores, members) for name, scores in found.items()}
    assert aucs["pool", 0.01] > aucs["disjoint", 0.01] > 0.6
    assert aucs["pool", 0.01] > aucs["pool", 1.0] > aucs["disjoint", 1.0] > 0.55
    shuffled = members[:, torch.randperm(400, generator=stream)]
    assert abs(roc.auc(found["pool", 0.01], shuffled) - 0.5) < 0.03


def test_features_are_those_of_the_networks_projected(monkeypatch):
    network = networks.build("convnet", (1, 8, 8), 2, 4)
    embedding = tracing.Embedding.draw(network, 3, 6, seed=0)
    images = torch.randn((2, 2, 3, 1, 8, 8), generator=generator(0, "synthetic"))
    flat = images.flatten(0, 2)
    together = torch.cat([network.features(theta, flat) for theta in embedding.parameters], 1)
    expected = (together @ torch.cat(embedding.projections)).double()
    torch.testing.assert_close(embedding.project(flat), expected, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(tracing, "BYTES", 1)
    torch.testing.assert_close(embedding.project(flat), expected, rtol=1e-4, atol=1e-5)
    means = embedding.means(images)
    assert means.shape == (2, 2, 6)
    torch.testing.assert_close(means[1, 0], expected[6:9].mean(0), rtol=1e-4, atol=1e-5)
    again = tracing.Embedding.draw(network, 3, 6, seed=0)
    torch.testing.assert_close(again.projections[2], embedding.projections[2], rtol=0, atol=0)
    assert not torch.equal(embedding.projections[0], embedding.projections[1])


def test_projection_keeps_inner_products_on_average():
    network = networks.build("linear", (1, 4, 4), 2, 16)
    image = torch.randn((1, 1, 4, 4), generator=generator(0, "one"))
    squares = torch.tensor(
        [
            float(tracing.Embedding.draw(network, 2, 8, seed).project(image).square().sum())
            for seed in range(200)
        ]
    )
    expected = float(image.square().sum())  # each extractor has E theta^T theta = I, and two are averaged
    assert abs(float(squares.mean()) - expected) < 4 * float(squares.std()) / 200**0.5


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, "oracle"])
def test_wrong_shrinkage_is_named(shrinkage):
    images, labels, _ = some()
    with pytest.raises(ValueError, match=rf"shrinkage {shrinkage!r}: allowed are 0 to 1, or 'ledoit_wolf'"):
        tracing.fit(images, labels, 2).whitening(shrinkage)


def test_wrong_shapes_are_named():
    images, labels, released = some()
    centres = torch.zeros((2, 5))
    with pytest.raises(ValueError, match=r"labels: allowed are 0 to 2, each there; missing are \[2\]"):
        tracing.fit(images, labels, 3)
    with pytest.raises(
        ValueError, match=r"labels torch.int64 \(3,\): allowed is N, with N = 40 as of images"
    ):
        tracing.fit(images, labels[:3], 2)
    with pytest.raises(ValueError, match=r"released .* \(3, 2, 4\): allowed is K x classes x d, with d = 5"):
        tracing.statistic(images, labels, released[..., :4], centres)
    with pytest.raises(
        ValueError, match=r"centres .* \(1, 5\): allowed is classes x d, with classes = 2 as of released"
    ):
        tracing.statistic(images, labels, released, centres[:1])
    with pytest.raises(ValueError, match="labels up to 2: allowed are 0 to 1"):
        tracing.without_data(images, labels + 1, released)
    with pytest.raises(ValueError, match="count 0: allowed are whole numbers from 1 up"):
        tracing.Embedding.draw(networks.build("linear", (1, 2, 2), 2, 2), 0, 3, seed=0)


def test_k4_more_classes_than_images_are_refused_before_they_are_counted():
    images, labels, _ = some()
    with pytest.raises(ValueError, match=r"classes 10+: allowed are whole numbers from 1 to 40"):
        tracing.fit(images, labels, 10**15)
    with pytest.raises(ValueError, match=r"classes 10+: allowed are whole numbers from 1 to 40"):
        tracing.class_means(images, labels, random_halves(4, labels, generator(0, "k4")), 10**15)
    with pytest.raises(ValueError, match=r"dimension 10+: allowed are whole numbers from 1 to 65536"):
        tracing.Embedding.draw(networks.build("linear", (1, 2, 2), 2, 2), 1, 10**15, seed=0)


def test_k3_labels_of_no_class_and_classes_without_members_are_refused():
    images, labels, released = some()
    known = tracing.fit(images, labels, 2)
    with pytest.raises(ValueError, match="labels up to 2: allowed are 0 to 1"):
        list(tracing.scores(known, images, labels + 1, released, (0.5,)))
    with pytest.raises(ValueError, match="labels up to 2: allowed are 0 to 1"):
        tracing.statistic(images, labels + 1, released, known.centres)
    with pytest.raises(ValueError, match=r"known of \(2, 5\) centres: allowed are \(1, 5\)"):
        list(tracing.scores(known, images, labels, released[:, :1], (0.5,)))
    members = torch.ones((3, 40), dtype=torch.bool)
    members[1] = labels == 0
    with pytest.raises(
        ValueError, match="membership: half 1 has 0 members of class 1; allowed are one or more"
    ):
        tracing.class_means(images, labels, members, 2)
    with pytest.raises(ValueError, match="do not differ within their classes"):
        tracing.fit(torch.ones(6, 2), torch.arange(6) % 2, 2).whitening(0.5)
    with pytest.raises(ValueError, match=r"images up to 1e\+200: allowed are those with finite squares"):
        tracing.fit(
            torch.tensor([[1e200], [-1e200], [0.0], [1.0]], dtype=torch.float64), torch.arange(4) % 2, 2
        )


def test_k2_images_of_single_precision_are_computed_with_in_double():
    images, labels, released = some()
    images = images.float()
    known = tracing.fit(images, labels, 2)
    white = known.whitening(0.5)
    (found,) = tracing.scores(known, images, labels, released, (0.5,))
    (expected,) = tracing.scores(known, images.double(), labels, released.numpy(), (0.5,))
    assert torch.equal(found.raw, expected.raw)
    assert torch.equal(found.spread, expected.spread)
    assert torch.equal(white.spread(images), white.spread(images.double()))
    with pytest.raises(ValueError, match=r"rows \(40, 4\): allowed are rows of 5 numbers"):
        white.apply(images[:, :4])
    embedding = tracing.Embedding.draw(networks.build("linear", (1, 2, 2), 2, 2), 1, 3, seed=0)
    shown = torch.rand((4, 1, 2, 2), dtype=torch.float64)
    assert torch.equal(embedding.project(shown), embedding.project(shown.float()))
    with pytest.raises(
        ValueError, match=r"images \(4, 1, 2, 1\): allowed are the network's images, \(1, 2, 2\)"
    ):
        embedding.project(shown[..., :1])


def test_k3_shrinkages_are_several_and_lengths_have_finite_squares():
    images, labels, released = some()
    known = tracing.fit(images, labels, 2)
    with pytest.raises(ValueError, match=r"shrinkages 0.5: allowed (are several|is a sequence)"):
        list(tracing.scores(known, images, labels, released, 0.5))
    huge = torch.full((3,), 1e300, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"values up to 1e\+300: allowed are lengths and values"):
        tracing.ledoit_wolf(huge, huge)
