"""Dataset condensation and privacy: the library under the book.

Users call entrances (`core.entrance`): functions and classes of settings that take tensors or arrays, check
what they are given by name before any work, compute in a state of their own whatever the caller's is, and
give back tensors without a history and in nobody else's memory. docs/api.md has the whole contract.

Imports run one way, as tests/test_architecture.py says: core and stats at the bottom; data, nets,
condensation, attacks, theory, private and shadows above them; lab and experiments; the book on top.
"""

__version__ = "0.1.0"
