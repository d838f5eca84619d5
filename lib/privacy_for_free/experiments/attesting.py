"""Attesting the records of a folder, one after the other."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from privacy_for_free import data, experiments
from privacy_for_free.core import validate
from privacy_for_free.core.paths import given
from privacy_for_free.lab import attest
from privacy_for_free.lab.attest import Attestation, AttestationError
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.store import Store


def stores(
    results_dir: str | Path, names: tuple[str, ...] = experiments.NAMES
) -> Iterator[tuple[str, Store]]:
    """Yield the records of a folder, smoke runs apart, each with the name of its experiment."""
    folder = given("results_dir", results_dir)
    for name in names:
        for table in sorted((folder / name).glob("*.csv")):
            dataset, _, profile = table.stem.partition("-")
            if profile != "smoke":
                yield name, Store(folder, name, dataset, profile)


def attest_records(
    results_dir: str | Path,
    names: tuple[str, ...] = experiments.NAMES,
    *,
    against: str | None = None,
    sample: int = 1,
    data_root: str | Path | None = None,
    say: Callable[[str], object] = print,
) -> list[str]:
    """Attest every record of these experiments; return a line for each that could not be.

    against   the commit whose code they are held against; None for the one that made or last attested each
    sample    how many full tasks of each record are held against its own lines
    say       is told, line by line, what was compared

    Raises AttestationError where the library differs from its commit: what is attested has to be found again.
    """
    results_dir = given("results_dir", results_dir)
    data_root = None if data_root is None else given("data_root", data_root)
    validate.whole("sample", sample)
    commit, failed = attest.clean_commit(), []
    compared: dict[tuple[str, str], Attestation] = {}
    with ExitStack() as stack:
        libraries: dict[str, attest.Library] = {}
        for name, store in stores(results_dir, names):
            say(f"{store.table}")
            try:
                meta, _ = store.stored(experiments.get(name).column_names)
                reference = against or attest.reference_of(meta, store)
                if reference not in libraries:
                    libraries[reference] = stack.enter_context(attest.checked_out(reference))
                if (name, reference) not in compared:
                    compared[name, reference] = Attestation(
                        experiments.get(name), libraries[reference], data.load, data_root, say
                    )
                entry = attest.attest(compared[name, reference], store, sample, commit)
            except (AttestationError, RecordError, data.DataError) as error:
                failed.append(str(error))
                say(f"  refused: {error}")
            else:
                say("  current already" if entry is None else "  attested")
    return failed
