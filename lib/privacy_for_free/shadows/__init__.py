"""From a data set to what an attacker measures, one function an arrow.

draw         data set -> pool of images and K halves of it
release      pool -> K synthetic sets
confidences  synthetic sets -> K trained networks -> logit-scaled confidences on the pool
"""

from privacy_for_free.shadows.answers import QUERIES, confidences
from privacy_for_free.shadows.game import release
from privacy_for_free.shadows.halves import balanced_pool, random_halves
from privacy_for_free.shadows.pools import Pool, draw, in_initialisation

__all__ = [
    "QUERIES",
    "Pool",
    "balanced_pool",
    "confidences",
    "draw",
    "in_initialisation",
    "random_halves",
    "release",
]
