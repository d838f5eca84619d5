"""Dataset condensation and privacy: the library under the book.

Imports run one way: data -> condensation, theory, training -> attacks, private, visual -> experiments ->
chapters. `records` and `figures` know no experiment.
"""

__version__ = "0.1.0"
