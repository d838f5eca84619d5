"""The algebra of "Linear extractors: the proof", done again by SymPy: each function returns what must vanish.

Moments of the extractor are taken exactly, by expanding in its entries and replacing every monomial by its
Gaussian expectation. Needs sympy (the extra `book`).
"""

import sympy as sp

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance

LARGEST = 12  # entries that are expanded in, symbol by symbol


def gaussian_expectation(expression: sp.Expr, entries: list[sp.Symbol], variance: sp.Expr) -> sp.Expr:
    """Expectation of a polynomial in independent N(0, variance) entries, monomial by monomial.

    >>> x, v = sp.symbols("x v")
    >>> gaussian_expectation(x**4 + x**3 + 2 * x**2, [x], v)
    3*v**2 + 2*v
    """
    total = sp.Integer(0)
    for powers, coefficient in sp.Poly(sp.expand(expression), *entries).terms():
        if all(power % 2 == 0 for power in powers):
            moment = sp.prod(sp.factorial2(power - 1) * variance ** (power // 2) for power in powers if power)
            total += coefficient * moment
    return sp.expand(total)


def entries_of(residual: sp.Expr | sp.MatrixBase | tuple[sp.Expr, ...]) -> list[sp.Expr]:
    """Return a residual's entries: all of a matrix or a tuple, or the expression itself.

    >>> entries_of(sp.zeros(1, 2)), entries_of(sp.Integer(0))
    ([0, 0], [0])
    """
    return list(residual) if isinstance(residual, tuple | sp.MatrixBase) else [residual]


def _sizes(**sizes: int) -> None:
    """Refuse sizes below 1, and more entries than SymPy expands in seconds."""
    for name, value in sizes.items():
        validate.whole(name, value, 1)
    (one, first), (two, second) = sizes.items()
    if first * second > LARGEST:
        raise ValueError(f"{one} {first}, {two} {second}: allowed are products to {LARGEST}")


def _extractor(k: int, d: int) -> tuple[sp.Matrix, list[sp.Symbol]]:
    _sizes(k=k, d=d)
    theta = sp.Matrix(k, d, sp.symbols(f"theta:{k * d}", real=True))
    return theta, list(theta)


@entrance
def loss_residual(k: int, d: int) -> sp.Expr:
    """Minimisers: E ||theta D||^2 - v k ||D||^2."""
    theta, entries = _extractor(k, d)
    gap, variance = sp.Matrix(sp.symbols(f"D:{d}", real=True)), sp.symbols("v", positive=True)
    loss = (theta * gap).dot(theta * gap)
    return sp.expand(gaussian_expectation(loss, entries, variance) - variance * k * gap.dot(gap))


@entrance
def gradient_residual(m: int, d: int) -> sp.Matrix:
    """Dynamics: the gradient of v k ||xbar - sbar||^2 in every s_j, plus (2 v k / m) D, as (m, d)."""
    _sizes(m=m, d=d)
    variance, k = sp.symbols("v k", positive=True)
    synthetic = sp.Matrix(m, d, sp.symbols(f"s:{m * d}", real=True))
    mean = sp.Matrix(1, d, sp.symbols(f"xbar:{d}", real=True))
    gap = mean - sum((synthetic.row(j) for j in range(m)), sp.zeros(1, d)) / m
    loss = variance * k * gap.dot(gap)
    gradient = synthetic.applyfunc(loss.diff)
    return (gradient + sp.ones(m, 1) * gap * (2 * variance * k / m)).applyfunc(sp.expand)


def path_residual() -> sp.Expr:
    """Dynamics: D_t = (1 - 2 eta v k / m)^t D_0 solves D_{t+1} = D_t - 2 eta v k / m D_t."""
    t, gap = sp.symbols("t", integer=True, nonnegative=True), sp.Function("D")
    eta, variance, k, m, start = sp.symbols("eta v k m D_0", positive=True)
    step = 2 * eta * variance * k / m
    solved = sp.rsolve(gap(t + 1) - gap(t) + step * gap(t), gap(t), {gap(0): start})
    return sp.simplify((solved / (start * (1 - step) ** t)) - 1)


@entrance
def second_moment_residual(k: int, d: int) -> sp.Matrix:
    """Second moments, v = 1: E[Theta M Theta] - k (k+1) M - k tr(M) I, M symmetric, Theta = theta^T theta."""
    theta, entries = _extractor(k, d)
    matrix = sp.Matrix(d, d, lambda i, j: sp.Symbol(f"M{min(i, j)}{max(i, j)}", real=True))
    product = theta.T * theta * matrix * theta.T * theta
    moment = product.applyfunc(lambda entry: gaussian_expectation(entry, entries, sp.Integer(1)))
    return (moment - k * (k + 1) * matrix - k * matrix.trace() * sp.eye(d)).applyfunc(sp.expand)


@entrance
def mean_square_residual(k: int, d: int) -> sp.Expr:
    """Fresh extractors: E ||(I - a Theta) D||^2 - (1 - 2 a k + a^2 k (k+d+1)) ||D||^2."""
    theta, entries = _extractor(k, d)
    gap, a = sp.Matrix(sp.symbols(f"D:{d}", real=True)), sp.symbols("a", positive=True)
    after = gap - a * theta.T * (theta * gap)
    moment = gaussian_expectation(after.dot(after), entries, sp.Integer(1))
    return sp.expand(moment - (1 - 2 * a * k + a**2 * k * (k + d + 1)) * gap.dot(gap))


def stationary_residuals() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Minibatches: fixed points of the minibatch noise: fixed theta, then fresh theta's trace and entry.

    The fresh case is a scalar computation, since M is a multiple of C plus a multiple of I.
    """
    g, c, a, k, d, trace = sp.symbols("g c a k d T", positive=True)
    noise = g / (2 - g) * c
    fixed = sp.simplify((1 - g) ** 2 * noise + g**2 * c - noise)

    trace_m = a * (k + d + 1) / (2 - a * (k + d + 1)) * trace
    total = trace_m + trace
    step = (1 - 2 * a * k) * trace_m + a**2 * k * ((k + 1) * total + d * total)
    in_trace = sp.simplify(step - trace_m)

    m = a * ((k + 1) * c + total) / (2 - a * (k + 1))  # one diagonal entry of M, c that of C
    in_entry = sp.simplify((1 - 2 * a * k) * m + a**2 * k * ((k + 1) * (m + c) + total) - m)
    return fixed, in_trace, in_entry


def removal_residuals() -> tuple[sp.Expr, sp.Expr]:
    """One sample: the move of the mean, less (without x - x) / n and (mean - x) / (n - 1)."""
    n, x, rest = sp.symbols("n x R")  # rest: sum of the other n - 1 images
    mean, without = (rest + x) / n, rest / (n - 1)
    return sp.simplify(without - mean - (without - x) / n), sp.simplify(without - mean - (mean - x) / (n - 1))
