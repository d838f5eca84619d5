"""An extractor's mean feature of the released images, linearised at them: products with its Jacobian.

With u = T(S) the transformed images and phibar(S) = (1/m) sum_j features(u_j), J is features x (m pixels).
A transform is affine in the images, so its derivative in a direction v is T(v) - T(0).
"""

import warnings

import torch
from torch.func import jvp

from privacy_for_free.attacks.optimality.extractors import BYTES, Extractors

CACHED = 8 * 2**20  # bytes of a CPU's products at a time: more is slower


class Linearised:
    """J of one extractor at the released images (m, C, H, W), by products from either side."""

    def __init__(self, extractors: Extractors, r: int, released: torch.Tensor) -> None:
        """Pass the images through the transform; nothing is differentiated yet."""
        self.extractors, self.r, self.shape = extractors, r, released.shape
        self.weights = extractors.weights_as(r, released)
        self.moved = extractors.transform(r, released.detach())

    @torch.no_grad()
    def means(self) -> torch.Tensor:
        """Return phibar(S): features."""
        return self._means(self.moved)

    def _means(self, moved: torch.Tensor) -> torch.Tensor:
        return self.extractors.embed(self.r, self.weights, moved).mean(0)

    def pull(self, cotangents: torch.Tensor) -> torch.Tensor:
        """Return J^T of each row of cotangents (K x features): K x (m pixels)."""
        moved = self.moved.detach().requires_grad_(True)
        features = self.extractors.embed(self.r, self.weights, moved)
        limit = CACHED if moved.device.type == "cpu" else BYTES
        size = max(1, limit // (self.extractors.network.activation_bytes(moved.dtype) * len(moved)))
        rows = []
        for part in cotangents.split(size):
            spread = (part / len(moved))[:, None].expand(-1, len(moved), -1)
            if len(part) == 1:  # mapped products cost some fixed time
                (found,) = torch.autograd.grad(features, moved, spread[0], retain_graph=True)
            else:
                (found,) = torch.autograd.grad(
                    features, moved, spread, retain_graph=True, is_grads_batched=True
                )
            rows.append(self._transposed(found.reshape(-1, *self.shape[1:])).reshape(len(part), -1))
        return torch.cat(rows)

    def _transposed(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return the transpose of the transform's derivative, applied to gradients (B, C, H, W)."""
        if self.extractors.transforms is None:
            return gradients
        images = torch.zeros_like(gradients).requires_grad_(True)
        moved = self.extractors.transform(self.r, images)
        (found,) = torch.autograd.grad(moved, images, gradients)
        return found

    @torch.no_grad()
    def push(self, direction: torch.Tensor) -> torch.Tensor:
        """Return J times a direction (m pixels): features."""
        direction = direction.reshape(self.shape)
        if self.extractors.transforms is not None:
            still = self.extractors.transform(self.r, torch.zeros_like(direction[:1]))
            direction = self.extractors.transform(self.r, direction) - still
        tangent = direction.contiguous(memory_format=torch.channels_last)
        with warnings.catch_warnings():  # torch's own forward mode uses what it calls deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            return jvp(self._means, (self.moved,), (tangent,))[1]
