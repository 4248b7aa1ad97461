"""All numbers of a report, from the tables of a run; and the flat metrics that DVC and MLflow show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from data.dedup import Drop
from data.difficulty import difficulties
from data.lineage import outcomes
from data.metrics.answers import is_greedy_only
from data.metrics.bootstrap import Estimate
from data.metrics.cells import measures_of_draws
from data.metrics.choose import Choice, choose
from data.metrics.compare import Comparison, Paired, Rules, compare, per_seed
from data.metrics.lengths import Kept, LessonLength, Survival, common_problems, data_ratios, kept, lesson_length, survival, wrong_counts
from data.metrics.spending import Spending, spending
from data.metrics.votes import Votes, votes
from data.records import Drawn, Lesson, Outcome, Problem, Recheck, Score, Split, Trace, Verdict
from data.statement import lesson_text
from pipeline.support.draws import first_draws
from pipeline.support.params import Params
from pipeline.support.student_settings import BASE
from students.examples import Example
from teachers.compressors.settings import PruneTokensSettings, of_wrong

Seeds = dict[tuple[str, int], dict[str, float]]
Row = tuple[str, float | str | None]


@dataclass(frozen=True)
class Tables:
    """What a report is made of; `count_tokens` counts a lesson's completion as the students do."""

    problems: Sequence[Problem]
    left_out: Sequence[Drop]
    scores: Sequence[Score]
    long: Sequence[Trace]
    long_verdicts: Sequence[Verdict]
    short: Sequence[Trace]
    short_verdicts: Sequence[Recheck]
    drawn: Sequence[Drawn]
    lessons: Mapping[str, Sequence[Lesson]]
    trained: Mapping[str, int]
    """Student → tokens that its training read, prompts and all epochs, those of the students that it starts from included."""
    trained_rows: Mapping[str, Sequence[Example]]
    """Student → rows of the first seed's training, as the model read them."""
    count_tokens: Callable[[str], int]


@dataclass(frozen=True)
class Findings:
    """All that a report says."""

    test: Comparison
    validation: Comparison
    draws: Comparison | None
    """pass@k and maj@k; None without draws."""
    votes: Votes | None
    """Other ways of counting the draws; None where none are asked for."""
    validation_votes: Votes | None
    """The same on validation, for choosing among them; None without draws there."""
    choice: Choice
    seeds: Seeds
    """Greedy test numbers of every student and seed."""
    spending: Spending
    outcomes: Counter[Outcome]
    """Of the long traces."""
    survival: Mapping[str, Survival]
    kept: Mapping[str, Kept]
    """By compressor."""
    common: int
    """Problems with a survivor of every compressor."""
    lengths: Mapping[str, LessonLength]
    trained: Mapping[str, int]
    """What a student's training cost, as in `Tables`."""
    wrong: Mapping[str, Counter[str]]
    """What students learn from that is wrong or worse, by reason; students that learn from nothing such are left out."""
    asked: Mapping[str, float]
    """Ratio that a student's compressor was asked for; students whose compressor has none are left out."""


def findings(tables: Tables, params: Params) -> Findings:
    """Compute everything; the same for any order of rows."""
    settings, long = params.report, params.report.long
    rules = Rules(settings.resamples, settings.seed, settings.margin)
    test, validation = (_part(tables.scores, split, "greedy") for split in (Split.TEST, Split.VALIDATION))
    drawn, also_drawn = (_part(tables.scores, split, "draw") for split in (Split.TEST, Split.VALIDATION))
    ways = params.evaluate.votes
    on_validation = compare(validation, rules)
    lengths = {student: lesson_length(rows, tables.count_tokens) for student, rows in tables.lessons.items()}
    surviving = {recheck.trace_id for recheck in tables.short_verdicts if recheck.survives}
    survivors = [trace for trace in tables.short if trace.id in surviving]
    left_out = of_wrong(params.shorten)
    references = {problem.id: problem.reference for problem in tables.problems}
    of_right = [trace for trace in tables.short if trace.writer not in left_out]
    bands = difficulties(tables.long, outcomes(tables.long, tables.long_verdicts), first=first_draws(params.sample))
    return Findings(
        test=compare(test, rules, baselines=(long, BASE)),
        validation=on_validation,
        draws=compare(drawn, rules, measures=measures_of_draws(params.evaluate.draws)) if drawn else None,
        votes=votes(drawn, also_drawn, ways, rules) if ways and drawn else None,
        validation_votes=votes(also_drawn, also_drawn, ways, rules) if ways and also_drawn else None,
        choice=choose(on_validation, validation, baseline=long, candidates=candidates(params), margin=settings.margin),
        seeds=per_seed(test),
        spending=spending(tables.drawn, most=params.sample.draws if params.sample.stop else None),
        outcomes=Counter(verdict.outcome for verdict in tables.long_verdicts),
        survival=survival(of_right, tables.short_verdicts, bands),
        kept=kept(
            survivors,
            {trace.id: trace for trace in (*tables.long, *tables.short)},
            lambda trace: tables.count_tokens(lesson_text(trace, references[trace.problem_id]) or ""),
        ),
        common=len(common_problems(survivors)),
        lengths=lengths,
        trained=tables.trained,
        wrong={student: counts for student, rows in tables.lessons.items() if (counts := wrong_counts(rows))},
        asked=_asked(params, data_ratios(lengths, long=long)),
    )


def greedy_only(found: Findings) -> list[str]:
    """The students, the base aside, that answer well only greedily."""
    if found.draws is None:
        return []
    both = {name: (found.test.summary[name]["accuracy"].value, own["pass_at_1"].value) for name, own in found.draws.summary.items()}
    return [name for name, (greedy, drawn) in both.items() if name != BASE and is_greedy_only(greedy, drawn)]


def _part(scores: Sequence[Score], split: Split, mode: str) -> list[Score]:
    return [score for score in scores if score.split is split and score.mode == mode]


def candidates(params: Params) -> list[str]:
    """Students that may be handed off: those that `handoff.candidates` names, or all but the long one, those taught by a control, those
    that imitate wrong traces alone, and those that cannot be served.
    """
    if params.handoff.candidates is not None:
        return [name for name in params.handoff.candidates if name in params.students]
    controls = {name for name, settings in params.shorten.items() if settings.control}
    taught = {name: own for name, own in params.students.items() if name != params.report.long and not controls & own.plan.right}
    return [name for name, own in taught.items() if own.is_servable and not own.is_negative]


def _asked(params: Params, ratios: Mapping[str, float]) -> dict[str, float]:
    """What the compressor of a student taught by one alone is asked for: a share, or the data ratio of the student whose compressor it is
    `like`. A share that depends on difficulty is no one number, and where a floor decides, the share is none that was asked for.
    """
    alone = {name: next(iter(student.lessons)) for name, student in params.students.items() if len(student.lessons) == 1}
    taught_by = {writer: name for name, writer in reversed(alone.items())}
    found = {}
    for student, writer in alone.items():
        settings = params.shorten.get(writer)
        if isinstance(settings, PruneTokensSettings) and settings.floor is not None:
            continue
        if settings is not None and isinstance(settings.share, float):
            found[student] = settings.share
        elif settings is not None and settings.like in taught_by and taught_by[settings.like] in ratios:
            found[student] = ratios[taught_by[settings.like]]
    return found


def flat(found: Findings, *, long: str) -> dict[str, float | str]:
    """`student.metric` → number, rounded to 6 digits; what is not defined is left out. Names never depend on the numbers."""
    rows = [*_summaries(found), *_pairs(found.test, long), *_data(found, long), *(_votes(found.votes) if found.votes else ())]
    rows += [("best.student", found.choice.student or "none"), ("best.within_margin", str(found.choice.within_margin).lower())]
    return _rounded(rows)


def flat_comparison(comparison: Comparison, *, long: str) -> dict[str, float | str]:
    """What `flat` says of one comparison, under the same names."""
    return _rounded([*_summary(comparison), *_pairs(comparison, long)])


def _rounded(rows: Iterable[Row]) -> dict[str, float | str]:
    return {name: value if isinstance(value, str) else round(value, 6) for name, value in rows if value is not None and _defined(value)}


HEADLINE = ("accuracy", "tokens", "vs_long_difference", "vs_long_difference_low", "vs_long_difference_high", "vs_long_token_ratio")
"""What is compared first: few enough that the tables of DVC, a column for each, can be read."""


def headline(metrics: Mapping[str, float | str]) -> dict[str, float | str]:
    """Of `flat` metrics those that `dvc metrics` and `dvc exp show` show."""
    return {name: value for name, value in metrics.items() if name == "best.student" or name.partition(".")[2] in HEADLINE}


def _defined(value: float | str) -> bool:
    return isinstance(value, str) or isfinite(value)


def _with_bounds(name: str, estimate: Estimate) -> list[Row]:
    return [(name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high)]


def _summaries(found: Findings) -> Iterator[Row]:
    parts = [("", found.test), ("validation_", found.validation)] + ([("", found.draws)] if found.draws else [])
    for prefix, part in parts:
        yield from _summary(part, prefix)


def _summary(comparison: Comparison, prefix: str = "") -> Iterator[Row]:
    for student, measures in comparison.summary.items():
        for measure, estimate in measures.items():
            yield from _with_bounds(f"{student}.{prefix}{measure}", estimate)


def _votes(found: Votes) -> Iterator[Row]:
    for student, ways in found.counted.items():
        for way, counted in ways.items():
            name = f"{student}.vote_{way}"
            yield from _with_bounds(f"{name}_accuracy", counted.accuracy)
            yield from ((f"{name}_draws", counted.draws), (f"{name}_tokens", counted.tokens), (f"{name}_agreement", counted.agreement))
            yield from _with_bounds(f"{name}_at_equal_draws", counted.at_equal_draws)
            yield from _with_bounds(f"{name}_at_equal_tokens", counted.at_equal_tokens)
    for ranker, students in found.judged.items():
        for student, judged in students.items():
            name = f"{student}.ranked_by_{ranker}"
            yield from ((f"{name}_pair_accuracy", judged.pair_accuracy), (f"{name}_brier", judged.brier))
            yield from ((f"{name}_brier_raw", judged.brier_raw), (f"{name}_brier_of_rate", judged.brier_of_rate))


def _pairs(test: Comparison, long: str) -> Iterator[Row]:
    for baseline, pairs in test.paired.items():
        against = "long" if baseline == long else baseline
        for student, pair in pairs.items():
            yield from _pair(f"{student}.vs_{against}", pair)


def _pair(name: str, pair: Paired) -> Iterator[Row]:
    yield from _with_bounds(f"{name}_difference", pair.difference)
    yield from _with_bounds(f"{name}_token_ratio", pair.token_ratio)
    yield from (
        (f"{name}_p", pair.p),
        (f"{name}_p_holm", pair.p_holm),
        (f"{name}_keeps_accuracy", pair.keeps.value),
        (f"{name}_aes", pair.aes),
    )


def _data(found: Findings, long: str) -> Iterator[Row]:
    ratios = data_ratios(found.lengths, long=long)
    for name, cost in (("sample.spent", found.spending.spent), ("sample.saved", found.spending.saved)):
        yield from ((f"{name}_{what}", number) for what, number in cost._asdict().items())
    for student, length in found.lengths.items():
        yield f"{student}.lesson_rows", length.rows
        yield f"{student}.lesson_tokens", length.tokens
        yield f"{student}.data_token_ratio", ratios.get(student)
        yield f"{student}.trained_tokens", found.trained.get(student)
    for compressor, counts in found.survival.items():
        yield f"compressor_{compressor}.survival", counts.survived / counts.traces
        yield f"compressor_{compressor}.gain", counts.gain
    for compressor, ratio in found.kept.items():
        yield f"compressor_{compressor}.kept", ratio.all
