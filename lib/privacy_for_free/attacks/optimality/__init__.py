"""The optimality attack: released images that minimise a loss of their members say who those are.

A set S that distribution matching has condensed is a stationary point of its loss, and the loss is linear in
who is a member: one equation per released pixel, in as many unknowns as the pool has images. The equations
ask for the law of the extractors, not for their draws. That minimisers of an empirical risk give linear
equations in the data is the attack of Kasiviswanathan, Rudelson and Smith (SODA 2013) on released models,
after Dinur and Nissim (PODS 2003).

    extractors = Extractors.draw(network, 100, seed)
    scores = solve(equations(extractors, pool, released, members), ridge=0.01)

Time and memory, measured on one thread: for 6,000 candidates, 30 images of 28 x 28 pixels and a ConvNet of
width 16, 5 s per extractor, and 75 s for all ridges by the matrix; 2.1 GiB. What takes more than
`system.MEMORY` is refused with a sentence. The error of the equations falls with the number of extractors as
1/sqrt(R), and is for a long time most of what is left: more extractors help before anything else does.

`choose` picks the ridge and the like on shadows; `linear_tracing` is the natural attack in the space of
features, for comparison. `solve_clipped` is for images that were clipped, and `gradient_equations`,
`kip_equations` and `matching_equations` are for other condensers.
"""

from privacy_for_free.attacks.optimality.choosing import Choice, choose
from privacy_for_free.attacks.optimality.clipping import at_bounds, solve_clipped, unclipped
from privacy_for_free.attacks.optimality.extractors import Extractors, linear_tracing
from privacy_for_free.attacks.optimality.gradients import gradient_equations, kip_equations
from privacy_for_free.attacks.optimality.matching import matching_equations
from privacy_for_free.attacks.optimality.solving import solve, solve_all
from privacy_for_free.attacks.optimality.system import Equations, equations

__all__ = [
    "Choice",
    "Equations",
    "Extractors",
    "at_bounds",
    "choose",
    "equations",
    "gradient_equations",
    "kip_equations",
    "linear_tracing",
    "matching_equations",
    "solve",
    "solve_all",
    "solve_clipped",
    "unclipped",
]
