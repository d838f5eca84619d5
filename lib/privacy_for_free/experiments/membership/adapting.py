"""What follows from a change of settings of `membership`: each cell holds a number of shadows of its own."""

import dataclasses

from privacy_for_free.experiments.membership.design import Design


def adapt(old: Design, new: Design) -> Design:
    """Return a changed design whose cells follow its number of shadows, `old` being the profile's.

    Cells that had all shadows have all again, the others as many of theirs as there are, and of `fewer` the
    numbers below are kept. Cells and `fewer` that were changed themselves stay as they are. ValueError for a
    cell with more shadows than there are.
    """
    number = new.shadows
    if number != old.shadows:
        changes = {}
        if new.cells == old.cells:
            changes["cells"] = tuple(
                (*cell, number if own == old.shadows else min(own, number)) for *cell, own in old.cells
            )
        if new.fewer == old.fewer:
            changes["fewer"] = tuple(fewer for fewer in old.fewer if fewer < number)
        new = dataclasses.replace(new, **changes)
    for *_, own in new.cells:
        if own > number:
            raise ValueError(f"cells with {own} shadows: allowed are at most the {number} of shadows")
    return new
