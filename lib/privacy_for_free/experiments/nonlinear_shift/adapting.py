"""What follows from a change of settings of `nonlinear_shift`: the last stop is the number of DM's steps."""

import dataclasses

from privacy_for_free.experiments.nonlinear_shift.design import Design


def adapt(old: Design, new: Design) -> Design:
    """Return a changed design whose stops end where DM does, `old` being the profile's.

    Stops that were changed themselves stay as they are. ValueError where these do not end with DM's steps.
    """
    steps = new.dm.iterations
    if steps != old.dm.iterations and new.stops == old.stops:
        earlier = tuple(stop for stop in old.stops if stop < steps)
        new = dataclasses.replace(new, stops=(*earlier, steps))
    if new.stops[-1:] != (steps,):
        raise ValueError(f"stops {new.stops}: the last allowed is the {steps} of dm.iterations")
    return new
