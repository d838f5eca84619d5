"""Verdicts on claims from the book's records, tables of them, and where the prose says otherwise."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from privacy_for_free import experiments
from privacy_for_free.book import figures
from privacy_for_free.book.chapter import RECORDED
from privacy_for_free.book.claims.catalogue import CLAIMS, SPEAKERS, Claim
from privacy_for_free.book.claims.effects import Effect
from privacy_for_free.book.claims.rules import Verdict, combine
from privacy_for_free.lab.record import Record
from privacy_for_free.lab.store import largest

MINUS_SIGN = re.compile(r"(?<!\w)-(?=\d)")
VERDICT_WORDS = "|".join(sorted(Verdict, key=len, reverse=True))
STATED_VERDICT = re.compile(rf"\*\*([A-Z]\d+) ({VERDICT_WORDS})\*\*")
TYPED_TABLE_ROW = re.compile(rf"^\|[^|]*\|.*\*\*(?:{VERDICT_WORDS})\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """A claim's verdict, and by data set the effect and the record it rests on."""

    claim: Claim
    verdict: Verdict
    effects: Mapping[str, Effect]
    records: Mapping[str, Record]


def judge(claim: Claim, results_dir: str | os.PathLike | None = None) -> Finding:
    """Judge a claim from the largest record of each data set, in RESULTS or another folder."""
    effects, records = {}, {}
    for name in RECORDED:
        partial = experiments.get(claim.experiment).partial
        record = largest(claim.experiment, name, results_dir, partial)
        effect = record and claim.measure(record.table)
        if effect is not None:
            effects[name], records[name] = effect, record
    return Finding(claim, combine([claim.rule(effect) for effect in effects.values()]), effects, records)


def verdict(key: str, results_dir: str | os.PathLike | None = None) -> Verdict:
    """Return a claim's verdict; KeyError for a key that is no claim's."""
    return judge({claim.key: claim for claim in CLAIMS}[key], results_dir).verdict


def _shown(finding: Finding) -> str:
    """Return the effects as a table's cell shows them, one line per data set."""
    form = finding.claim.form
    lines = []
    for name, effect in finding.effects.items():
        text = f"{effect.value:{form}}"
        if effect.low != effect.high:
            text = figures.interval(effect.value, effect.low, effect.high, form)
        if effect.p_value is not None:
            text += f", p\u00a0=\u00a0{effect.p_value:.2g}"
        lines.append(f"{figures.short(name)}: {text}")
    return MINUS_SIGN.sub("−", "<br>".join(lines)) or "no record"


def table(speaker: str, results_dir: str | os.PathLike | None = None) -> str:
    """Return a Markdown (MyST) table of a speaker's claims: verdict, effect with interval, evidence.

    KeyError for a speaker that is not in SPEAKERS.
    """
    lines = [
        f"| | {SPEAKERS[speaker]}: what is tested | verdict | effect, 95 % interval | evidence |",
        "|" + "---|" * 5,
    ]
    for claim in CLAIMS:
        if claim.key[0] != speaker:
            continue
        finding = judge(claim, results_dir)
        verdict = f"**{finding.verdict}**"
        if finding.verdict is Verdict.ASSUMPTIONS:
            verdict += f": {claim.assuming}"
        origins = {
            f"{record.meta['profile']}, {record.meta['machine']}" for record in finding.records.values()
        }
        chapters = [f"{{doc}}`{name}`" for name in claim.chapters]
        evidence = [*chapters, f"`{claim.experiment}`", *sorted(origins)]
        cells = (f"{claim.text}<br>*{claim.effect}*", verdict, _shown(finding), "<br>".join(evidence))
        lines.append(f"| {' | '.join((claim.key, *cells))} |")
    return "\n".join(lines)


def rule_table() -> str:
    """Return a Markdown (MyST) table of the rules, one row per claim."""
    lines = ["| | the verdict |", "|---|---|"]
    return "\n".join([*lines, *(f"| {claim.key} | {claim.why} |" for claim in CLAIMS)])


def disagreements(chapters: Path, results_dir: str | os.PathLike | None = None) -> list[str]:
    """Return what the prose of a folder of notebooks says against the records, one line each.

    A stated verdict that is not the record's, a key that is no claim's, a chapter that does not state the
    verdict of a claim whose evidence it holds, and a row of a table with a verdict in bold letters: those are
    computed (`Chapter.verdicts`, `table`) and inserted, so that they cannot disagree.
    """
    findings = {claim.key: judge(claim, results_dir) for claim in CLAIMS}
    wrong = []
    for path in sorted(chapters.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        wrong += [
            f"{path.name}: a verdict that no record decides: {row}" for row in TYPED_TABLE_ROW.findall(prose)
        ]
        stated = STATED_VERDICT.findall(prose)
        for key, verdict in stated:
            if key not in findings:
                wrong.append(f"{path.name}: {key} is no claim, known are {', '.join(findings)}")
            elif verdict != findings[key].verdict:
                wrong.append(
                    f"{path.name}: {key} {verdict!r}, but the records say {str(findings[key].verdict)!r}: "
                    f"{findings[key].claim.effect}: {_shown(findings[key]).replace('<br>', '; ')}"
                )
        for key, finding in findings.items():
            if path.stem in finding.claim.chapters and key not in dict(stated):
                wrong.append(f"{path.name}: does not state the verdict of {key}: **{key} {finding.verdict}**")
    return wrong
