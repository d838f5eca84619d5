"""From a data set to what an attacker measures, one function for each arrow.

draw           data set -> pool of images and K halves of it
release        pool -> K synthetic sets
train_and_ask  synthetic sets -> K trained networks -> logit-scaled confidences on the pool, resumable;
               `confidences` yields them network by network, `gather` takes those of any other networks

`canaries` plants images in a pool that are easy to find.
"""

from privacy_for_free.shadows.answers import QUERIES, Answers, ask, confidences, gather, train_and_ask
from privacy_for_free.shadows.game import release
from privacy_for_free.shadows.halves import balanced_pool, check_pool, random_halves
from privacy_for_free.shadows.pools import Pool, draw, in_initialisation

__all__ = [
    "QUERIES",
    "Answers",
    "Pool",
    "ask",
    "balanced_pool",
    "check_pool",
    "confidences",
    "draw",
    "gather",
    "in_initialisation",
    "random_halves",
    "release",
    "train_and_ask",
]
