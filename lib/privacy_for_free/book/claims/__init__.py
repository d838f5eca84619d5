"""The claims of the abstract and of its critics, each judged from the book's records by a stated rule.

A claim comes down to one number with an interval in each record (`effects`), which its rule turns into a
verdict (`rules`); `catalogue` is the list, and `judging` does it. A claim recorded on several data sets fails
where it fails on one of them and holds where it holds on all; otherwise, and without a record, it is open.

Chapters state verdicts in their prose as **A2 holds under assumptions**. `disagreements` lists where the
records say otherwise, and where a chapter's own table of verdicts has one that no record decides; the book is
not built while there are any.
"""

from privacy_for_free.book.claims.catalogue import CLAIMS, SPEAKERS, Claim
from privacy_for_free.book.claims.judging import Finding, disagreements, judge, rule_table, table, verdict
from privacy_for_free.book.claims.rules import Verdict

__all__ = (
    "CLAIMS",
    "SPEAKERS",
    "Claim",
    "Finding",
    "Verdict",
    "disagreements",
    "judge",
    "rule_table",
    "table",
    "verdict",
)
