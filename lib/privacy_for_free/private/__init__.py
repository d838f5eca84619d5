"""Releases with a proved epsilon, their accounting and their audits.

    calibrated          a release that is asked for by its epsilon: start here
    accounting          epsilon of Gaussian mechanisms, and the noise that a target epsilon needs
    noisy_condensation  linear, ldpdc, ndpdc, one_release: condensation that sees the data only through noise
    dp_merf             a generator matched to one noisy mean of random Fourier features
    dp_sgd              training with clipped, noisy gradients
    audit               a lower bound on epsilon from re-runs with and without one example
    worst_case          the hardest neighbours for each mechanism, for audits

Accounting needs dp-accounting and DP-SGD needs Opacus, both in the extra `private`; they are imported where
they are used, so every module imports, and most releases can be made, without them.
"""
