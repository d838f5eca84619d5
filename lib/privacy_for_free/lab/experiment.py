"""What an experiment is: one declaration, from which lists, plans, runs and tables of columns are made."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

PROFILES = ("smoke", "laptop", "paper")


@dataclass(frozen=True)
class Column:
    """A column of an experiment's table.

    meaning    what it holds, with its unit, in words
    measured   whether it differs from run to run: seconds and bytes, which comparisons leave out
    tolerance  relative difference that comparisons of code pass over: of a counted peak of memory, in which
               it shows when some small temporary is freed
    """

    name: str
    meaning: str
    measured: bool = False
    tolerance: float = 0.0


def columns(names: str, meaning: str, measured: bool = False, tolerance: float = 0.0) -> tuple[Column, ...]:
    """Return columns of one meaning, named in one text.

    >>> [column.name for column in columns("low, high", "the ends of the interval")]
    ['low', 'high']
    """
    return tuple(Column(name, meaning, measured, tolerance) for name in names.split(", "))


@dataclass(frozen=True)
class Chunks:
    """How a long task is spread over several of a cluster's workers.

    split(task, design, dataset, device)   returns the chunks, in a fixed order; empty: the task stays whole
    run(chunk, task, design, dataset, seed, device[, keep])   returns a dict of tensors, numbers, and lists of
        them; an experiment that has `kept` takes `keep`, whether the task will keep files
    assemble(chunks, found, design, dataset, seed, device, checkpoint)   writes the checkpoint that the task
        would have left had it done itself what all its chunks found

    Chunks of another source are refused. The experiment's `run`, given that checkpoint, returns the rows it
    returns without any chunk, bit for bit.
    """

    split: Callable[..., Sequence[object]]
    run: Callable[..., dict[str, object]]
    assemble: Callable[..., None]

    @property
    def roots(self) -> tuple[str, ...]:
        """The definitions that the source of chunks begins with."""
        return tuple(root(function) for function in (self.split, self.run, self.assemble))


@dataclass(frozen=True)
class Experiment:
    """An experiment: a grid of independent tasks, each of which gives rows of one table.

    name       of its folder, and of the folder of its records
    module     where it is declared, as `EXPERIMENT`: `__name__`
    summary    one line
    description, remarks   what a row of its table is, and what there is to say of the columns after that
    chapter    the notebook that makes and draws its record
    datasets   those that the book records it on
    design     its frozen dataclass of settings
    profiles   smoke (seconds), laptop (hours of two cores), paper (a data-centre GPU): a design each
    columns    of its table, in order
    tasks      (design, dataset) -> tasks: hashable, independent, always in the same order; ValueError where
               the data set is too small
    run        (task, design, dataset, seed, device[, checkpoint][, keep]) -> rows: a dict of all columns each
    sparse     whether a row may leave columns out, which are empty then
    resumable  whether `run` takes `checkpoint`, the path NAME.checkpoint of a file where it keeps what a kill
               should not cost; that file and any NAME.*.checkpoint are removed when the task is done
    kept       (task, design, dataset) -> {"group/name": (dtype, shape)}: the arrays that a task can keep for
               those who attack its releases by other means (`lab.kept`); `run` takes `keep` then, a function
               to which it hands them: keep(group, name=tensor, ...). It is no root. None: nothing is kept
    chunks     how its tasks are spread, None where each is one piece of work
    reduced    changes of the laptop design that cut its counts to seconds, by which two versions of the code
               are compared (`lab.attest`)
    adapt      what else follows from a change of settings: (the profile's design, the changed one) -> the
               design to run, ValueError for one that cannot be run; None where nothing does. It is no root
    kind       what tells tasks that take different ways through the code apart: task -> anything hashable
    partial    whether each task's rows stand for themselves, so that chapters draw from a record that goes on
    order      its place in lists: the book's

    Every random number of a task comes from generators derived from (seed, purpose, task), so a task gives
    the same rows run alone, in a whole run, or on another worker.
    """

    name: str
    module: str
    summary: str
    chapter: str
    datasets: tuple[str, ...]
    design: type
    profiles: Mapping[str, object]
    columns: tuple[Column, ...]
    tasks: Callable[..., list]
    run: Callable[..., list[dict[str, object]]]
    sparse: bool = False
    resumable: bool = False
    kept: Callable[..., Mapping[str, tuple[str, tuple[int, ...]]]] | None = None
    chunks: Chunks | None = None
    reduced: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    kind: Callable[[Hashable], Hashable] = repr
    adapt: Callable[[object, object], object] | None = None
    partial: bool = False
    order: int = 99
    description: str = ""
    remarks: str = ""

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of its columns, without the task's number, which comes last in a table."""
        return tuple(column.name for column in self.columns)

    @property
    def roots(self) -> tuple[str, ...]:
        """The definitions that its source begins with."""
        return tuple(root(start) for start in (self.tasks, self.run, self.design))


def root(definition: Callable) -> str:
    """Return a definition as `lab.definitions` names it: "module:name"."""
    return f"{definition.__module__}:{definition.__qualname__}"
