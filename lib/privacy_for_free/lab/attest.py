"""Attesting: showing that today's code gives the numbers of a record that older code made.

A record is current while every definition it depends on is what it was. After a change that is to alter no
number `attest` compares, on one machine and bit for bit, columns of measured times apart:

1. code against code: the commit that made or last attested the record, and today's. Both run the smoke
   profile whole, and of the laptop design with its counts cut (`Experiment.reduced`) one task of every kind;
2. code against record: some full tasks against the record's own lines. On another machine than the record's
   the last bits may be the processor's: where they differ there, both codes run the task and have to agree.

Then it appends to the sidecar what was compared, and the definitions that count from now on. The table and
its digest never change. A digit that differs refuses, with its row and column, and so does a record of other
settings or data than today's; the sidecar stays as it is. Limits: a branch that no compared task takes is not
seen. Which changed functions and classes no smoke task entered is stated.
"""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from privacy_for_free.core.paths import given
from privacy_for_free.data import Dataset
from privacy_for_free.lab import definitions, provenance, settings
from privacy_for_free.lab.experiment import Experiment
from privacy_for_free.lab.run import designed
from privacy_for_free.lab.store import Store
from privacy_for_free.lab.table_text import difference

PROBE = Path(__file__).with_name("probe.py")
EMBEDDED = "fashion_mnist_mini"  # what the smoke profile is compared on
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class AttestationError(RuntimeError):
    """Today's code does not give a record's numbers, or that cannot be found out; the message says why."""


@dataclass(frozen=True)
class Library:
    """A version of this library on disk; `path` is what its package lies in."""

    path: Path
    name: str

    def probe(self, request: Mapping[str, object]) -> dict:
        """Answer a request of `lab.probe` by this version, in one thread; AttestationError where it fails."""
        environment = os.environ | THREADS | {"PYTHONPATH": str(self.path), "TQDM_DISABLE": "1"}
        ended = subprocess.run(
            [sys.executable, "-P", str(PROBE)],
            input=json.dumps(request),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AttestationError(f"{_described(request)}, by {self.name}: {last}")
        return json.loads(ended.stdout)


TODAY = Library(Path(__file__).resolve().parents[2], "today's code")


@contextmanager
def checked_out(commit: str) -> Iterator[Library]:
    """Unpack the library of a commit into a folder of its own; AttestationError where that cannot be done."""
    command = [
        "git",
        "-C",
        str(provenance.REPOSITORY),
        "archive",
        commit,
        "--",
        "lib",
        "data",
        ":!data/results",
    ]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        why = packed.stderr.decode(errors="replace").strip()
        raise AttestationError(f"commit {commit!r} cannot be unpacked ({why}); name another with --against")
    with tempfile.TemporaryDirectory(prefix="attest-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Library(Path(folder) / "lib", f"commit {commit[:10]}")


def of_every_kind(experiment: Experiment, tasks: Sequence[object], seed: str) -> list[int]:
    """Return the numbers of tasks, one of every kind, each drawn from those of its kind."""
    kinds: dict[object, list[int]] = {}
    for index, task in enumerate(tasks):
        kinds.setdefault(experiment.kind(task), []).append(index)
    draw = random.Random(seed)
    return sorted(draw.choice(indices) for indices in kinds.values())


@dataclass
class Attestation:
    """One experiment's comparison of two versions, which serves all of its records.

    experiment   as it is declared today
    reference    the version that the records are of
    load         (name, data_root) -> data set
    say          is told, line by line, what was compared
    candidate    the version that is to give the same numbers
    """

    experiment: Experiment
    reference: Library
    load: Callable[[str, str | None], Dataset]
    data_root: str | os.PathLike | None = None
    say: Callable[[str], object] = print
    candidate: Library = TODAY

    def __post_init__(self) -> None:
        """Nothing was compared yet; ValueError for a data root that is no path."""
        if self.data_root is not None:
            self.data_root = str(given("data_root", self.data_root))  # it is sent as JSON
        self.measured = [column.name for column in self.experiment.columns if column.measured]
        self.tolerances = {one.name: one.tolerance for one in self.experiment.columns if one.tolerance}
        self.entered: set[str] | None = None
        self.before: dict[str, object] = {}
        self.after: dict[str, object] = {}
        self.smoke_tasks, self.machine = 0, ""

    def check(self, meta: Mapping[str, object], store: Store) -> None:
        """AttestationError unless the reference made the record or was attested last, of today's settings."""
        if not self.before:
            nothing = self.reference.probe(self._request(EMBEDDED, "smoke", {}, []))
            self.before = {key: nothing[key] for key in ("source_sha256", "definitions")}
        stated = meta.get("definitions")
        if stated and self.before["definitions"]:
            changed = definitions.changed(stated, self.before["definitions"])
        else:
            same = self.before["source_sha256"] == meta["source_sha256"] and not meta.get("attested")
            changed = [] if same else ["source_sha256"]
        if changed:
            raise AttestationError(
                f"{store.table}: {self.reference.name} is not the source that made it or was attested last "
                f"({', '.join(changed[:3])}); name the commit with --against"
            )
        design, *_ = self._designed(meta)
        if settings.fill(meta["parameters"], design) != settings.as_json(design):
            raise AttestationError(f"{store.table}: made with other settings than today's: run it again")
        if provenance.data_sha256(self.load(meta["dataset"], self.data_root)) != meta["data_sha256"]:
            raise AttestationError(f"{store.table}: made from other data than what is in {self.data_root}")

    def smoke(self) -> None:
        """Compare the smoke profile whole, once."""
        if self.entered is None:
            request = self._request(EMBEDDED, "smoke", {}, "all")
            after = self._compared(request, note_calls=True)
            self.entered = set(after["calls"])
            self.after = {key: after[key] for key in ("source_sha256", "definitions")}
            self.smoke_tasks, self.machine = len(after["tasks"]), after["machine"]

    def reduced(self, meta: Mapping[str, object]) -> list[int]:
        """Compare one task of every kind of the laptop design with its counts cut; return their numbers."""
        dataset, (_, profile, changes) = meta["dataset"], self._designed(meta)
        changes = {**(changes if profile == "laptop" else {}), **self.experiment.reduced}
        design = settings.change(self.experiment.profiles["laptop"], changes)
        tasks = self.experiment.tasks(design, self.load(dataset, self.data_root))
        chosen = of_every_kind(self.experiment, tasks, f"{self.experiment.name} {dataset}")
        self._compared(self._request(dataset, "laptop", changes, chosen))
        return chosen

    def record(self, meta: Mapping, blocks: Mapping[int, str], count: int) -> dict[str, object]:
        """Compare `count` full tasks, drawn at random, with a record's own lines; return what came of it."""
        draw = random.Random(f"{meta['table_sha256']} {self.after['source_sha256']}")
        chosen = sorted(draw.sample(sorted(blocks), min(count, len(blocks))))
        if not chosen:
            return {"tasks": [], "result": "not compared"}
        _, profile, changes = self._designed(meta)
        request = self._request(meta["dataset"], profile, changes, chosen) | {"seed": meta["seed"]}
        answer = self.candidate.probe(request)
        found, machine = answer["blocks"], answer["machine"]
        for index in chosen:
            columns = self.experiment.column_names
            differing = difference(blocks[index], found[str(index)], columns, self.measured, self.tolerances)
            self.say(f"  task {index} against the record: {differing or 'the same'}")
            if differing and machine == meta["machine"]:
                raise AttestationError(f"{_described(request)}, task {index} of the record: {differing}")
            if differing:
                self._compared(request)
                return {"tasks": chosen, "result": f"the same by both, but on another machine: {differing}"}
        return {"tasks": chosen, "result": "the same"}

    def unentered(self) -> list[str]:
        """Return the changed functions and classes that no smoke task entered."""
        known, today = self.before["definitions"] or {}, self.after["definitions"]
        changed = [name for name, value in today.items() if known.get(name) != value]
        constants = [name for name in changed if name.partition(":")[2].strip("_").isupper()]
        return [name for name in changed if name not in self.entered and name not in constants]

    def _designed(self, meta: Mapping[str, object]) -> tuple[object, str, dict[str, object]]:
        """Return a record's design as it is today, the profile it is of, and all it changes there."""
        varies = meta.get("varies") or {"profile": meta["profile"], "changes": {}}
        profile, changes = varies["profile"], varies["changes"]
        design, _ = designed(self.experiment, profile, changes)
        base = settings.flat(self.experiment.profiles[profile])
        return design, profile, {key: new for key, new in settings.flat(design).items() if new != base[key]}

    def _request(
        self, dataset: str, profile: str, changes: Mapping[str, object], tasks: object
    ) -> dict[str, object]:
        return {
            "experiment": self.experiment.name,
            "dataset": dataset,
            "data_root": self.data_root,
            "profile": profile,
            "changes": dict(changes),
            "tasks": tasks,
            "seed": 0,
            "note_calls": False,
        }

    def _compared(self, request: dict, note_calls: bool = False) -> dict:
        """Run a request by both; return today's answer. AttestationError at the first digit that differs."""
        before = self.reference.probe(request)
        after = self.candidate.probe(request | {"note_calls": note_calls})
        where = _described(request)
        for what in ("columns", "tasks"):
            if before[what] != after[what]:
                raise AttestationError(f"{where}: {what} {before[what]}, today {after[what]}")
        for index, block in before["blocks"].items():
            overlooked = (self.measured, self.tolerances)
            if differing := difference(block, after["blocks"][index], after["columns"], *overlooked):
                raise AttestationError(f"{where}, task {index}: {differing}")
        self.say(f"  {where}: {len(before['blocks'])} tasks, the same by {self.reference.name} and today")
        return after


def _described(request: Mapping[str, object]) -> str:
    cut = " with its counts cut" if request["changes"] and request["profile"] == "laptop" else ""
    return f"{request['experiment']} on {request['dataset']}, profile {request['profile']}{cut}"


def reference_of(meta: Mapping[str, object], store: Store) -> str:
    """Return the commit that a record is to be held against; AttestationError where it was not clean."""
    attested = meta.get("attested") or [meta]
    commit = attested[-1]["commit"]
    if not commit or commit.endswith("+changes"):
        raise AttestationError(
            f"{store.table}: made at commit {commit}; name a commit of the same source with --against"
        )
    return commit


def attest(attestation: Attestation, store: Store, sample: int, commit: str) -> dict[str, object] | None:
    """Attest one record: compare, then append to its sidecar and return what was appended.

    None where the record is current already. `commit` is today's. AttestationError, or RecordError where the
    record is not intact, leave it as it was.
    """
    meta, blocks = store.stored(attestation.experiment.column_names)
    if not provenance.changed(meta):
        return None
    attestation.check(meta, store)
    attestation.smoke()
    reduced = attestation.reduced(meta)
    against = attestation.record(meta, blocks, sample)
    entry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "source_sha256": attestation.after["source_sha256"],
        "against": attestation.reference.name,
        "machine": attestation.machine,
        "tasks": {"smoke": attestation.smoke_tasks, "laptop, counts cut": len(reduced), "record": against},
        "columns_left_out": attestation.measured,
        "tolerances": attestation.tolerances,
        "not_entered_by_smoke": attestation.unentered(),
    }
    store.append(entry, attestation.after["definitions"], meta["table_sha256"])
    return entry


def clean_commit() -> str:
    """Return today's commit; AttestationError where there is none, or the library differs from it."""
    commit = provenance.commit()
    if commit is None or commit.endswith("+changes"):
        raise AttestationError(
            f"the library is at commit {commit}: commit it first, for it is what the next change is held "
            "against"
        )
    return commit
