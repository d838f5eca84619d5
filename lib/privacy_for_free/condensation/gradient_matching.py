"""Gradient matching (DC; Zhao, Mopuri & Bilen, ICLR 2021) and, with siamese augmentation, DSA (ICML 2021).

A step is one outer iteration of the published algorithm 1: a fresh network, then `outer_loop` times: match
gradients class by class and take one step on the pixels; then train the network on the synthetic images for
`inner_loop` epochs (not after the last matching). Details the papers leave out follow the authors' code
(VICO-UoE/DatasetCondensation, main.py and utils.py).

How K sets share the work. All sets start a step from one network. Each class is put in one random order,
in which a set's batch is the first `batch_real` of its own members: for each set a uniform sample of its own
images, whoever shares the run. At the first matching the sets have that network, so the gradient of each
image is computed once, and a set's mean gradient is a product with its row of weights. With one image per
class there is no other matching. Later the networks differ, and each set's real images pass through its own.
A set's result does not depend on the other sets, in any bit: shapes and orders of summation are the same
whichever others there are.

Gradients of single images, and the matching of several classes, are one function mapped over rows
(torch.func); compiled, that is faster than one backward pass after the other.
"""

from dataclasses import dataclass, field, replace

import torch
from torch.func import grad, grad_and_value, vmap
from torch.nn.functional import cross_entropy

from privacy_for_free.condensation.loop import Run, descend, finish
from privacy_for_free.condensation.problem import INITIALISATIONS, Condensed, Problem, hard_labels, initialise
from privacy_for_free.core import devices, validate
from privacy_for_free.core.compiling import compiled
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import augmentation, networks
from privacy_for_free.nets.augmentation import STRATEGY, Strength
from privacy_for_free.nets.schedule import MANY, check_rate

LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
ROWS = 8  # weights are applied in blocks of this many sets, so that one set is summed as one of many is

Tensors = dict[str, torch.Tensor]


@entrance
@dataclass(frozen=True)
class GradientMatching:
    """Settings; the defaults are the published ones, for DSA. DC is `augmentation=""`.

    iterations, learning_rate, momentum   gradient descent on the pixels; an iteration is a fresh network
    outer_loop, inner_loop  matchings per network, and epochs of training between two; None: `loops` of the
                            ipc
    network_learning_rate   of that training: plain gradient descent
    batch_real              real images per class and matching
    batch_train             synthetic images per step of that training
    network, width, depth   what networks.build builds; depth None is its default
    augmentation            strategy; "" for none. One transform per class and matching, shared by real and
                            synthetic images; one kind per batch, drawn for each image, in the training
    strength                how far the transforms go
    chunk                   images that pass a network at once; None: 32 on a CPU, 256 on a GPU
    compile                 torch.compile; worth its minute from some tens of iterations on
    """

    iterations: int = 1000
    learning_rate: float = 0.1
    momentum: float = 0.5
    outer_loop: int | None = None
    inner_loop: int | None = None
    network_learning_rate: float = 0.01
    batch_real: int = 256
    batch_train: int = 256
    network: str = "convnet"
    width: int = 128
    depth: int | None = None
    augmentation: str = STRATEGY
    strength: Strength = field(default_factory=Strength)
    chunk: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        """Refuse values no run can have."""
        validate.whole("iterations", self.iterations)
        batches = (("batch_real", 1, MANY), ("batch_train", 1, MANY), ("chunk", 1, networks.LARGEST))
        layers = (("width", 1, networks.LARGEST), ("depth", 1, networks.LARGEST))
        counts = (("outer_loop", 1, None), ("inner_loop", 0, None))
        for name, least, most in (*batches, *counts, *layers):
            if getattr(self, name) is not None:
                validate.whole(name, getattr(self, name), least, most)
        validate.one_of("network", self.network, networks.KINDS)
        check_rate("learning_rate", self.learning_rate)
        check_rate("network_learning_rate", self.network_learning_rate)
        validate.fraction("momentum", self.momentum)
        augmentation.kinds(self.augmentation)

    initialisations = INITIALISATIONS

    @property
    def name(self) -> str:
        """The name of the method, with and without augmentation."""
        return "dsa" if self.augmentation else "dc"

    def condense(self, problem: Problem, run: Run | None = None) -> Condensed:
        """Condense every set of the problem with these settings."""
        return condense(problem, self, run)


@entrance
def loops(ipc: int) -> tuple[int, int]:
    """Return the published (outer_loop, inner_loop) for `ipc` images per class.

    They are published for 1, 10, 20, 30, 40 and 50; another ipc gets those of the nearest smaller one.
    ValueError for an ipc below 1.

    >>> loops(10), loops(5), loops(100)
    ((10, 50), (1, 1), (50, 10))
    """
    validate.whole("ipc", ipc, 1)
    return LOOPS[max(known for known in LOOPS if known <= ipc)]


def distance(a: Tensors, b: Tensors) -> torch.Tensor:
    """Return the published distance of two gradients, summed over layers and output units (scalar).

    For each row of a weight (a convolution's is flattened to out x in*h*w), 1 - <a, b> / (|a| |b| + 1e-6):
    the authors' distance_wb with metric 'ours' (ICLR 2021, equation 8). Parameters of one dimension, biases
    and the scales of norms, count for nothing.
    """
    total = 0.0
    for name, value in a.items():
        if value.dim() > 1:
            x, y = value.flatten(1), b[name].flatten(1)
            total = total + (1 - (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-6)).sum()
    return total


@entrance
def condense(problem: Problem, parameters: GradientMatching, run: Run | None = None) -> Condensed:
    """Condense every set of the problem; the logged loss is the mean over classes and matchings of a step.

    Memory beyond the images: the networks and the gradients of all classes of all sets, so K x (classes + 1)
    times the size of a network, and `chunk` gradients. On a CPU the sums of gradients are made by one thread
    (`devices.steady_threads`). Raises DivergenceError when a loss stops being finite.
    """
    images, initial = initialise(problem)
    images.requires_grad_(True)
    labels = hard_labels(problem.sets, problem.classes, problem.ipc, images.device)
    optimiser = torch.optim.SGD([images], lr=parameters.learning_rate, momentum=parameters.momentum)
    matcher = Matcher(problem, parameters)

    def step(index: int) -> torch.Tensor:
        theta = matcher.network_of(index)
        thetas, total = [theta] * problem.sets, 0.0
        for match in range(matcher.outer_loop):
            losses, images.grad = matcher.loss_and_gradient(index, match, thetas, images.detach())
            optimiser.step()
            total = total + losses
            if match < matcher.outer_loop - 1:
                for k, name in enumerate(problem.names):
                    thetas[k] = matcher.train(index, match, name, thetas[k], images.detach()[k])
        return total / (problem.classes * matcher.outer_loop)

    run, steps = run or Run(), parameters.iterations
    with devices.steady_threads(images.device):
        outcome = descend(parameters.name, problem, parameters, run, images, optimiser, step, steps)
    return finish(images, labels, initial, outcome)


class Matcher:
    """The parts of a step: made once for a problem, used at every matching."""

    def __init__(self, problem: Problem, parameters: GradientMatching):
        """Work out sizes and compile; nothing is drawn."""
        self.problem, self.parameters = problem, parameters
        published = loops(problem.ipc)
        self.outer_loop = parameters.outer_loop or published[0]
        self.inner_loop = published[1] if parameters.inner_loop is None else parameters.inner_loop
        shape = problem.images.shape[1:]
        network = networks.build(parameters.network, shape, problem.classes, parameters.width)
        if parameters.depth is not None:
            if not hasattr(network, "depth"):
                raise ValueError(f"depth {parameters.depth}: network {parameters.network!r} has none")
            network = replace(network, depth=parameters.depth)
        self.network = network
        self.chunk = parameters.chunk or (32 if problem.images.device.type == "cpu" else 256)
        self.membership = problem.membership.cpu()

        def loss_of_one(matched: Tensors, rest: Tensors, image: torch.Tensor, label: torch.Tensor):
            return cross_entropy(network.logits(matched | rest, image[None]), label[None])

        def weighted_loss(theta: Tensors, images: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor):
            return cross_entropy(network.logits(theta, images), labels, reduction="none") @ weights

        def matching_loss(images, labels, target: Tensors, matched: Tensors, rest: Tensors):
            mean_loss = lambda weights: cross_entropy(network.logits(weights | rest, images), labels)  # noqa: E731
            return distance(grad(mean_loss)(matched), target)

        wanted = parameters.compile
        self._gradients = compiled(vmap(grad(loss_of_one), (None, None, 0, 0)), wanted)
        self._gradient = compiled(grad(weighted_loss), wanted)
        self._match = compiled(vmap(grad_and_value(matching_loss), (0, 0, 0, None, None)), wanted)

    def network_of(self, index: int) -> Tensors:
        """Draw the network of step `index`, the same for every set."""
        images = self.problem.images
        return self.network.initial(
            self.problem.generator("network", index, device=images.device), images.dtype
        )

    def loss_and_gradient(
        self, index: int, match: int, thetas: list[Tensors], images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses (K), summed over classes, and the gradient of their sum, shaped as `images`.

        thetas  a network for each set; at matching 0 all are one network
        images  K x classes x ipc x C x H x W
        """
        problem = self.problem
        transforms = []
        for c in range(problem.classes):
            stream = problem.generator("augmentation", index, match, c)
            transforms.append(
                augmentation.draw(self.parameters.augmentation, 1, stream, self.parameters.strength)
            )
        batches = [self.order(index, match, c) for c in range(problem.classes)]
        losses, gradient = images.new_empty(len(images)), torch.empty_like(images)
        shared = self._shared_targets(thetas[0], batches, transforms) if match == 0 else None
        for k, theta in enumerate(thetas):
            if shared is None:
                targets = self._targets(theta, k, batches, transforms)
            else:
                targets = {name: value[k] for name, value in shared.items()}
            losses[k], gradient[k] = self._match_set(theta, images[k], targets, transforms)
        return losses, gradient

    def train(self, index: int, match: int, name: int, theta: Tensors, images: torch.Tensor) -> Tensors:
        """Return the network after `inner_loop` epochs on one set's images, classes x ipc x C x H x W."""
        flat, parameters = images.flatten(0, 1), self.parameters
        labels = hard_labels(1, self.problem.classes, self.problem.ipc, images.device).flatten()
        stream = self.problem.generator("training", name, index, match)
        for _ in range(self.inner_loop):
            order = torch.randperm(len(flat), generator=stream).to(flat.device)
            for rows in order.split(parameters.batch_train):
                transform = augmentation.draw(parameters.augmentation, len(rows), stream, parameters.strength)
                batch = augmentation.apply(transform, flat[rows])
                gradient = self._mean_gradient(theta, batch, labels[rows])
                theta = {
                    key: value.sub(gradient[key], alpha=parameters.network_learning_rate)
                    for key, value in theta.items()
                }
        return theta

    def order(self, index: int, match: int, c: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return class c's images in a random order, and weights K x images: the batches in it, of sum 1."""
        indices = self.problem.of_class[c]
        stream = self.problem.generator("batch", index, match, c)
        indices = indices[torch.randperm(len(indices), generator=stream)]
        member = self.membership[:, indices]
        chosen = member & (member.cumsum(1) <= self.parameters.batch_real)
        weights = chosen.to(self.problem.images.dtype)
        return indices, weights / weights.sum(1, keepdim=True)

    def _shared_targets(self, theta: Tensors, batches: list, transforms: list) -> Tensors:
        """Return mean gradients of weights, K x classes x shape, all sets having one network.

        A chunk is a stretch of the common order, its images members of any set or of none: what a set sums,
        and in which order, depends on nothing else. Chunks that no set needs are left out.
        """
        problem, K = self.problem, self.problem.sets
        device, dtype = problem.images.device, problem.images.dtype
        matched, rest = _split(theta)
        blocks = -(-K // ROWS)
        totals = {
            key: torch.zeros((problem.classes, blocks, ROWS, value.numel()), dtype=dtype, device=device)
            for key, value in matched.items()
        }
        for c, (indices, weights) in enumerate(batches):
            labels = torch.full((self.chunk,), c, device=device)
            weights = torch.cat([weights, weights.new_zeros((blocks * ROWS - K, weights.shape[1]))])
            for part, columns in zip(indices.split(self.chunk), weights.split(self.chunk, 1), strict=True):
                if not columns.any():
                    continue
                batch = augmentation.apply(transforms[c], problem.images[part.to(device)])
                columns, batch = _padded(columns.T, batch, self.chunk)
                columns = columns.T.unflatten(0, (blocks, ROWS)).contiguous().to(device)
                for key, value in self._gradients(matched, rest, batch, labels).items():
                    for block in range(blocks):
                        totals[key][c, block].addmm_(columns[block], value.flatten(1))
        return {
            key: totals[key].flatten(1, 2)[:, :K].transpose(0, 1).unflatten(-1, value.shape)
            for key, value in matched.items()
        }

    def _targets(self, theta: Tensors, k: int, batches: list, transforms: list) -> Tensors:
        """Return set k's mean gradients, classes x shape, for its own network."""
        rows = []
        for c, (indices, weights) in enumerate(batches):
            own = indices[weights[k] > 0].to(self.problem.images.device)
            batch = augmentation.apply(transforms[c], self.problem.images[own])
            rows.append(_split(self._mean_gradient(theta, batch, torch.full_like(own, c)))[0])
        return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}

    def _mean_gradient(self, theta: Tensors, images: torch.Tensor, labels: torch.Tensor) -> Tensors:
        """Return the gradient of the mean loss in every parameter, in equal chunks."""
        size = _even(len(images), self.chunk)
        weights = images.new_full((len(images),), 1 / len(images))
        total: Tensors = {}
        for part in zip(images.split(size), labels.split(size), weights.split(size), strict=True):
            batch, label, weight = part
            weight, batch = _padded(weight, batch, size)
            label = torch.cat([label, label[:1].expand(size - len(label))])
            found = self._gradient(theta, batch, label, weight)
            total = {key: total[key] + found[key] for key in found} if total else found
        return total

    def _match_set(
        self, theta: Tensors, images: torch.Tensor, targets: Tensors, transforms: list
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one set's loss and its gradient, classes x ipc x C x H x W; several classes to a call."""
        classes, ipc = images.shape[:2]
        matched, rest = _split(theta)
        leaf = images.detach().requires_grad_(True)
        moved = torch.stack([augmentation.apply(transforms[c], leaf[c]) for c in range(classes)])
        labels = torch.arange(classes, device=images.device)[:, None].expand(classes, ipc)
        size = _even(classes, max(1, self.chunk // ipc))
        gradient, losses = torch.empty_like(images), images.new_empty(classes)
        for start in range(0, classes, size):
            # The last call reaches back so that all have one shape; what it repeats comes out the same.
            rows = slice(min(start, classes - size), min(start, classes - size) + size)
            target = {key: value[rows] for key, value in targets.items()}
            part = moved.detach()[rows].contiguous()
            gradient[rows], losses[rows] = self._match(part, labels[rows], target, matched, rest)
        if moved.requires_grad:
            (gradient,) = torch.autograd.grad(moved, leaf, gradient)
        return losses.sum(), gradient


def _split(theta: Tensors) -> tuple[Tensors, Tensors]:
    """Separate the weights, whose gradients are matched, from the parameters of one dimension."""
    matched = {key: value for key, value in theta.items() if value.dim() > 1}
    return matched, {key: value for key, value in theta.items() if key not in matched}


def _even(count: int, most: int) -> int:
    """Return the size of equal parts of `count`, none above `most`."""
    return -(-count // -(-count // most))


def _padded(weights: torch.Tensor, images: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fill both up to `size` rows, with weight 0 and the first image, and lay images out channels last."""
    short = size - len(images)
    if short:
        images = torch.cat([images, images[:1].expand(short, *images.shape[1:])])
        weights = torch.cat([weights, weights.new_zeros((short, *weights.shape[1:]))])
    return weights, images.contiguous(memory_format=torch.channels_last)
