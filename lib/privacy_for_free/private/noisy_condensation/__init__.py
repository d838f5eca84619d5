"""Condensation that sees the real images only through sums with Gaussian noise.

    linear       one noisy mean per class, where a linear extractor's condensation ends
    ldpdc        a synthetic image is a noisy mean of a small Poisson sample (Zheng & Li, "Differentially
                 Private Dataset Condensation", linear method)
    ndpdc        distribution matching whose real side is, in every step, a noisy sum of clipped features of a
                 Poisson sample (the same paper, non-linear method)
    one_release  random extractors are fixed first, the class sums of their clipped features are released
                 once, and the synthetic images are matched to them for as long as wanted

Each has a frozen class of settings (`Linear`, `LDPDC`, `NDPDC`, `OneRelease`). Their `condense(problem)`
takes a Problem whose `init` is "noise" and K sets of members, and returns a Condensed; their
`mechanism(counts, ipc)` says what that releases, as an `accounting.Mechanism`, of a set with these numbers of
images per class. Who has an epsilon in mind and not a noise asks `private.calibrated.release`, which finds
the noise.

What the proof of each rests on. An example belongs to one class, so it enters the sums of one class only, and
the guarantee is that of the class with the fewest images. Before it enters a sum it is clipped (`clip`) to
the norm C by a function of that example alone; the noise has standard deviation noise_multiplier x C in every
coordinate, and comes from a generator named after the seed, the set's members and their labels, the settings,
the mechanism's noise, the set and the step, which nothing else draws from, in float64. All that follows reads
the noisy sums only.

The seed is the secret. `Problem.of` draws a fresh one where none is given, and a release refuses one that
can be guessed. One seed on other data, or with other settings, has other noise and other samples, for noise
that is used twice can be subtracted; it is the same only for what is released again bit by bit, as by a run
that goes on from its checkpoint. An experiment that everyone is to make again says noise="seed": its noise
comes from the seed alone, and it promises nothing.

What is taken to be public, and must be: the number of images of each class (it sets the sampling rate and
turns sums into means), the classes, the images' shape, and every parameter. So neighbours are data sets with
the same public numbers, in one of which one image's vector is left out of the sums: what adding or removing
an image does to a sum. The epsilon of exchanging one image for another is that of `replace_one`. Choosing
parameters by looking at results on the same members is a release of its own that no epsilon here includes.
Extractors, transforms and initial images may be published, but not the seed, which noise and samples come
from too. Images must have been scaled by constants that do not come from them: `scale_publicly` maps [0, 1]
to [-1, 1], whereas `data.load(normalise=True)` uses the training images' own mean and
spread.
"""

from privacy_for_free.private.noisy_condensation.linear import (
    LDPDC,
    Linear,
    condense_ldpdc,
    condense_linear,
)
from privacy_for_free.private.noisy_condensation.members import Settings
from privacy_for_free.private.noisy_condensation.ndpdc import NDPDC, NoisyMatcher, condense_ndpdc
from privacy_for_free.private.noisy_condensation.one_release import (
    ClippedSums,
    OneRelease,
    ReleasedMeans,
    clipped_feature_sums,
    condense_one_release,
)
from privacy_for_free.private.noisy_condensation.sums import scale_publicly

__all__ = [
    "LDPDC",
    "NDPDC",
    "ClippedSums",
    "Linear",
    "NoisyMatcher",
    "OneRelease",
    "ReleasedMeans",
    "Settings",
    "clipped_feature_sums",
    "condense_ldpdc",
    "condense_linear",
    "condense_ndpdc",
    "condense_one_release",
    "scale_publicly",
]
