"""Attesting: the same numbers are attested, another digit is refused with its row and column."""

import dataclasses
import json
import shutil
import subprocess

import pytest

from privacy_for_free import data, experiments
from privacy_for_free.lab import attest, definitions, probe, table_text
from privacy_for_free.lab.attest import Attestation, AttestationError, Library, difference, of_every_kind
from privacy_for_free.lab.record import RecordError
from privacy_for_free.lab.run import run
from privacy_for_free.lab.store import Store, read

NAME = "linear_dm"
CUT = {"pools": [7], "features": [5], "sizes": [[60, 3]], "normals": 20_000, "chains": 20}


@pytest.fixture(scope="module")
def versions(tmp_path_factory, root):
    """Three copies of the library: as it is, with a local variable renamed, and with another number."""
    folder, found = tmp_path_factory.mktemp("versions"), {}
    for name, (old, new) in {
        "same": ("", ""),
        "renamed": (
            "def minimiser(initial: torch.Tensor, real: torch.Tensor) -> torch.Tensor:",
            "def minimiser(initial: torch.Tensor, real: torch.Tensor, *, unused=1) -> torch.Tensor:",
        ),
        "other": (
            "return initial + (real.mean(0) - initial.mean(0))",
            "return initial + (real.mean(0) - initial.mean(0)) * (1 + 2.0**-40)",
        ),
    }.items():
        copy = folder / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "lib" / "privacy_for_free", copy / "lib" / "privacy_for_free", ignore=ignored)
        module = copy / "lib" / "privacy_for_free" / "theory" / "linear.py"
        text = module.read_text()
        assert old in text
        module.write_text(text.replace(old, new))
        found[name] = Library(copy / "lib", name)
    return found


@pytest.fixture(scope="module")
def experiment():
    """The experiment, with a laptop design that takes a second."""
    whole = experiments.get(NAME)
    return dataclasses.replace(whole, reduced=CUT, kind=lambda task: "any")


@pytest.fixture(scope="module")
def made(experiment, versions, tmp_path_factory):
    """A record of a few rows, as the version "renamed" would have made it."""
    folder = tmp_path_factory.mktemp("results")
    dataset = data.load(attest.EMBEDDED)
    run(experiment, dataset, "laptop", changes=CUT, name="cut", results_dir=folder, shown=False)
    store = Store(folder, NAME, attest.EMBEDDED, "cut")
    meta, _ = store.stored(experiment.column_names)
    package = versions["renamed"].path / "privacy_for_free"
    older = definitions.reachable(experiment.roots, folder=package)
    store.state(meta | {"definitions": older, "source_sha256": definitions.digest(older)})
    return store


@pytest.fixture
def store(made, tmp_path):
    """A copy of that record."""
    folder = shutil.copytree(made.folder.parent, tmp_path / "results")
    return Store(folder, NAME, attest.EMBEDDED, "cut")


def attestation(experiment, reference, candidate):
    return Attestation(experiment, reference, data.load, say=lambda line: None, candidate=candidate)


@pytest.fixture(scope="module")
def unchanged(experiment, versions):
    """The comparison of two versions that give the same numbers, its smoke tasks done."""
    compared = attestation(experiment, versions["renamed"], versions["same"])
    compared.smoke()
    return compared


def test_what_does_not_change_a_number_is_attested(unchanged, store):
    table = store.table.read_bytes()
    assert not read(NAME, attest.EMBEDDED, "cut", store.folder.parent).current
    entry = attest.attest(unchanged, store, 1, "c" * 40)
    meta = json.loads(store.sidecar.read_text())
    assert store.table.read_bytes() == table
    assert meta["attested"] == [entry]
    assert entry["commit"] == "c" * 40
    assert entry["tasks"]["smoke"] == unchanged.smoke_tasks > 0
    assert entry["tasks"]["laptop, counts cut"] == 1
    assert entry["tasks"]["record"]["result"] == "the same"
    assert entry["source_sha256"] == definitions.digest(meta["definitions"])
    assert read(NAME, attest.EMBEDDED, "cut", store.folder.parent).current
    assert attest.attest(unchanged, store, 1, "c" * 40) is None


def test_another_digit_is_refused_with_row_and_column(experiment, versions):
    compared = attestation(experiment, versions["same"], versions["other"])
    with pytest.raises(
        AttestationError, match=r"linear_dm on .*smoke, task 0: row \d+, column \w+: .*, today"
    ):
        compared.smoke()


def test_a_reference_that_did_not_make_the_record_is_refused(unchanged, store):
    before = store.sidecar.read_bytes()
    meta = json.loads(before)
    changed = meta["definitions"] | {next(iter(meta["definitions"])): "0" * 16}
    store.state(meta | {"definitions": changed})
    with pytest.raises(AttestationError, match=r"is not the source that made it.*--against"):
        attest.attest(unchanged, store, 0, "c" * 40)
    store.state({key: value for key, value in meta.items() if key != "definitions"} | {"source_sha256": "0"})
    with pytest.raises(AttestationError, match=r"attested last \(source_sha256\)"):
        attest.attest(unchanged, store, 0, "c" * 40)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_record_with_another_digit(unchanged, store, elsewhere):
    """Refused where this machine made it; elsewhere the processor may be the reason."""
    meta, blocks = store.stored(unchanged.experiment.column_names)
    lines = blocks[0].splitlines(keepends=True)
    cells = lines[0].split(",")
    place = unchanged.experiment.column_names.index("expected")
    cells[place] = "0.125"
    altered = {**blocks, 0: "".join([",".join(cells), *lines[1:]])}
    meta = meta | ({"machine": "another"} if elsewhere else {"machine": unchanged.machine})
    store.write(table_text.whole(unchanged.experiment.column_names, altered), meta)
    before = store.sidecar.read_bytes()
    if elsewhere:
        entry = attest.attest(unchanged, store, len(blocks), "c" * 40)
        result = entry["tasks"]["record"]["result"]
        assert result.startswith("the same by both, but on another machine: row 0, column expected")
    else:
        with pytest.raises(AttestationError, match=r"of the record: row 0, column expected: 0\.125, today"):
            attest.attest(unchanged, store, len(blocks), "c" * 40)
        assert store.sidecar.read_bytes() == before


def test_a_record_of_other_settings_or_data_is_refused(unchanged, store):
    meta, _ = store.stored(unchanged.experiment.column_names)
    store.state(meta | {"parameters": meta["parameters"] | {"chains": 21}})
    with pytest.raises(AttestationError, match="other settings than today's"):
        attest.attest(unchanged, store, 0, "c" * 40)
    store.state(meta | {"data_sha256": "0" * 64})
    with pytest.raises(AttestationError, match="made from other data"):
        attest.attest(unchanged, store, 0, "c" * 40)


def test_a_record_that_was_made_anew_meanwhile_is_left_alone(store):
    before = store.sidecar.read_bytes()
    with pytest.raises(RecordError, match="made anew in the meantime"):
        store.append({}, {}, "0" * 64)
    assert store.sidecar.read_bytes() == before


def test_differences_leave_measured_columns_out():
    columns, measured = ["auc", "seconds"], ["seconds"]
    assert difference("0.5,1.0,0\n", "0.5,2.0,0\n", columns, measured) is None
    assert (
        difference("0.5,1.0,0\n", "0.25,1.0,0\n", columns, measured) == "row 0, column auc: 0.5, today 0.25"
    )
    assert difference("0.5,1.0,0\n", "", columns, measured) == "1 rows, today 0"


def test_one_task_of_every_kind(experiment):
    by_parity = dataclasses.replace(experiment, kind=lambda task: task % 2)
    for seed in "abc":
        chosen = of_every_kind(by_parity, range(10), seed)
        assert len(chosen) == 2
        assert {task % 2 for task in chosen} == {0, 1}
    assert of_every_kind(by_parity, range(10), "a") == of_every_kind(by_parity, range(10), "a")


def test_a_probe_changes_settings_of_settings():
    @dataclasses.dataclass(frozen=True)
    class Inner:
        sizes: tuple = ()

    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Inner
        count: int = 1

    found = probe.changed(Outer(Inner()), {"inner.sizes": [[1, 2], [3]], "count": 4})
    assert found == Outer(Inner(((1, 2), (3,))), 4)


def test_a_commit_is_unpacked_or_refused(root):
    if not (root / ".git").exists():
        pytest.skip("needs the history of a git checkout")
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    with attest.checked_out(head.stdout.strip()) as library:
        assert (library.path / "privacy_for_free" / "__init__.py").exists()
    assert not library.path.exists()
    with (
        pytest.raises(AttestationError, match="commit 'nonsense' cannot be unpacked"),
        attest.checked_out("nonsense"),
    ):
        pass


def test_what_was_made_from_an_uncommitted_tree_needs_a_named_commit(store):
    with pytest.raises(AttestationError, match="--against"):
        attest.reference_of({"commit": "a" * 40 + "+changes"}, store)
    assert attest.reference_of({"commit": "a", "attested": [{"commit": "b"}]}, store) == "b"
