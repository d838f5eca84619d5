"""The contract of docs/api.md, over all entrances there are: found here, named nowhere.

A case is an entrance, an argument in another form, and a state of torch in the caller. Demanded is the result
of the plain arguments, bit for bit, or one ValueError that names an argument.
"""

import dataclasses
import inspect
import re
import resource
import signal
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api import comparing, doors, variants, vocabulary
from tests.api.inner import INNER

from privacy_for_free.core.errors import DivergenceError
from privacy_for_free.data.files import DataError

DRAWN = 4000  # cases in a run of the tests
SECONDS = 30  # that a call may take
MEMORY = 6 * 2**30  # bytes of addresses that a case may add
ROOMS = ("attacks", "condensation", "data", "nets", "private", "shadows", "stats", "theory")
DATA = ("Tensor", "ndarray", "Sequence[float]", "ArrayLike", "Weights", "Problem")
WORK = (
    "steps",
    "burn_in",
    "repetitions",
    "resamples",
    "draws",
    "runs",
    "pilots",
    "iterations",
    "epochs",
    "count",
)
SLOW = ("two_threads", "three_threads")


@contextmanager
def limits():
    """Turn a call that takes too long, or too much memory, into an error."""

    def stop(number, frame):
        raise TimeoutError(f"a call took longer than {SECONDS} s")

    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))
    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def state_now():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        np.geterr(),
    )


def cases(name):
    """Return the forms of all arguments of an entrance: [(parameter, key, demanded, form)]."""
    found = []
    for parameter in doors.parameters(name):
        try:
            value = vocabulary.example(name, parameter.name)
        except LookupError:
            value = parameter.default  # of an optional one that the vocabulary need not know
        for key, (demanded, form) in variants.forms(parameter, value).items():
            if not (parameter.name in WORK and key in ("either huge", "either beyond_64_bits")):
                found.append((parameter.name, value, key, demanded, form))
    return found


def attempt(name, state, changes):
    """Call an entrance in a state; return its result, or the error that it may give."""
    arguments = doors.arguments(name) | changes
    with limits(), variants.STATES[state]():
        before = state_now()
        try:
            return doors.call(name, arguments), None
        except (ValueError, DivergenceError, DataError) as error:
            return None, error
        finally:
            assert state_now() == before


def check_error(name, error):
    """An error says what it is about: an argument, or a field of settings that are one."""
    assert not isinstance(error, ValueError) or type(error) is ValueError, repr(error)
    said = str(error)
    names = [parameter.name for parameter in inspect.signature(doors.every()[name]).parameters.values()]
    for value in doors.arguments(name).values():
        if dataclasses.is_dataclass(value):
            names += [field.name for field in dataclasses.fields(value)]
    assert any(re.search(rf"\b{re.escape(one.rstrip('s'))}", said) for one in names), f"names nothing: {said}"
    assert "\n" not in said


def check(name, state, parameter, value, key, demanded, form):
    given_value = form(value)
    in_memory = isinstance(given_value, torch.Tensor) and given_value.layout is torch.strided
    kept = given_value.copy() if isinstance(given_value, np.ndarray) else None
    if in_memory and not given_value.is_meta and given_value.dtype.itemsize > 1:
        kept = given_value.detach().clone()
    result, error = attempt(name, state, {parameter: given_value})
    match demanded:
        case "same":
            assert error is None, f"refused: {error}"
            expected = doors.plain(name)
            if parameter not in doors.arguments(name):  # one that the call could do without
                expected, _ = attempt(name, "plain", {parameter: value})
            assert comparing.same(result, expected), "another result than that of the plain input"
        case "refused":
            assert error is not None, "taken"
            assert parameter in str(error), f"does not name {parameter}: {error}"
        case "not_finite":
            assert error is not None or "nan" not in key, "a NaN went through"
        case "half":
            expected, refusal = attempt(name, "plain", {parameter: given_value.float()})
            assert (error is None) == (refusal is None), f"{error} {refusal}"
            assert error is not None or comparing.same(result, expected)
    if error is not None:
        check_error(name, error)
    for made in comparing.tensors(result):
        assert not made.requires_grad
        if in_memory and made.numel():
            assert made.untyped_storage().data_ptr() != given_value.untyped_storage().data_ptr()
    if isinstance(kept, torch.Tensor):
        assert torch.equal(kept.nan_to_num(), given_value.detach().nan_to_num()), "the argument was changed"
    elif kept is not None and kept.dtype != object:
        assert kept.tobytes() == given_value.tobytes(), "the argument was changed"


def test_every_entrance_is_known_by_its_parameters():
    assert len(doors.every()) > 100
    missing = []
    for name, door in doors.every().items():
        for parameter in vocabulary.needed(name, door):
            try:
                vocabulary.example(name, parameter.name)
            except LookupError as error:
                missing.append(str(error))
    assert not missing, "\n".join(missing)


def test_every_word_of_the_vocabulary_is_used(monkeypatch):
    used, words = set(), dict(vocabulary.VOCABULARY)

    class Noting(dict):
        def __getitem__(self, word):
            used.add(word)
            return super().__getitem__(word)

    monkeypatch.setattr(vocabulary, "VOCABULARY", Noting(words))
    for name, door in doors.every().items():
        for parameter in (*doors.parameters(name), *vocabulary.needed(name, door)):
            with suppress(LookupError):
                vocabulary.example(name, parameter.name)
    assert used == set(words)


@pytest.mark.parametrize("name", doors.every())
def test_k1_the_same_call_gives_the_same_bits_in_every_state(name):
    expected = doors.plain(name)
    for states in variants.ALL:
        arguments = doors.arguments(name)
        with variants.together(*states):
            before = state_now()
            result = doors.call(name, arguments)
            assert state_now() == before
        assert comparing.same(result, expected), states


def test_drawn_cases_give_the_plain_result_or_one_error_that_names_an_argument():
    drawn = []

    @settings(
        max_examples=DRAWN,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def draw(data):
        name = data.draw(st.sampled_from(names))
        state = data.draw(st.sampled_from(list(variants.STATES)))
        parameter, value, key, demanded, form = data.draw(st.sampled_from(cases(name)))
        drawn.append((name, state, parameter, key))
        check(name, state, parameter, value, key, demanded, form)

    names = [name for name in doors.every() if cases(name)]
    draw()
    assert len(drawn) >= DRAWN
    assert len(set(drawn)) > 0.9 * DRAWN


def test_public_functions_that_take_data_are_entrances_or_say_why_not():
    """A new function is tested without being named, or named with a reason."""
    outside: set[str] = set()
    inside = {door.__wrapped__ for door in doors.every().values() if hasattr(door, "__wrapped__")}
    for room in ROOMS:
        for module in doors.modules(f"privacy_for_free.{room}."):
            for name, found in vars(module).items():
                ours = inspect.isfunction(found) and found.__module__ == module.__name__ and name[0] != "_"
                if not ours or found in inside or getattr(found, "__wrapped__", None) in inside:
                    continue
                hints = str(list(inspect.signature(found).parameters.values()))
                if any(word in hints for word in DATA):
                    outside.add(f"{module.__name__}.{name}".removeprefix("privacy_for_free."))
    assert outside == set(INNER)
    assert all(INNER.values())
