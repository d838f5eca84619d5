"""A record: a table, and the sidecar that says where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from privacy_for_free.core import checkout
from privacy_for_free.lab import provenance
from privacy_for_free.lab.experiment import PROFILES

RESULTS = checkout.place("data/results", "privacy-for-free-results")
FORMAT = 1  # of the files; a sidecar that names none is of format 1


class RecordError(RuntimeError):
    """A record cannot be read, reused, continued or written; the message names the file and what to do."""


@dataclass(frozen=True)
class Record:
    """A table, and where it comes from. `path` is None for a run that was kept in memory.

    Its source is that of the code that made it, or of the code that was last attested to give the same
    numbers.
    """

    table: pd.DataFrame
    meta: Mapping[str, object]
    path: Path | None = None

    @property
    def changed(self) -> list[str]:
        """The definitions that its numbers depend on and that are others today; none: it is current."""
        return provenance.changed(self.meta)

    @property
    def current(self) -> bool:
        """Whether today's source made this record, or was attested to make it."""
        return not self.changed

    def provenance(self) -> str:
        """One line for the foot of a figure: what was run, on what, when, and for how long.

        It says since when it is attested, where later code was shown to give the same numbers.
        """
        meta = self.meta
        line = (
            f"{meta['experiment']} on {meta['dataset']}, profile {meta['profile']}, seed {meta['seed']}: "
            f"{self._rows()}, {meta['seconds']:.0f} s on {meta['machine']}, "
            f"{str(meta['started'])[:10]}."
        )
        if not (changed := self.changed):
            attested = meta.get("attested") or []
            return line + (f" Attested {attested[-1]['date'][:10]}." if attested else "")
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return (
            line
            + f" The source has changed since ({', '.join(changed[:3])}{more}): attest it or run it again."
        )

    def _rows(self) -> str:
        """Return how many rows there are and, where it goes on, how many tasks they are of."""
        rows = f"{len(self.table):,} rows"
        if self.meta.get("complete", True):
            return rows
        return f"{rows} of {self.table.task.nunique()} of {self.meta.get('tasks', '?')} tasks so far"


def check_profile(profile: str) -> str:
    """Return the profile's name; ValueError lists the known ones."""
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r}: known are {', '.join(PROFILES)}")
    return profile
