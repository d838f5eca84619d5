"""The door: the caller's state stays outside, what comes out is its own."""

import doctest
import functools
import inspect
import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pytest
import torch

from privacy_for_free.core import devices
from privacy_for_free.core import entrance as entrances
from privacy_for_free.core.entrance import ANY, ENTRANCES, ORDERED, entrance


@pytest.fixture(autouse=True)
def no_trace():
    """Take the entrances of these tests out of the register again."""
    before = dict(ENTRANCES)
    yield
    ENTRANCES.clear()
    ENTRANCES.update(before)


@entrance
def state(x: torch.Tensor) -> dict:
    """Return what torch's state is inside.

    >>> state(torch.ones(1))["dtype"]
    torch.float32
    """
    weight = torch.ones(1, requires_grad=True)
    (weight * x).sum().backward()
    return {
        "inference": torch.is_inference_mode_enabled(),
        "gradient": weight.grad,
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "device": torch.zeros(1).device.type,
        "precision": [backend.fp32_precision in entrances.FULL for backend in entrances.PRODUCTS],
        "onednn": torch.backends.mkldnn.enabled,
        "threads": torch.get_num_threads(),
        "errors": np.geterr(),
    }


class Setting:
    """A state that a setter makes, and takes back."""

    def __init__(self, set_it, value, before):
        self.set_it, self.value, self.before = set_it, value, before

    def __enter__(self):
        self.set_it(self.value)

    def __exit__(self, *error):
        self.set_it(self.before)


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: Setting(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: Setting(torch.set_default_dtype, torch.float16, torch.float32),
    "deterministic": lambda: Setting(torch.use_deterministic_algorithms, True, False),
    "meta": lambda: torch.device("meta"),
    "medium": lambda: Setting(torch.set_float32_matmul_precision, "medium", "highest"),
    "numpy_raises": lambda: np.errstate(all="raise"),
    "three_threads": lambda: Setting(torch.set_num_threads, 3, torch.get_num_threads()),
    "no_onednn": lambda: Setting(lambda on: setattr(torch.backends.mkldnn, "enabled", on), False, True),
    **{
        f"products_{number}": lambda backend=backend: Setting(
            lambda precision: setattr(backend, "fp32_precision", precision), "tf32", "none"
        )
        for number, backend in enumerate(entrances.PRODUCTS)
    },
}


def products():
    return [backend.fp32_precision for backend in entrances.PRODUCTS]


@pytest.mark.parametrize("name", STATES)
def test_k1_the_callers_state_stays_outside_and_comes_back(name):
    x = torch.full((1,), 2.0)
    expected = state(x)
    with STATES[name]():
        before = (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(), products())
        found = state(x)
        after = (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(), products())
    assert before == after
    assert found == expected
    assert expected["gradient"].item() == 2.0
    assert not torch.are_deterministic_algorithms_enabled()


def test_k1_the_callers_state_comes_back_after_an_error():
    with torch.no_grad():
        with pytest.raises(ValueError, match="x 'a': allowed"):
            state("a")
        assert not torch.is_grad_enabled()


def test_k1_a_generators_body_runs_in_the_librarys_state_and_the_callers_code_in_his():
    @entrance
    def steps(x: torch.Tensor) -> Iterator[bool]:
        for _ in range(2):
            yield torch.is_grad_enabled()

    with torch.no_grad():
        seen = [(inside, torch.is_grad_enabled()) for inside in steps(torch.ones(1))]
    assert seen == [(True, False)] * 2
    with pytest.raises(ValueError, match="x 3: allowed"):
        steps(3)  # at the call, not at the first step


def test_k1_results_have_no_history_and_no_memory_of_the_arguments():
    @entrance
    def parts(x: torch.Tensor, table: np.ndarray) -> tuple:
        made = torch.nn.Parameter(x * 2)
        return x, {"view": x[1:], "made": made * 3}, [table[0], np.zeros(1)], "text"

    x, table = torch.arange(3.0, requires_grad=True), np.ones((2, 2))
    same, found, arrays, text = parts(x, table)
    assert torch.equal(same, x.detach())
    for value in (same, found["view"], found["made"]):
        assert not value.requires_grad
        assert value.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
    assert not any(np.shares_memory(value, table) for value in arrays)
    assert text == "text"


def test_arguments_are_plain_inside():
    @entrance(scores=ORDERED, other=ANY)
    def kinds(scores: torch.Tensor, other: torch.Tensor, n: int = 1, *more: float, **named: bool) -> tuple:
        return scores, other, n, more, named

    found = kinds(
        np.array([np.inf]), torch.tensor([np.nan]), np.int8(2), np.float32(0.5), 1, wanted=np.False_
    )
    assert found[0].item() == np.inf
    assert found[2:] == (2, (0.5, 1), {"wanted": False})
    assert type(found[2]) is int
    with pytest.raises(ValueError, match=r"more\[1\] 'a': allowed are numbers"):
        kinds(torch.ones(1), torch.ones(1), 1, 2.0, "a")
    with pytest.raises(ValueError, match=r"wanted 1: allowed are True and False"):
        kinds(torch.ones(1), torch.ones(1), wanted=1)
    with pytest.raises(TypeError, match="missing a required argument: 'other'"):
        kinds(torch.ones(1))


@entrance
@dataclass(frozen=True)
class Settings:
    """Settings with what users give."""

    steps: int = 3
    rate: float = 0.5
    start: torch.Tensor | None = None


def test_k2_settings_hold_pythons_own_numbers():
    made = Settings(np.int64(4), np.float32(0.25))
    assert repr(made) == "Settings(steps=4, rate=0.25, start=None)"
    assert replace(made, rate=1) == Settings(4, 1)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  our own bytes
    with pytest.raises(ValueError, match="steps '4': allowed are whole numbers"):
        Settings("4")


def test_an_entrance_stays_the_function_it_was():
    assert inspect.signature(state).parameters["x"].annotation is torch.Tensor
    assert state.__module__ == __name__
    assert state.__doc__.startswith("Return what")
    found = doctest.DocTestFinder().find(state, module=inspect.getmodule(state))
    assert [len(test.examples) for test in found] == [1]
    assert any(name.endswith(".Settings") for name in ENTRANCES)


def test_kinds_of_parameters_there_are_not_are_refused():
    with pytest.raises(ValueError, match="no parameter 'y', or no kind 'ordered'"):
        entrance(y=ORDERED)(lambda x: x)


def test_k1_two_threads_keep_their_gradient_modes():
    seen = []

    def work(mode):
        with mode():
            seen.append((mode, state(torch.ones(1))["gradient"].item(), torch.is_grad_enabled()))

    modes = (torch.no_grad, torch.enable_grad) * 4
    threads = [threading.Thread(target=work, args=(mode,)) for mode in modes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(modes)
    assert all(gradient == 1.0 and enabled is (mode is torch.enable_grad) for mode, gradient, enabled in seen)


class Speaks(Protocol):
    """What cannot be told from an instance."""

    def speak(self) -> str:
        """Speak."""


def test_protocols_in_unions_are_not_asked_for_instances():
    @entrance
    def call(speaker: Speaks | str | None = None) -> object:
        return speaker

    assert call("a") == "a"
    assert call() is None
    assert call(3) == 3


def test_a_function_that_keeps_its_results_is_one_too():
    calls = []

    @entrance
    @functools.cache
    def kept(n: int) -> int:
        calls.append(n)
        return n

    assert kept(np.int64(2)) == kept(2) == 2
    assert calls == [2]


def test_k1_what_is_made_of_tensors_does_not_lie_in_their_memory():
    start = torch.ones(3)
    made = Settings(start=start)
    start[0] = 5.0
    assert made.start.tolist() == [1, 1, 1]


def test_k3_a_function_that_returns_a_generator_checks_at_the_call_and_yields_in_torchs_own_state():
    def states(count):
        for _ in range(count):
            yield torch.is_grad_enabled(), torch.get_default_dtype()

    @entrance
    def checked(count: int) -> Iterator[tuple[bool, torch.dtype]]:
        if count < 1:
            raise ValueError(f"count {count}: allowed are whole numbers from 1 up")
        return states(count)

    with pytest.raises(ValueError, match="count 0"):
        checked(0)
    with torch.no_grad():
        made = checked(2)
        assert next(made) == (True, torch.float32)
        assert not torch.is_grad_enabled()
        assert list(made) == [(True, torch.float32)]


def test_k1_sums_are_those_of_one_thread_whatever_the_caller_has_set():
    inside = entrance(lambda: torch.get_num_threads())
    with Setting(torch.set_num_threads, 3, torch.get_num_threads()):
        assert inside() == 1
        with entrances.own_state():
            assert torch.get_num_threads() == 1
            with devices.given_threads():  # for what does not depend on it
                assert torch.get_num_threads() == 3
                assert inside() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3


def test_k1_a_number_of_threads_that_is_asked_for_is_that_of_every_entrance(monkeypatch):
    monkeypatch.setenv(devices.THREADS_VARIABLE, "2")
    assert entrance(lambda: torch.get_num_threads())() == 2
