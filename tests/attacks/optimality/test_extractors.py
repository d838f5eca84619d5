import pytest
import torch
from tests.attacks.optimality import material

from privacy_for_free.attacks import optimality
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation


def test_draws_are_those_of_their_streams():
    extractors = material.drawn("crop_flip", 3, 5)
    assert len(extractors) == 3
    for r in range(3):
        wanted = material.smooth().initial(generator(5, "optimality extractor", r), classifier=False)
        assert all(torch.equal(extractors.weights[r][name], value) for name, value in wanted.items())
        transform = augmentation.draw("crop_flip", 1, generator(5, "optimality augmentation", r))
        assert extractors.transforms[r].kind == transform.kind
        assert torch.equal(extractors.transforms[r].uniform, transform.uniform)
    assert material.drawn().transforms is None


def test_features_are_the_network_s(monkeypatch):
    extractors, images = material.drawn("rotate", 2), material.images(5, "pool")
    whole = extractors.features(1, images)
    torch.testing.assert_close(whole, material.embedding(extractors, 1)(images))
    monkeypatch.setattr(optimality.Extractors, "chunk", lambda self, dtype: 2)
    torch.testing.assert_close(extractors.features(1, images), whole)


@pytest.mark.parametrize("strategy", ["", "color_scale"])
def test_linear_tracing_is_the_inner_product_with_the_gap(strategy):
    extractors = material.drawn(strategy, 3)
    pool, released = material.images(12, "pool"), material.images(2, "released")
    expected = 0
    for r in range(3):
        features = material.embedding(extractors, r)(pool)
        gap = material.embedding(extractors, r)(released).mean(0) - features.mean(0)
        expected = expected + (features - features.mean(0)) @ gap / 3
    torch.testing.assert_close(optimality.linear_tracing(extractors, pool, released), expected)


def test_some_features_stand_for_all():
    some = optimality.Extractors.draw(material.smooth(), 40, 0, "flip", 5)
    images = material.images(4, "pool")
    assert some.width == 5
    assert all(len(one.unique()) == 5 for one in some.chosen)
    whole = optimality.Extractors(some.network, some.weights, some.transforms)
    assert whole.width == material.smooth().feature_dim
    gram = lambda one: sum(one.features(r, images) @ one.features(r, images).T for r in range(40))  # noqa: E731
    torch.testing.assert_close(gram(some), gram(whole), rtol=0.2, atol=0.1 * float(gram(whole).max()))
    pool, released = material.images(8, "pool"), material.images(1, "released")
    made = optimality.equations(some, pool, released, 4)
    torch.testing.assert_close(made.dense(), material.naive(some, pool, released, 4)[0])


def test_what_is_no_extractor_is_refused():
    drawn = material.drawn("crop", 2)
    with pytest.raises(ValueError, match=r"^weights of type tuple: allowed are a tuple of one or more"):
        optimality.Extractors(drawn.network, ())
    with pytest.raises(ValueError, match=r"^transforms: 1 for 2 weights; allowed are None, or one for each"):
        optimality.Extractors(drawn.network, drawn.weights, drawn.transforms[:1])
    with pytest.raises(ValueError, match=r"^count 0: allowed are whole numbers from 1 "):
        optimality.Extractors.draw(drawn.network, 0, 0)
    with pytest.raises(ValueError, match=r"^chosen: 1 for 2 weights; allowed are None, or one for each"):
        optimality.Extractors(drawn.network, drawn.weights, None, (torch.arange(2),))
    with pytest.raises(ValueError, match=r"^features 13: allowed are whole numbers from 1 to 12"):
        optimality.Extractors.draw(drawn.network, 1, 0, features=13)
    with pytest.raises(ValueError, match=r"augmentation 'blur': known are"):
        optimality.Extractors.draw(drawn.network, 1, 0, "blur")
