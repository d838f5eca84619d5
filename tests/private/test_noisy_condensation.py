"""The mechanisms against slow twins: what is clipped, what is noise, what is matched, and who draws what."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy_for_free.condensation.loop import DivergenceError, Run
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core import compiling
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.private import noisy_condensation as nc
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.noisy_condensation import matching, members, sums
from privacy_for_free.private.noisy_condensation.ndpdc import NoisyMatcher

NDPDC = nc.NDPDC(noise_multiplier=0.7, sample=6, iterations=3, width=4, learning_rate=0.1)
ONE = nc.OneRelease(
    noise_multiplier=0.5,
    bound=0.05,
    extractors=3,
    width=4,
    centre=5,
    iterations=3,
    learning_rate=500.0,
    batch=2,
)
ALL = {
    "linear": (nc.condense_linear, nc.Linear(0.5)),
    "ldpdc": (nc.condense_ldpdc, nc.LDPDC(sample=6)),
    "ndpdc": (nc.condense_ndpdc, NDPDC),
    "one_release": (nc.condense_one_release, ONE),
}


def problem(sets=2, ipc=2, classes=3, count=60, channels=1, size=8, seed=0, dtype=torch.float64, names=None):
    images = torch.rand((count, channels, size, size), generator=generator(seed, "pool"), dtype=dtype) * 2 - 1
    labels = torch.arange(count) % classes
    membership = torch.rand((sets, count), generator=generator(seed, "halves")) < 0.7
    return Problem.of(images, labels, membership, ipc, "noise", 5, names=names, noise="seed")


def counts(case):
    return torch.stack([torch.bincount(case.labels[row], minlength=case.classes) for row in case.membership])


# --- clipping and noise -------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    ),
    bound=st.floats(1e-6, 1e6),
)
def test_clipping_holds_for_every_example(rows, bound):
    clipped = sums.clip(torch.tensor(rows, dtype=torch.float64), bound)
    assert clipped.dtype == torch.float64
    for row, original in zip(clipped.tolist(), rows, strict=True):
        assert math.hypot(*row) <= bound
        if math.hypot(*original) <= bound * (1 - 1e-8):
            assert row == original


def test_clipping_keeps_directions_and_its_gradient_is_right():
    vectors = torch.randn((6, 5), generator=generator(0, "v"), dtype=torch.float64)
    vectors[3:] *= 0.01
    clipped = sums.clip(vectors, 0.5)
    for v, c in zip(vectors, clipped, strict=True):
        torch.testing.assert_close(c, v * min(1.0, 0.5 / float(v.norm())), rtol=1e-8, atol=0)
    vectors.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: sums.clip(v, 0.5), vectors)


def test_clipping_by_constant_factors_has_their_gradient():
    vectors = torch.tensor([[3.0, 4.0], [0.1, 0.0]], dtype=torch.float64, requires_grad=True)
    clipped = sums.clip_by_constant(vectors, 1.0)
    torch.testing.assert_close(clipped, sums.clip(vectors, 1.0))
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((clipped * weights).sum(), vectors)
    torch.testing.assert_close(gradient, weights * torch.tensor([[0.2], [1.0]]).double(), rtol=1e-6, atol=0)


def test_sums_are_of_clipped_rows_by_class():
    vectors = torch.randn((7, 4), generator=generator(0, "v"))
    classes = torch.tensor([0, 2, 2, 0, 2, 0, 0])
    found = sums.noisy_sums(vectors, classes, 3, 1.5, 0.0, generator(0, "n"))
    expected = torch.zeros((3, 4), dtype=torch.float64)
    for v, c in zip(vectors.double(), classes.tolist(), strict=True):
        expected[c] += v * min(1.0, 1.5 / float(v.norm()))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_one_example_moves_a_sum_by_at_most_the_bound():
    vectors = torch.randn((9, 4), generator=generator(0, "v")) * 100
    classes = torch.zeros(9, dtype=torch.int64)
    whole = sums.noisy_sums(vectors, classes, 1, 0.25, 0.0, generator(0, "n"))
    for i in range(9):
        keep = torch.arange(9) != i
        less = sums.noisy_sums(vectors[keep], classes[keep], 1, 0.25, 0.0, generator(0, "n"))
        assert float((whole - less).norm()) <= 0.25 * (1 + 1e-9)


def test_noise_has_the_stated_spread_and_is_normal():
    empty, none = torch.zeros((0, 500)), torch.zeros(0, dtype=torch.int64)
    noise = sums.noisy_sums(empty, none, 20, 3.0, 1.7, generator(0, "spread"))
    assert noise.shape == (20, 500)
    assert stats.kstest((noise / (3.0 * 1.7)).flatten().numpy(), "norm").pvalue > 0.01
    # 10,000 draws: a standard deviation is known to 0.7 %.
    assert float(noise.std()) == pytest.approx(5.1, rel=0.03)


def test_a_poisson_sample_takes_each_member_independently():
    members, rate, draws = torch.arange(0, 40, 2), 0.3, 2000
    taken = torch.zeros(40)
    sizes = []
    for i in range(draws):
        sample = sums.poisson_sample(members, rate, generator(0, "sample", i))
        taken[sample] += 1
        sizes.append(len(sample))
    assert taken[1::2].sum() == 0
    spread = math.sqrt(rate * (1 - rate) / draws)
    assert float((taken[::2] / draws - rate).abs().max()) < 4.5 * spread
    sizes = torch.tensor(sizes).double()
    assert float(sizes.var()) == pytest.approx(20 * rate * (1 - rate), rel=0.15)  # binomial, not fixed
    assert len(sums.poisson_sample(members, 1.0, generator(0, "sample"))) == 20


# --- mechanisms ---------------------------------------------------------------------------------------


def test_linear_releases_noisy_means_and_moves_the_initial_images_there():
    case = problem(ipc=4)
    found = nc.condense_linear(case, nc.Linear(0.5, bound=3.0))
    start, _ = initialise(case)
    n = counts(case)
    for k in range(2):
        noise = torch.randn((3, 64), generator=case.generator("linear noise", k), dtype=torch.float64) * 1.5
        for c in range(3):
            members = [i for i in range(60) if case.membership[k, i] and case.labels[i] == c]
            total = noise[c].clone()
            for i in members:
                x = case.images[i].flatten()
                total += x * min(1.0, 3.0 / float(x.norm()))
            mean = total / int(n[k, c])
            torch.testing.assert_close(found.images[k, c].mean(0).flatten(), mean, rtol=1e-7, atol=1e-9)
            shape = found.images[k, c] - found.images[k, c, :1]
            torch.testing.assert_close(shape, start[k, c] - start[k, c, :1], rtol=1e-7, atol=1e-9)


def test_ldpdc_is_the_published_formula():
    case = problem(ipc=3)
    found = nc.condense_ldpdc(case, nc.LDPDC(2.0, sample=6))
    n = counts(case)
    for k in range(2):
        for j in range(3):
            noise = torch.randn((3, 64), generator=case.generator("ldpdc noise", k, j), dtype=torch.float64)
            for c in range(3):
                members = [i for i in range(60) if case.membership[k, i] and case.labels[i] == c]
                draws = torch.rand(
                    len(members), generator=case.generator("ldpdc sample", k, j, c), dtype=torch.float64
                )
                total = 2.0 * 8 * noise[c]  # sigma~ sqrt(d)
                for i, u in zip(members, draws.tolist(), strict=True):
                    if u < 6 / int(n[k, c]):
                        total = total + case.images[i].flatten()
                torch.testing.assert_close(found.images[k, c, j].flatten(), total / 6, rtol=1e-7, atol=1e-7)


def embed(case, theta, transform, images, width):
    network = networks.build("convnet", case.images.shape[1:], case.classes, width)
    return torch.stack(
        [network.features(theta, augmentation.apply(transform, image[None]))[0] for image in images]
    )


def test_ndpdc_is_the_published_loss_and_gradient():
    case = problem(sets=2, ipc=2)
    matcher = NoisyMatcher(case, NDPDC, counts(case))
    images, _ = initialise(case)
    losses, gradient = matcher.loss_and_gradient(1, images)
    network = networks.build("convnet", case.images.shape[1:], 3, 4)
    theta = network.initial(case.generator("ndpdc extractor", 1), torch.float64, classifier=False)
    n = counts(case)
    expected = torch.zeros(2, dtype=torch.float64)
    pixels = images.clone().requires_grad_(True)
    for k in range(2):
        noise = torch.randn(
            (3, network.feature_dim), generator=case.generator("ndpdc noise", k, 1), dtype=torch.float64
        )
        loss = 0
        for c in range(3):
            transform = augmentation.draw(
                augmentation.STRATEGY, 1, case.generator("ndpdc augmentation", 1, c)
            )
            members = [i for i in range(60) if case.membership[k, i] and case.labels[i] == c]
            draws = torch.rand(
                len(members), generator=case.generator("ndpdc sample", k, 1, c), dtype=torch.float64
            )
            real = 0.7 * noise[c]
            for i, u in zip(members, draws.tolist(), strict=True):
                if u < 6 / int(n[k, c]):
                    feature = embed(case, theta, transform, case.images[i][None], 4)[0]
                    real = real + feature * min(1.0, 1 / float(feature.norm()))
            synthetic = embed(case, theta, transform, pixels[k, c], 4)
            factor = (1 / synthetic.detach().norm(dim=1)).clamp(max=1)
            loss = loss + ((real - 6 / 2 * (synthetic * factor[:, None]).sum(0)) ** 2).sum()
        expected[k] = loss.detach()
        loss.backward()
    torch.testing.assert_close(losses, expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradient, pixels.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("centre", [0, 5])
def test_one_release_is_one_noisy_sum_of_joint_features(centre):
    case = problem(sets=2, ipc=2)
    parameters = dataclasses.replace(ONE, centre=centre)
    release = nc.ReleasedMeans(case, parameters, counts(case))
    joint = torch.cat([release.extractors.joint(r, case.images) for r in range(3)], 1)
    norms = joint.norm(dim=1)
    assert float(norms.max()) <= 0.05
    assert float(norms.max()) > 0.049  # it is reached
    D = release.extractors.features.network.feature_dim
    n = counts(case)
    for k in range(2):
        noise = torch.cat(
            [
                torch.randn((3, D), generator=case.generator("one_release noise", k, r), dtype=torch.float64)
                for r in range(3)
            ],
            1,
        )
        for c in range(3):
            mine = case.membership[k] & (case.labels == c)
            expected = (joint[mine].sum(0) + 0.5 * 0.05 * noise[c]) / int(n[k, c])
            torch.testing.assert_close(release.means[k, c].flatten(), expected, rtol=1e-7, atol=1e-9)
    # Joint features, image by image: extractor, transform and centre of its own number.
    network = release.extractors.features.network
    for r in range(3):
        theta = network.initial(case.generator("one_release extractor", r), torch.float64, classifier=False)
        transform = augmentation.draw(augmentation.STRATEGY, 1, case.generator("one_release augmentation", r))
        feature = embed(case, theta, transform, case.images[:1], 4)[0]
        if centre:
            noise = torch.randn(
                (5, 1, 8, 8), generator=case.generator("one_release centre", r), dtype=torch.float64
            )
            feature = feature - embed(case, theta, transform, noise, 4).mean(0)
        expected = feature * min(1.0, 0.05 / math.sqrt(3) / float(feature.norm()))
        torch.testing.assert_close(joint[0, r * D : (r + 1) * D], expected, rtol=1e-7, atol=1e-9)


def test_one_release_matches_the_chosen_extractors():
    case = problem(sets=2, ipc=2)
    release = nc.ReleasedMeans(case, ONE, counts(case))
    images, _ = initialise(case)
    losses, gradient = release.loss_and_gradient(4, images)
    chosen = torch.randperm(3, generator=case.generator("one_release batch", 4))[:2].tolist()
    pixels = images.clone().requires_grad_(True)
    expected = torch.zeros(2, dtype=torch.float64)
    for k in range(2):
        for c in range(3):
            for r in chosen:
                mean = sum(release.extractors.joint(r, pixels[k, c, j][None])[0] for j in range(2)) / 2
                expected[k] = expected[k] + 3 / 2 * (release.means[k, c, r] - mean).square().sum()
    (twin,) = torch.autograd.grad(expected.sum(), pixels)
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, twin, rtol=1e-7, atol=1e-11)


def test_after_the_release_the_data_is_not_read():
    case = problem(sets=1)
    release = nc.ReleasedMeans(case, ONE, counts(case))
    images, _ = initialise(case)
    before = release.loss_and_gradient(0, images)
    case.images.fill_(math.nan)
    after = release.loss_and_gradient(0, images)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_sums_computed_once_serve_every_noise_and_number_of_images():
    for ipc, z in ((2, 0.5), (3, 4.0)):
        case = problem(sets=2, ipc=ipc)
        parameters = dataclasses.replace(ONE, noise_multiplier=z)
        shared = nc.clipped_feature_sums(
            problem(sets=2, ipc=1), dataclasses.replace(ONE, noise_multiplier=0.0)
        )
        found, twin = (nc.condense_one_release(case, parameters, sums=s) for s in (shared, None))
        assert torch.equal(found.images, twin.images)


@pytest.mark.parametrize("chunk", [1, 4, 5, 100])
def test_matching_in_parts_is_matching_at_once(chunk):
    images = torch.rand((2, 3, 2, 1, 4, 4), generator=generator(0, "parts"), dtype=torch.float64)

    def loss(part, classes, rows):
        assert [row % 3 for row in range(rows.start, rows.stop)] == classes
        weight = torch.tensor(classes, dtype=part.dtype) + torch.arange(6)[rows]
        return weight * part.square().flatten(1).sum(1)

    losses, gradient = matching.match(images, chunk, loss)
    weight = (torch.arange(3) + torch.arange(6).view(2, 3)).double()
    torch.testing.assert_close(losses, (weight * images.square().flatten(2).sum(2)).sum(1))
    torch.testing.assert_close(gradient, 2 * images * weight[..., None, None, None, None])


@pytest.fixture
def compiler():
    if not compiling.available():
        pytest.skip("no compiler on this machine")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("method", ["ndpdc", "one_release"])
def test_compiled_and_plain_agree(method):
    condense, parameters = ALL[method]
    case = problem(sets=1, dtype=torch.float32)
    parameters = dataclasses.replace(parameters, iterations=1)
    plain, fast = (condense(case, dataclasses.replace(parameters, compile=c)) for c in (False, True))
    torch.testing.assert_close(fast.images, plain.images, rtol=1e-3, atol=1e-4)


def test_matching_without_noise_comes_closer():
    case = problem(sets=1, ipc=4, count=30)
    parameters = dataclasses.replace(ONE, noise_multiplier=0.0, iterations=60, batch=3)
    found = nc.condense_one_release(case, parameters)
    assert float(found.loss[0, -1]) < 0.3 * float(found.loss[0, 0])


# --- all of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
def test_shapes_names_and_determinism(method):
    condense, parameters = ALL[method]
    both = condense(problem(dtype=torch.float32), parameters)
    assert both.images.shape == (2, 3, 2, 1, 8, 8)
    assert both.images.dtype == torch.float32
    assert both.labels[1].tolist() == [[c, c] for c in range(3)]
    assert (both.initial == -1).all()
    assert torch.isfinite(both.images).all()
    assert torch.equal(condense(problem(dtype=torch.float32), parameters).images, both.images)
    case = problem(dtype=torch.float32)
    alone = dataclasses.replace(case, membership=case.membership[1:], names=(1,))
    torch.testing.assert_close(condense(alone, parameters).images[0], both.images[1], rtol=1e-4, atol=1e-5)
    other = dataclasses.replace(case, seed=6)
    assert not torch.equal(condense(other, parameters).images, both.images)


@pytest.mark.parametrize("method", ALL)
def test_the_global_generator_is_left_alone_and_draws_are_not_shared(method, monkeypatch):
    condense, parameters = ALL[method]
    case, drawn = problem(), []
    original = type(case).generator

    def spy(self, purpose, *index, device="cpu"):
        drawn.append((purpose, *index))
        return original(self, purpose, *index, device=device)

    monkeypatch.setattr(type(case), "generator", spy)
    state = torch.get_rng_state()
    condense(case, parameters)
    assert torch.equal(torch.get_rng_state(), state)
    noise = [name for name in drawn if name[0] == f"{method} noise"]
    assert len(noise) == len(set(noise)) > 0  # made once each: a noise is never drawn a second time
    assert {name[0] for name in drawn} <= {"initial noise"} | {
        f"{method} {purpose}"
        for purpose in ("noise", "sample", "extractor", "augmentation", "centre", "batch")
    }


@pytest.mark.parametrize("method", ALL)
def test_another_image_of_another_class_changes_nothing_here(method):
    """An example enters the sums of its own class only (steps draw no joint factor from all classes)."""
    condense, parameters = ALL[method]
    case = problem(sets=1)
    images = case.images.clone()
    images[0] = 1.0  # of class 0
    changed = dataclasses.replace(case, images=images)
    before, after = condense(case, parameters).images, condense(changed, parameters).images
    torch.testing.assert_close(before[:, 1:], after[:, 1:], rtol=1e-9, atol=1e-12)


def test_the_released_noise_has_the_stated_spread():
    case = problem(sets=1, count=30)
    parameters = dataclasses.replace(ONE, extractors=100)
    quiet = nc.ReleasedMeans(case, dataclasses.replace(parameters, noise_multiplier=0.0), counts(case))
    loud = nc.ReleasedMeans(case, parameters, counts(case))
    noise = (loud.means - quiet.means)[0] * counts(case)[0][:, None, None] / (0.5 * 0.05)
    assert noise.numel() == 1200
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    assert float(noise.std()) == pytest.approx(1, rel=0.07)


def test_mechanisms_say_what_they_release():
    n = torch.tensor([6000, 5000])
    assert nc.LDPDC().mechanism(n, 50) == Mechanism(1.0, 50, 50 / 5000)
    assert nc.NDPDC().mechanism(n, 10) == Mechanism(3.46, 10_000, 50 / 5000)
    assert nc.OneRelease(3.0).mechanism(n, 10) == Mechanism(3.0)
    assert nc.Linear(2.0, adjacency="replace_one").mechanism(n, 7) == Mechanism(2.0, adjacency="replace_one")


def test_a_killed_run_goes_on_bitwise(tmp_path, monkeypatch):
    case = problem(sets=1)
    for condense, parameters in (ALL["ndpdc"], ALL["one_release"]):
        whole = condense(case, dataclasses.replace(parameters, iterations=4))
        path = tmp_path / condense.__name__
        run = Run(checkpoint=path, every=2)
        original = matching.descend

        def stop(*arguments, original=original):
            step = arguments[6]

            def dies(index):
                if index == 2:
                    raise KeyboardInterrupt
                return step(index)

            return original(*arguments[:6], dies, *arguments[7:])

        monkeypatch.setattr(matching, "descend", stop)
        with pytest.raises(KeyboardInterrupt):
            condense(case, dataclasses.replace(parameters, iterations=4), run)
        monkeypatch.setattr(matching, "descend", original)
        resumed = condense(case, dataclasses.replace(parameters, iterations=4), run)
        assert torch.equal(resumed.images, whole.images)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1))
def test_public_scale(value):
    assert -1 <= float(nc.scale_publicly(torch.tensor(value, dtype=torch.float64))) <= 1
    assert nc.scale_publicly(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nc.Linear(-1.0), "noise_multiplier -1.0"),
        (lambda: nc.Linear(1.0, bound=0.0), "bound 0.0: allowed are finite numbers above 0"),
        (lambda: nc.LDPDC(sample=0), "sample 0: allowed are whole numbers from 1 up"),
        (lambda: nc.NDPDC(adjacency="both"), "adjacency 'both'"),
        (lambda: nc.NDPDC(momentum=1.0), "momentum 1.0"),
        (lambda: nc.NDPDC(augmentation="blur"), "augmentation 'blur'"),
        (lambda: nc.NDPDC(learning_rate=math.inf), "learning_rate inf"),
        (lambda: nc.OneRelease(extractors=2, batch=3), "batch 3: allowed are 1 to 2"),
        (lambda: nc.OneRelease(centre=-1), "centre -1: allowed are whole numbers from 0 up"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", ALL)
def test_bad_problems(method):
    condense, parameters = ALL[method]
    case = dataclasses.replace(problem(), init="real")
    with pytest.raises(ValueError, match="init 'real': allowed is 'noise'"):
        condense(case, parameters)
    case = dataclasses.replace(problem(), start=torch.zeros(problem().shape, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"start torch.float64 .*: allowed is None"):
        condense(case, parameters)
    if hasattr(parameters, "sample"):
        with pytest.raises(ValueError, match="sample 50: allowed are 1 to"):
            condense(problem(), dataclasses.replace(parameters, sample=50))


def test_divergence_is_reported():
    case = problem(dtype=torch.float32)
    one = dataclasses.replace(ONE, bound=50.0, learning_rate=3e38)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        nc.condense_one_release(case, one)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        nc.condense_ndpdc(case, dataclasses.replace(NDPDC, learning_rate=3e38))


def test_k1_a_range_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="images from nan to nan: allowed are images in"):
        members.check_range(torch.tensor([0.5, torch.nan]))
