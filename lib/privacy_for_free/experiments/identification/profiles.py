"""The profiles of `identification`."""

from privacy_for_free.experiments.identification.design import Design

PROFILES = {
    "smoke": Design(sizes=((20, 2, 2),), bits=(64, 10, 4), mus=(3.0, 300.0)),
    "laptop": Design(
        sizes=((50, 8, 10), (150, 8, 10), (500, 4, 4), (1500, 4, 1), (2500, 3, 1), (3000, 3, 1)),
    ),
    "paper": Design(
        sizes=((50, 64, 10), (150, 64, 10), (500, 16, 10), (1500, 16, 10), (2500, 16, 10), (3000, 16, 10)),
    ),
}
