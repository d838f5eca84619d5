"""What the arguments of entrances look like: a small example for each name of a parameter.

An entrance whose parameters have names of this vocabulary is tested without being named anywhere. A name that
means something else in one module stands under "module.name", in one function under "module.function.name".
Values are made anew for each call.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING

import numpy as np
import torch

from privacy_for_free import shadows
from privacy_for_free.attacks import evaluation, identification, image_distance, optimality, tracing
from privacy_for_free.attacks.image_distance.nearest import Release
from privacy_for_free.condensation import DM, KIP, BankedDM, Problem
from privacy_for_free.condensation.gan import GAN
from privacy_for_free.condensation.gradient_matching import GradientMatching
from privacy_for_free.core.randomness import generator
from privacy_for_free.nets import networks
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.private import noisy_condensation
from privacy_for_free.private.accounting import Mechanism
from privacy_for_free.private.dp_merf import DPMERF
from privacy_for_free.private.dp_sgd import DPSGD
from privacy_for_free.private.secret_start import SecretStart
from privacy_for_free.shadows import canaries
from privacy_for_free.stats import intervals
from privacy_for_free.theory import gibbs_models, kernel, langevin, linear_case, stability, tracing_prediction
from privacy_for_free.theory import tracing as law_of_tracing

N, SIDE, CLASSES, MODELS, D = 24, 12, 2, 8, 6
SECRET = 2**61 + 7


def drawn(*shape: int, purpose: str = "drawn", dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=generator(0, purpose), dtype=torch.float64).to(dtype)


def normal(*shape: int, purpose: str = "normal", dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=generator(0, purpose), dtype=torch.float64).to(dtype)


def images(count: int = N, purpose: str = "images") -> torch.Tensor:
    return drawn(count, 1, SIDE, SIDE, purpose=purpose)


def labels(count: int = N) -> torch.Tensor:
    return torch.arange(count) % CLASSES


def membership() -> torch.Tensor:
    return shadows.random_halves(MODELS, labels(), generator(0, "halves"))


def network() -> networks.Network:
    return networks.build("convnet", (1, SIDE, SIDE), CLASSES, 4)


def weights() -> dict[str, torch.Tensor]:
    return network().initial(generator(0, "weights"), torch.float32)


def pool() -> shadows.Pool:
    return shadows.Pool(images(), labels(), membership(), torch.arange(N), CLASSES)


def schedule() -> Schedule:
    return Schedule(epochs=2, batch=8)


def dm() -> DM:
    return DM(iterations=2, width=4, batch_real=4)


def problem(init: str = "noise", sets: int = 2, **more: object) -> Problem:
    given = images() * 2 - 1
    return Problem.of(given, labels(), membership()[:sets], 2, init, SECRET, **more)


def release() -> Release:
    shown = drawn(MODELS, CLASSES, 2, 1, SIDE, SIDE, purpose="shown")
    return Release("dm", "noise", {0: shown}, torch.full((MODELS, CLASSES, 2), -1))


def attempt() -> evaluation.Attempt:
    return evaluation.on_networks(normal(MODELS, N, purpose="statistics"))[0]


def outcome(seed: int = 0) -> evaluation.Outcome:
    statistics = normal(MODELS, N, purpose=f"statistics {seed}") + membership()
    everyone = {"all": torch.ones(MODELS, N, dtype=torch.bool)}
    made = evaluation.evaluate(attempt().attack, statistics, membership(), everyone, resamples=20)
    return made["all"]


def equations() -> optimality.Equations:
    extractors = optimality.Extractors.draw(network(), 2, 0)
    return optimality.equations(extractors, images(), images(2, "start"), 12)


def rows() -> torch.Tensor:
    return normal(N, D, purpose="rows")


def real_rows() -> torch.Tensor:
    return normal(10, 2, purpose="real rows") / 4


def covariance() -> torch.Tensor:
    root = normal(D, D, purpose="covariance")
    return root @ root.T / D


def network64(index: int) -> dict[str, torch.Tensor]:
    return network().initial(generator(index, "weights"), torch.float64)


def gradient_matching() -> GradientMatching:
    return GradientMatching(iterations=1, width=4, batch_real=4, outer_loop=2, inner_loop=1, batch_train=4)


def merf() -> DPMERF:
    return DPMERF(1.0, features=8, code=2, hidden=(4,), epochs=1, batch=8)


def dp_sgd() -> DPSGD:
    return DPSGD(1.0, sample=4, steps=2)


def ndpdc() -> noisy_condensation.NDPDC:
    return noisy_condensation.NDPDC(1.0, sample=2, width=4, iterations=2)


def one_release() -> noisy_condensation.OneRelease:
    return noisy_condensation.OneRelease(1.0, extractors=2, width=4, iterations=2)


def answer(names: Iterable[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for name in names:
        yield normal(N, 1, purpose=f"answer {name}"), labels() == 0


def case() -> linear_case.Case:
    stream = VOCABULARY["draw"]()
    real, initial = drawn(20, D, purpose="real", dtype=torch.float64), drawn(4, D, purpose="start").double()
    return linear_case.Case(real, initial, 3, 5000, 50, stream)


def wide_extractor() -> stability.SmoothExtractor:
    return stability.smooth_extractor(30, 2, 2, generator(0, "smooth"))


def extractor() -> stability.SmoothExtractor:
    return stability.smooth_extractor(3, 2, D, generator(0, "smooth"))


VOCABULARY: dict[str, Callable[[], object]] = {
    # images, who they are and who is a member
    "images": images,
    "labels": labels,
    "membership": membership,
    "candidates": lambda: images(purpose="candidates"),
    "synthetic": lambda: drawn(MODELS, CLASSES, 2, 1, SIDE, SIDE, purpose="synthetic"),
    "generator": lambda: generator(0, "given"),
    "seed": lambda: 3,
    "classes": lambda: CLASSES,
    "ipc": lambda: 2,
    "init": lambda: "real",
    "method": lambda: "dm",
    "network": network,
    "weights": weights,
    "schedule": schedule,
    "pool": pool,
    "problem": problem,
    "device": lambda: "cpu",
    "names": lambda: None,
    "count": lambda: 3,
    "sets": lambda: 2,
    # what attackers measure
    "statistics": lambda: normal(MODELS, N, purpose="statistics") + membership(),
    "scores": lambda: normal(MODELS, N, purpose="scores") + membership(),
    "losses": lambda: drawn(MODELS, N, purpose="losses", dtype=torch.float64),
    "members": membership,
    "logits": lambda: normal(N, CLASSES, purpose="logits"),
    "populations": lambda: {"all": torch.ones(MODELS, N, dtype=torch.bool)},
    "called": lambda: normal(MODELS, N, purpose="scores") + membership() > 0.5,
    "counted": lambda: torch.ones(MODELS, N, dtype=torch.bool),
    "metric": lambda: image_distance.build("l2"),
    "fpr": lambda: 0.1,
    "fprs": lambda: (0.05, 0.1),
    "tpr": lambda: 0.3,
    "chance": lambda: 0.8,
    "level": lambda: 0.05,
    "confidence": lambda: 0.95,
    # attacks
    "true_positives": lambda: 6,
    "false_positives": lambda: 1,
    "non_members": lambda: 12,
    "epsilon.members": lambda: 12,
    "rate.count": lambda: 3,
    "trials": lambda: 12,
    "power.members": lambda: 30,
    "release": release,
    "compare.release": outcome,
    "compare.baseline": lambda: outcome(1),
    "attack": lambda: attempt().attack,
    "confidences": lambda: normal(MODELS, N, purpose="statistics"),
    "image_distance.name": lambda: "l2",
    "lpips.name": lambda: "lpips_alex",
    "distance.x": lambda: images(4),
    "distance.y": lambda: images(4, "other"),
    "moments": lambda: {0: drawn(MODELS, CLASSES, 2, 1, SIDE, SIDE, purpose="shown")},
    "Release.initial": lambda: torch.full((MODELS, CLASSES, 2), -1),
    "Release.init": lambda: "noise",
    "c": lambda: 1,
    "allowed": lambda: torch.ones(1, 2, N, dtype=torch.bool),
    "owner": lambda: torch.arange(N) % 2,
    "releases": lambda: [release()],
    "released": lambda: normal(MODELS, CLASSES, D, purpose="released"),
    "centres": lambda: normal(CLASSES, D, purpose="centres"),
    "known": lambda: tracing.fit(rows(), labels(), CLASSES),
    "shrinkages": lambda: (0.5, "ledoit_wolf"),
    "shrinkage": lambda: 0.5,
    "tracing.images": lambda: rows(),
    "Embedding.cls": lambda: tracing.Embedding,
    "Embedding.self": lambda: tracing.Embedding.draw(network(), 2, 5, 0),
    "Embedding.images": images,
    "dimension": lambda: 5,
    "Knowledge.self": lambda: tracing.fit(rows(), labels(), CLASSES),
    "Whitening.self": lambda: tracing.fit(rows(), labels(), CLASSES).whitening(0.5),
    "Whitening.rows": lambda: rows(),
    "squares": lambda: rows().square(),
    "lengths": lambda: drawn(N, purpose="lengths", dtype=torch.float64),
    "ledoit_wolf.values": lambda: drawn(D, purpose="values", dtype=torch.float64),
    "extractors": lambda: optimality.Extractors.draw(network(), 2, 0),
    "Extractors.cls": lambda: optimality.Extractors,
    "Extractors.weights": lambda: (weights(), weights()),
    "linear_tracing.pool": images,
    "linear_tracing.released": lambda: images(2, "start"),
    "system.equations.pool": images,
    "system.equations.released": lambda: images(2, "start"),
    "system.equations.members": lambda: 12,
    "equations": equations,
    "ridge": lambda: 0.1,
    "ridges": lambda: (0.1, 1.0),
    "gradient_equations.loss": lambda: lambda S: lambda x: S.square().sum() * x.sum(),
    "gradient_equations.synthetic": lambda: images(2, "start"),
    "gradient_equations.pool": lambda: (images(),),
    "gradient_equations.members": lambda: 12,
    "kip_equations.pool": images,
    "kip_equations.released": lambda: images(2, "start"),
    "released_labels": lambda: torch.eye(CLASSES) - 0.5,
    "kip_equations.members": lambda: 12,
    "kip_equations.parameters": KIP,
    "networks": lambda: optimality.Extractors(network(), (weights(), weights())),
    "matching_equations.pool": images,
    "matching_equations.released": lambda: images(2, "start"),
    "matching_equations.label": lambda: 1,
    "matching_equations.members": lambda: 12,
    "low": lambda: torch.full((1,), 0.1),
    "high": lambda: torch.full((1,), 0.9),
    "clipping.extractors": lambda: optimality.Extractors.draw(
        networks.build("mlp", (1, SIDE, SIDE), CLASSES, 4), 1, 0
    ),
    "at_bounds.released": lambda: images(2, "start"),
    "unclipped.pool": images,
    "unclipped.released": lambda: images(2, "start"),
    "unclipped.members": lambda: 12,
    "solve_clipped.pool": images,
    "solve_clipped.released": lambda: images(2, "start"),
    "solve_clipped.members": lambda: 12,
    "choose.shadows": lambda: [(equations(), labels() == 0)],
    # condensation and networks
    "parameters": weights,
    "dm.condense.parameters": dm,
    "dm_bank.parameters": lambda: BankedDM(bank=2, iterations=2, width=4),
    "condense.problem": lambda: problem("real"),
    "selection.problem": lambda: problem("real"),
    "gan.problem": lambda: problem("noise"),
    "gan.parameters": lambda: GAN(steps=1, batch=8, width=4, code=4),
    "gradient_matching.condense.parameters": gradient_matching,
    "kip.condense.parameters": lambda: KIP(iterations=2, batch_targets=8),
    "kip.parameters": lambda: KIP(iterations=2, batch_targets=8),
    "support_images": lambda: images(6, "support"),
    "support_labels": lambda: torch.eye(CLASSES).repeat(3, 1) - 0.5,
    "condense.method": dm,
    "condense.ipc": lambda: 2,
    "condense.images": images,
    "condense.labels": labels,
    "condense.membership": lambda: membership()[:2],
    "Schedule.cls": lambda: Schedule,
    "Problem.of.cls": lambda: Problem,
    "of.membership": lambda: membership()[:2],
    "Problem.names": lambda: tuple(range(MODELS)),
    "channels": lambda: 1,
    "size": lambda: SIDE,
    "kind": lambda: "convnet",
    "image_shape": lambda: (1, SIDE, SIDE),
    "width": lambda: 4,
    "strategy": lambda: "color_crop_cutout_flip_scale_rotate",
    "dataset_name": lambda: "cifar10",
    "select.parameters": lambda: {name: torch.stack([value] * 4) for name, value in weights().items()},
    "train_many.images": lambda: torch.stack([images(8), images(8, "second")]),
    "train_many.labels": lambda: torch.stack([labels(8)] * 2),
    "train.images": lambda: images(8),
    "train.labels": lambda: labels(8),
    # shadows
    "balanced_pool.size": lambda: 12,
    "check_pool.size": lambda: 12,
    "draw.size": lambda: 12,
    "shadows": lambda: 4,
    "labels_of_pool": labels,
    "initial": lambda: torch.arange(MODELS * 4).view(MODELS, 2, 2) % N,
    "indices": lambda: torch.arange(N),
    "game.init": lambda: "real",
    "game.release.parameters": dm,
    "answers.sets": lambda: [(images(4), labels(4)), (images(4, "two"), labels(4))],
    "answers.names": lambda: [0, 1],
    "answers.jobs": lambda: [(0, images(4), labels(4)), (1, images(4, "two"), labels(4))],
    "ask": lambda: answer,
    "planted": lambda: 2,
    "canary_start.planted": lambda: canaries.plant(pool(), 2, 0),
    # private
    "noise_multiplier": lambda: 1.0,
    "Mechanism.self": lambda: Mechanism(2.0),
    "counts": lambda: torch.tensor([12, 12]),
    "DPMERF.self": merf,
    "dp_merf.parameters": merf,
    "dp_merf.release.parameters": merf,
    "DPSGD.self": dp_sgd,
    "dp_sgd.parameters": dp_sgd,
    "dp_sgd.seed": lambda: SECRET,
    "DPSGD.count": lambda: N,
    "Linear.self": lambda: noisy_condensation.Linear(1.0),
    "LDPDC.self": lambda: noisy_condensation.LDPDC(1.0, sample=2),
    "NDPDC.self": ndpdc,
    "OneRelease.self": one_release,
    "condense_linear.parameters": lambda: noisy_condensation.Linear(1.0),
    "condense_ldpdc.parameters": lambda: noisy_condensation.LDPDC(1.0, sample=2),
    "ndpdc.parameters": ndpdc,
    "one_release.parameters": one_release,
    "calibrated.settings": lambda: noisy_condensation.Linear(0.0),
    "ClippedSums.values": lambda: normal(2, 2, CLASSES, 4, purpose="sums"),
    "ClippedSums.key": lambda: "key",
    "present": lambda: True,
    "worst_case.name": lambda: "linear",
    "worst_case.seed": lambda: lambda index, present: 2 * index + present,
    "worst_case.neighbours.seed": lambda: 3,
    "audit.statistic": lambda: lambda present, index: index + 10.0 * present,
    "runs": lambda: 20,
    "pilots": lambda: 10,
    "true": lambda: np.array([[3, 5], [4, 6]]),
    "false": lambda: np.array([[0, 1], [1, 2]]),
    "SecretStart.self": lambda: SecretStart(10, 3, 2.0),
    "SecretStart.images": lambda: normal(10, D, purpose="rows"),
    "spread": lambda: 1.0,
    "contraction": lambda: 0.9,
    "kept": lambda: 0.3,
    "mu": lambda: 0.5,
    "mus": lambda: [0.2, 0.5],
    "noise": lambda: "members",
    "secret_start.initial": lambda: normal(4, D, purpose="initial"),
    "secret_start.mean": lambda: normal(D, purpose="mean"),
    "later": lambda: normal(4, D, purpose="later"),
    "earlier": lambda: normal(4, D, purpose="earlier"),
    "means": lambda: normal(3, D, purpose="means"),
    "log_ratio.first": lambda: normal(D, purpose="first"),
    "log_ratio.second": lambda: normal(D, purpose="second"),
    "secret_start.extractors": lambda: lambda step: normal(2, 3, D, purpose=f"theta {step}"),
    "mixing": lambda: normal(D, D, purpose="mixing"),
    "mu_between.shifts": lambda: normal(5, D, purpose="shifts"),
    # statistics
    "intervals.values": lambda: (1.0, 2.0, 4.0),
    "intervals.base": lambda: (0.5, 2.5, 3.0),
    "p_values": lambda: (0.01, 0.04, 0.5),
    "one": lambda: intervals.mean((1.0, 2.0, 4.0)),
    "unpaired.other": lambda: intervals.mean((2.0, 3.0, 4.0)),
    "sign_flip.values": lambda: np.array([0.3, -0.1, 0.5, 0.2]),
    "slopes.x": lambda: (1.0, 2.0, 4.0) * 3,
    "slopes.y": lambda: (1.0, 0.5, 0.2, 1.1, 0.6, 0.3, 0.9, 0.4, 0.25),
    "clusters": lambda: (0, 0, 0, 1, 1, 1, 2, 2, 2),
    "last_step.x": lambda: (1.0, 2.0, 4.0),
    "last_step.y": lambda: (1.0, 0.5, 0.2),
    # numbers of the theory
    "real": lambda: normal(10, D, purpose="real"),
    "gap": lambda: normal(D, purpose="gap"),
    "n": lambda: 20,
    "m": lambda: 4,
    "k": lambda: 3,
    "select.k": lambda: 1,
    "d": lambda: D,
    "R": lambda: 3,
    "eps0": lambda: 1.0,
    "epsilon": lambda: 1.0,
    "delta": lambda: 1e-5,
    "ratio": lambda: 0.1,
    "kappa": lambda: 1.0,
    "rate": lambda: 0.1,
    "radius": lambda: 2.0,
    "bound": lambda: 1.0,
    "temperature": lambda: 0.5,
    "lipschitz": lambda: 1.5,
    "step_size": lambda: 0.01,
    "variance": lambda: 1.0,
    "steps": lambda: 3,
    "repetitions": lambda: 20,
    "d_eff": lambda: 50.0,
    "shift_norm": lambda: 0.3,
    "theta_radius": lambda: 2.0,
    "ball_radius": lambda: 2.0,
    "disk_radius": lambda: 2.0,
    "grid": lambda: (4, 8, 0),
    "radial": lambda: 4,
    "angular": lambda: 8,
    "t": lambda: np.array([0.5, 1.0]),
    "gibbs.mean": lambda: normal(D, purpose="mean").numpy() / 5,
    "gibbs.shifts": lambda: normal(5, D, purpose="shifts").numpy() / 5,
    "gibbs.images": lambda: normal(10, D, purpose="gibbs").numpy(),
    "gibbs_models.images": images,
    "gaussian.images": lambda: normal(10, D, purpose="gibbs").numpy() / 5,
    "gaussian_kl.images": lambda: normal(10, D, purpose="gibbs").numpy() / 5,
    "gibbs.points": lambda: normal(8, 2, purpose="points").numpy(),
    "farthest_pairs.others": lambda: normal(6, 2, purpose="others").numpy(),
    "farthest_pairs.count": lambda: 3,
    "gibbs_models.points": lambda: normal(6, 2, purpose="points") / 4,
    "gibbs_models.pool": lambda: normal(12, 2, purpose="pool") / 4,
    "gibbs_models.others": lambda: normal(6, 2, purpose="others") / 4,
    "gibbs_models.synthetic": lambda: normal(4, 2, purpose="synthetic") / 4,
    "gibbs_models.other": lambda: normal(4, 2, purpose="other") / 4,
    "gibbs_models.shifts": lambda: normal(3, 2, purpose="shifts") / 8,
    "logistic_random_subset.m": lambda: 2,
    "replaced": lambda: (np.array([0, 2]), normal(2, 2, purpose="coming") / 4),
    "chains": lambda: 4,
    "gibbs_models.chains": lambda: gibbs_models.Chains(2, 1.0, 4, 1e-3, 2, 4, 2),
    "Chains.count": lambda: 4,
    "Chains.step": lambda: 1e-3,
    "pairs": lambda: 2,
    "shape": lambda: (1, 4, 4),
    "theta": lambda: normal(7, 2, purpose="theta"),
    "points": lambda: normal(5, 2, purpose="points"),
    "gibbs.synthetic": lambda: normal(4, 2, purpose="synthetic"),
    "shift_change.shifts": lambda: normal(3, 2, purpose="shifts"),
    "langevin.theta": lambda: normal(7, 4, purpose="theta"),
    "langevin.labels": lambda: torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64),
    "langevin.start": lambda: normal(3, 4, purpose="start") / 4,
    "langevin.loss": lambda: langevin.network_loss,
    "hidden": lambda: 2,
    "balls": lambda: langevin.network_balls(2, 1.0),
    "step": lambda: 1e-3,
    "burn_in": lambda: 2,
    "keep_every": lambda: 1,
    "label": lambda: 1.0,
    "energy": lambda: normal(9, purpose="energy"),
    "prior": lambda: torch.full((9,), 1 / 9, dtype=torch.float64),
    "log_ratio.weights": lambda: torch.full((9,), 1 / 9, dtype=torch.float64),
    "change": lambda: normal(3, 9, purpose="change"),
    "gibbs.losses": lambda: drawn(4, 9, purpose="losses", dtype=torch.float64),
    "other_losses": lambda: drawn(4, 9, purpose="other", dtype=torch.float64),
    "random_subset_log_ratio.replacements": lambda: [(0, drawn(9, purpose="new", dtype=torch.float64))],
    "random_subset_log_ratio.m": lambda: 2,
    "kernel": lambda: kernel.gaussian(2.0),
    "mmd_gradient.synthetic": lambda: normal(4, D, purpose="synthetic"),
    "monte_carlo_kernel.network": lambda: kernel.RandomReLU(D),
    "monte_carlo_kernel.images": lambda: normal(4, D, purpose="rows"),
    "inputs": lambda: D,
    "draws": lambda: 3,
    "kinks.real": lambda: images(6).double(),
    "kinks.start": lambda: images(2, "start").double(),
    "deltas": lambda: (0.1, 0.2),
    "linear.images": images,
    "linear.initial": lambda: normal(4, D, purpose="initial"),
    "linear.synthetic": lambda: normal(4, D, purpose="synthetic"),
    "linear.extractors": lambda: normal(2, 3, D, purpose="extractors"),
    "linear.theta": lambda: normal(3, D, purpose="theta"),
    "linear.vector": lambda: normal(D, purpose="vector"),
    "batch": lambda: 3,
    "batch_cov": lambda: covariance(),
    "covariance": lambda: covariance(),
    "draw": lambda: lambda purpose, *index: generator(0, purpose, *index),
    "index": lambda: 2,
    "known_index": lambda: 2,
    "linear.known": lambda: normal(D, purpose="known"),
    "expected_loss.gap": lambda: normal(D, purpose="gap"),
    "Case.initial": lambda: normal(4, D, purpose="initial"),
    "normals": lambda: 1000,
    "Case.chains": lambda: 20,
    "Minibatches.size": lambda: 2,
    "centred": lambda: normal(10, D, purpose="centred"),
    "main": lambda: torch.eye(D, dtype=torch.float64)[0],
    "check": lambda: "a check",
    "observed": lambda: 0.5,
    "expected": lambda: 0.4,
    "samples": lambda: normal(50, purpose="samples") + 0.4,
    "value": lambda: 0.5,
    "case": case,
    "shift.network": network,
    "shift.extractors": lambda: [network64(0), network64(1)],
    "shift.synthetic": lambda: images(2, "start").double(),
    "gradient_changes.real": lambda: images(6).double(),
    "direction": lambda: images(2, "direction").double() / images(2, "direction").double().norm(),
    "gradient_changes.counts": lambda: (1, 2),
    "margins.synthetic": lambda: images(4, "start"),
    "against": lambda: images(4, "against"),
    "tests": lambda: images(5, "tests"),
    "margins.name": lambda: 0,
    "extractor": extractor,
    "shift.start": lambda: normal(3, D, purpose="start"),
    "stops": lambda: (1, 3),
    "minimum_shift.extractor": wide_extractor,
    "minimum_shift.start": lambda: real_rows()[:2],
    "whole": lambda: normal(4, purpose="whole"),
    "without": lambda: normal(4, purpose="without"),
    "reseeded": lambda: normal(4, purpose="reseeded"),
    "shift.shift.whole": lambda: normal(2, 3, purpose="whole"),
    "shift.shift.without": lambda: normal(2, 3, purpose="without"),
    "shift.shift.start": lambda: normal(2, 3, purpose="start"),
    "stability.initial": lambda: normal(3, D, purpose="synthetic"),
    "target": lambda: extractor()(normal(10, D, purpose="real")).mean(0),
    "path": lambda: normal(4, 3, D, purpose="path"),
    "measured_constants.other": lambda: normal(4, 3, D, purpose="path") + 0.01,
    "minimise.extractor": wide_extractor,
    "minimise.target": lambda: wide_extractor()(real_rows()).mean(0),
    "minimise.initial": lambda: real_rows()[:2],
    "predicted_shift.extractor": wide_extractor,
    "predicted_shift.real": lambda: real_rows(),
    "predicted_shift.synthetic": lambda: (
        stability.minimise(wide_extractor(), wide_extractor()(real_rows()).mean(0), real_rows()[:2]).synthetic
    ),
    "minimum_shift.real": lambda: real_rows(),
    "SmoothExtractor.weights": lambda: normal(3, 2, D, purpose="weights"),
    "SmoothExtractor.biases": lambda: normal(3, 2, purpose="biases"),
    "stability_bound.c": lambda: 1.0,
    "Lambda": lambda: 2.0,
    "effect": lambda: 0.5,
    "mahalanobis_squared": lambda: 20.0,
    "own": lambda: np.array([1.0, 2.0]),
    "tracing.variance": lambda: np.array([1.0, 1.5]),
    "law": lambda: law_of_tracing.fresh_law([1.0, 2.0], [1.0, 1.5], 20),
    "tracing_prediction.weights": lambda: rows(),
    "tracing_prediction.images": lambda: rows(),
    "source": lambda: normal(12, D, purpose="source"),
    "decompose.pool": lambda: rows(),
    "identify.pool": lambda: rows(),
    "identify.released": lambda: rows()[:4].mean(0),
    "naming.members": lambda: 4,
    "found": lambda: identification.decompose(rows()),
    "solve.released": lambda: rows()[:4].mean(0)[None],
    "linear_statistics.released": lambda: rows()[:4].mean(0)[None],
    "counting.points": lambda: 20,
    "N": lambda: 24,
    "smallest": lambda: 0.5,
    "tolerance": lambda: 1e-3,
    "rounded.mean": lambda: drawn(D, purpose="mean"),
    "bits": lambda: 8,
    "centre": lambda: normal(D, purpose="centre"),
    "laws.pool": lambda: tracing_prediction.moments(rows(), rows(), rows(), rows()[0]),
    "laws.reference": lambda: tracing_prediction.moments(rows(), rows(), rows(), rows()[0]),
    "laws.members": lambda: 6,
    "knows_pool": lambda: True,
    "predict.reference": lambda: lambda c: rows(),
    "whitenings": lambda: {"none": lambda found: found},
    "symbolic.k": lambda: 1,
    "symbolic.d": lambda: 2,
    "symbolic.m": lambda: 1,
    "single_run_threshold.k": lambda: 1,
    "least_noise.mechanism": lambda: Mechanism(2.0),
    "epsilons.mechanism": lambda: Mechanism(2.0),
}


ALSO = ("condense",)  # functions that are given arguments which they could do without


def example(function: str, name: str) -> object:
    """Return a value for the parameter `name` of a function "privacy_for_free.room.module.function"."""
    module, _, own = function.removeprefix("privacy_for_free.").partition(".")[2].rpartition(".")
    _, _, last = module.rpartition(".")
    for key in (f"{last}.{own}.{name}", f"{own}.{name}", f"{last}.{name}", name):
        if key in VOCABULARY:
            return VOCABULARY[key]()
    raise LookupError(
        f"no example for the parameter {name!r} of {function}: add it to tests/api/vocabulary.py"
    )


def needed(name: str, entrance: Callable) -> Iterator[inspect.Parameter]:
    """Yield the parameters that a call has to give, and those that have an example for this very function."""
    own = name.rpartition(".")[2]
    for parameter in inspect.signature(entrance).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        missing = parameter.default in (inspect.Parameter.empty, MISSING)
        secret = parameter.name == "seed" and parameter.default is None  # else drawn anew by each call
        if missing or secret or (own in ALSO and f"{own}.{parameter.name}" in VOCABULARY):
            yield parameter
