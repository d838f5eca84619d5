"""The operations that `scaling` measures, each with its inputs in place before any clock starts.

All run the library's own functions, not compiled. An operation is prepared in two steps: of a task it becomes
a function of a size, and that gives the `Work` to measure.
"""

from collections.abc import Callable

import torch

from privacy_for_free.attacks import lira, released_images
from privacy_for_free.condensation import dm, kip
from privacy_for_free.condensation.problem import Problem, initialise
from privacy_for_free.core.randomness import derived_seed, generator
from privacy_for_free.core.roofline import nbytes
from privacy_for_free.experiments.scaling.setting import Prepare, Setting, Work
from privacy_for_free.nets import networks, training
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.theory import linear


def dm_step(setting: Setting) -> Prepare:
    """Prepare a step of distribution matching: the losses of all sets and their gradient."""
    design = setting.design

    def prepare(size: int) -> Work:
        K, ipc = (size, design.ipc) if setting.task.variable == "K" else (1, size)
        pool = setting.pool(design.pool, max(2, K))
        membership = pool.membership.to(setting.device) if K > 1 else None
        seed = derived_seed(setting.seed, "scaling dm")
        problem = Problem.of(pool.images, pool.labels, membership, ipc, "noise", seed, pool.classes)
        settings = dm.DM(batch_real=design.batch_real, width=design.width)
        matcher, images = dm.Matcher(problem, settings), initialise(problem)[0]
        n = sum(matcher.draws)  # with two sets or more, each image of the pool is in some set
        sizes = {"n": n, "m": ipc * pool.classes, "K": K, "ipc": ipc, "width": design.width}
        reads = n * pool.images[0].nbytes + images.nbytes
        return Work(lambda: matcher.loss_and_gradient(0, images), sizes, reads)

    return prepare


def training_epoch(setting: Setting) -> Prepare:
    """Prepare an epoch of training the ConvNet on m images (normal numbers)."""
    design, classes, seed = setting.design, setting.classes, setting.seed
    network = networks.build("convnet", setting.shape, classes, design.width)
    schedule = Schedule(epochs=1)

    def prepare(m: int) -> Work:
        stream = generator(seed, "scaling training", m)
        images = torch.randn((m, *setting.shape), generator=stream).to(setting.device)
        labels = (torch.arange(m) % classes).to(setting.device)
        sizes = {"m": m, "K": 1, "width": design.width} | ({} if m % classes else {"ipc": m // classes})
        return Work(
            lambda: training.train(network, images, labels, schedule, seed, "scaling"),
            sizes,
            nbytes((images, labels)),
        )

    return prepare


def evaluation(setting: Setting) -> Prepare:
    """Prepare the ConvNet's scores of n pool images."""
    images, _ = setting.shuffled()
    network = networks.build("convnet", setting.shape, setting.classes, setting.design.width)
    theta = network.initial(generator(setting.seed, "scaling network"))
    theta = {name: value.to(setting.device) for name, value in theta.items()}

    def prepare(n: int) -> Work:
        batch = images[:n].clone()
        sizes = {"n": n, "K": 1, "width": setting.design.width}
        return Work(lambda: training.logits(network, theta, batch), sizes, nbytes((batch, theta)))

    return prepare


def lira_scores(setting: Setting) -> Prepare:
    """Prepare online LiRA's scores of all K targets on n examples."""
    design = setting.design

    def prepare(size: int) -> Work:
        K, n = (size, design.n) if setting.task.variable == "K" else (design.K, size)
        stream = generator(setting.seed, "scaling lira", K, n)
        statistics = torch.randn((K, n), generator=stream, dtype=torch.float64).to(setting.device)
        membership = (torch.rand((K, n), generator=stream).argsort(0) < K // 2).to(setting.device)
        reads = nbytes((statistics, membership))
        return Work(lambda: lira.scores(statistics, membership), {"n": n, "K": K}, reads)

    return prepare


def class_mean(setting: Setting) -> Prepare:
    """Prepare the tracing statistic of K releases on n pool images."""
    design, (images, labels) = setting.design, setting.shuffled()
    shape = (design.K, setting.classes, design.ipc, *setting.shape)
    synthetic = torch.randn(shape, generator=generator(setting.seed, "scaling sets")).to(setting.device)
    fixed = {"m": setting.classes * design.ipc, "K": design.K, "ipc": design.ipc}

    def prepare(n: int) -> Work:
        batch, its_labels = images[:n].clone(), labels[:n].clone()
        reads = nbytes((batch, its_labels, synthetic))
        return Work(lambda: released_images.class_mean(batch, its_labels, synthetic), {"n": n} | fixed, reads)

    return prepare


def kip_step(setting: Setting) -> Prepare:
    """Prepare one step of kernel inducing points on `targets` targets, set-up included."""
    targets, classes = setting.design.targets, setting.classes
    pool = setting.pool(-(-targets // (2 * classes)) * 2 * classes, 2)
    settings = kip.KIP(iterations=1, batch_targets=targets)

    def prepare(m: int) -> Work:
        seed, ipc = derived_seed(setting.seed, "scaling kip"), m // classes
        problem = Problem.of(pool.images, pool.labels, None, ipc, "noise", seed, classes)
        reads = targets * pool.images[0].nbytes + nbytes(pool.labels[:targets])

        def call() -> tuple[torch.Tensor, torch.Tensor]:
            condensed = kip.condense(problem, settings)
            return condensed.images, condensed.labels

        return Work(call, {"n": targets, "m": m, "K": 1, "ipc": ipc}, reads)

    return prepare


def linear_dm(setting: Setting) -> Prepare:
    """Prepare the closed form of linear distribution matching for one class of n images."""
    ipc = setting.design.ipc
    rows = linear.flatten(setting.dataset.of_class(0).to(setting.device))
    stream = generator(setting.seed, "scaling initial")
    initial = torch.rand((ipc, rows.shape[1]), generator=stream, dtype=rows.dtype).to(setting.device)

    def prepare(n: int) -> Work:
        real = rows[:n].clone()
        sizes = {"n": n, "m": ipc, "K": 1, "ipc": ipc}
        return Work(lambda: linear.minimiser(initial, real), sizes, nbytes((initial, real)))

    return prepare


OPERATIONS: dict[str, Callable[[Setting], Prepare]] = {
    "dm_step": dm_step,
    "training": training_epoch,
    "evaluation": evaluation,
    "lira": lira_scores,
    "class_mean": class_mean,
    "kip_step": kip_step,
    "linear_dm": linear_dm,
}
