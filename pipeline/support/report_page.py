"""The report as a page of Markdown that a stranger can read, and its main table for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from data.difficulty import EASY_FROM, HARD_TO, Difficulty
from data.metrics.answers import AES_ALPHA, AES_BETA, AES_GAMMA
from data.metrics.compare import MIN_PROBLEMS, Comparison, Keeps, Paired
from data.metrics.lengths import REGROWN, data_ratios, regrows
from pipeline.support.findings import Findings, greedy_only
from pipeline.support.params import Report
from pipeline.support.report_text import NONE, Table, count, markdown, p_value, percent, plain, points, ratio, share
from pipeline.support.report_votes import vote_sections
from pipeline.support.student_settings import BASE


def main_table(found: Findings, settings: Report) -> Table:
    """Students on the test problems, against the long one."""
    header = (
        "student", "accuracy", "finished", "unfinished", "tokens / question", "tokens / right",
        f"− {settings.long} (points)", "p (Holm)", f"tokens ÷ {settings.long}", "keeps accuracy?", "AES",
    )  # fmt: skip
    pairs = found.test.paired.get(settings.long, {})
    rows = []
    for student in ordered(found.test, settings.long):
        own = found.test.summary[student]
        rows.append([student, percent(own["accuracy"]), percent(own["accuracy_finished"]), percent(own["unfinished"])])
        rows[-1] += [count(own["tokens"]), count(own["tokens_per_right"]), *_against(pairs.get(student), settings)]
    return header, rows


def ordered(comparison: Comparison, long: str) -> list[str]:
    """The base, the long student, then the others from most to fewest tokens."""
    others = sorted(set(comparison.summary) - {BASE, long}, key=lambda student: (-comparison.value(student, "tokens"), student))
    return [student for student in (BASE, long) if student in comparison.summary] + others


def _against(pair: Paired | None, settings: Report) -> list[str]:
    if pair is None:
        return [NONE] * 5
    score = NONE if pair.aes is None else f"{pair.aes:+.2f}"
    # Four columns of one pair, then its score.
    return [points(pair.difference), p_value(pair.p_holm, settings.resamples), ratio(pair.token_ratio), pair.keeps.value, score]


class Shown(NamedTuple):
    """What a page shows word for word, as Markdown; nothing where there is nothing of a kind."""

    answers: str = ""
    shortened: str = ""
    left_out: str = ""
    trained_rows: str = ""


def page(found: Findings, settings: Report, shown: Shown) -> str:
    """The whole page."""
    sections = [
        "# Report",
        _headline(found, settings),
        f"## Test: {found.test.problems} problems, greedy answers",
        markdown(main_table(found, settings)),
        _legend(found, settings),
        "## Against the untrained base",
        markdown(_base_table(found.test, settings)),
        *_draws(found, settings),
        *vote_sections(found.votes, found.validation_votes, ordered(found.test, settings.long)),
        f"## Validation: {found.validation.problems} problems, on which the best student was chosen",
        markdown(_validation_table(found, settings)),
        found.choice.rule,
        "## Short traces",
        markdown(_survival_table(found)),
        "Survived: of all traces, then by difficulty of the problem (share of the teacher's draws that are right: easy from "
        f"{EASY_FROM:g}, hard up to {HARD_TO:g}). Gain: how much oftener the same model is right from the short thinking than from none.",
        markdown(_kept_table(found)),
        "Tokens of a compressor's survivors (thinking + final statement) over those of the long traces that they come from.",
        _outcomes(found),
        _spending(found),
        "### One problem, shortened in every way",
        shown.shortened,
        "## What was taught, and what came of it",
        markdown(_lengths_table(found, settings)),
        "Trained: all tokens that its training read, over all epochs, with those of the students that it starts from. "
        "Ratios of mean tokens (thinking + answer) to those of the long student: what the compressor was asked for, what the lessons hold, "
        "and what the student writes on the test problems. A student that writes surely more than "
        f"{REGROWN:g} × the answer tokens that it was taught grows again behind its thinking what was cut from it.",
        *_wrong(found),
        *(["### Rows of the trainings, decoded", shown.trained_rows] if shown.trained_rows else []),
        *_seeds(found),
        *(["## Problems that were left out", shown.left_out] if shown.left_out else []),
        "## Examples",
        shown.answers,
    ]
    return "\n\n".join(sections) + "\n"


def _headline(found: Findings, settings: Report) -> str:
    best, long = found.choice.student, f"`{settings.long}`"
    if best is None:
        return f"There is no short student to choose: all students are {long} or controls."
    pair = found.test.paired[settings.long][best]
    claims = {
        Keeps.YES: f"keeps the accuracy of {long}",
        Keeps.NO: f"is not shown to keep the accuracy of {long}",
        Keeps.TOO_FEW: f"is compared on fewer than {MIN_PROBLEMS} problems, too few to claim that it keeps the accuracy of {long}",
    }
    margin = "" if found.choice.within_margin else " On validation no candidate was within the margin; it is the most accurate one."
    return (
        f"The best short student, chosen on validation, is `{best}`. On the test problems it {claims[pair.keeps]} "
        f"(difference {points(pair.difference)} points) at {ratio(pair.token_ratio)} of its tokens.{margin}"
        + (" **It should be asked greedily:** its draws are far less often right, see below." if best in greedy_only(found) else "")
    )


def _legend(found: Findings, settings: Report) -> str:
    compared = len(found.test.paired.get(settings.long, {}))
    return " ".join(
        [
            f"Brackets are 95 % intervals from a bootstrap over problems ({settings.resamples} resamples). Seeds are averaged inside",
            "the problem, so that the intervals speak of other problems, not of other trainings. `finished`: accuracy of the answers that",
            "ended by themselves. `tokens / right`: all tokens over the number of right answers. Differences are paired on the same",
            f"problems; p-values come from sign flips per problem, Holm-corrected for {compared} comparisons. A student keeps accuracy",
            f"if the lower bound of the difference is above −{100 * settings.margin:g} points on at least {MIN_PROBLEMS} problems.",
            f"AES = α·ΔL + β·|ΔA| for ΔA ≥ 0, else α·ΔL − γ·|ΔA|, relative to `{settings.long}`,",
            f"with α = {AES_ALPHA:g}, β = {AES_BETA:g}, γ = {AES_GAMMA:g}.",
        ]
    )


def _base_table(test: Comparison, settings: Report) -> Table:
    header = ("student", f"− {BASE} (points)", "p (Holm)", f"tokens ÷ {BASE}")
    pairs = test.paired.get(BASE, {})
    shown = [(student, pairs[student]) for student in ordered(test, settings.long) if student in pairs]
    return header, [[s, points(p.difference), p_value(p.p_holm, settings.resamples), ratio(p.token_ratio)] for s, p in shown]


def _draws(found: Findings, settings: Report) -> list[str]:
    if found.draws is None:
        return []
    measures = next(iter(found.draws.summary.values()))
    header = ("student", *(measure.replace("_at_", "@") for measure in measures))
    students = [student for student in ordered(found.test, settings.long) if student in found.draws.summary]
    rows = [[student, *(percent(found.draws.summary[student][measure]) for measure in measures)] for student in students]
    title = f"## Draws: the first {found.draws.problems} test problems"
    return [
        title,
        markdown((header, rows)),
        "pass@k is unbiased; in maj@k ties share the credit, and answers that cannot be read do not vote.",
        *(
            f"`{student}` should be asked greedily: {percent(found.test.summary[student]['accuracy'])} of those answers are right, and "
            f"{percent(found.draws.summary[student]['pass_at_1'])} of its draws."
            for student in greedy_only(found)
        ),
    ]


def _validation_table(found: Findings, settings: Report) -> Table:
    within = {row.student: "yes" if row.within_margin else "no" for row in found.choice.candidates}
    rows = []
    for student in ordered(found.validation, settings.long):
        own = found.validation.summary[student]
        chosen = f"chosen (seed {found.choice.seed})" if student == found.choice.student else within.get(student, "no candidate")
        rows.append([student, percent(own["accuracy"]), percent(own["unfinished"]), count(own["tokens"]), chosen])
    return ("student", "accuracy", "unfinished", "tokens / question", "within the margin?"), rows


def _survival_table(found: Findings) -> Table:
    bands = list(Difficulty)
    header = ("compressor", "traces", "survived", *bands, "stated", "continued right", "from empty", "gain (points)", "why not")
    rows = []
    for name, own in found.survival.items():
        reasons = "; ".join(f"{reason}: {number}" for reason, number in sorted(own.dropped.items())) or NONE
        by_band = [own.by_difficulty.get(band, Counter()) for band in bands]
        shares = [share(own.survived, own.traces), *(share(counts[True], counts.total()) for counts in by_band)]
        shares += [share(own.stated_right, own.traces), share(own.continued_right, own.continued_draws)]
        shares += [share(own.empty_right, own.empty_draws), f"{100 * own.gain:+.1f}"]
        rows.append([name, str(own.traces), *shares, reasons])
    return header, rows


def _kept_table(found: Findings) -> Table:
    header = ("compressor", "tokens kept", f"on the {found.common} problems that all share")
    return header, [[name, plain(own.all), plain(own.common)] for name, own in found.kept.items()]


def _outcomes(found: Findings) -> str:
    total = found.outcomes.total()
    parts = (f"{outcome.value} {share(number, total)}" for outcome, number in sorted(found.outcomes.items()))
    return f"The teacher's {total} long traces: {', '.join(parts)}."


def _spending(found: Findings) -> str:
    own = found.spending
    parts = [
        f"Its {own.spent.draws} draws of {own.problems} problems cost {own.spent.completion_tokens} generated tokens and "
        f"{own.spent.prompt_tokens} of prompts."
    ]
    if own.saved.draws:
        all_tokens = own.spent.completion_tokens + own.saved.completion_tokens
        parts.append(
            f"Stopping early saved {own.saved.draws} draws, about {own.saved.completion_tokens} generated tokens "
            f"({share(own.saved.completion_tokens, all_tokens)}) and {own.saved.prompt_tokens} of prompts."
        )
    reasons = ", ".join(f"{reason} {share(number, own.problems)}" for reason, number in sorted(own.reasons.items()))
    return " ".join([*parts, f"Why no more: {reasons}."])


def _lengths_table(found: Findings, settings: Report) -> Table:
    header = ("student", "rows", "tokens / row", "trained", "asked", "data", "student", "answer tokens taught", "written", "grows again?")
    return header, [_length_row(found, settings, student) for student in ordered(found.test, settings.long) if student in found.lengths]


def _length_row(found: Findings, settings: Report, student: str) -> list[str]:
    length, answer = found.lengths[student], found.test.summary[student]["answer_tokens"]
    pair = found.test.paired.get(settings.long, {}).get(student)
    data = data_ratios(found.lengths, long=settings.long).get(student)
    ratios = [plain(found.asked.get(student)), plain(data), ratio(pair.token_ratio) if pair else "1.00"]
    grown = [f"{length.answer_tokens:.1f}", count(answer), "yes" if regrows(answer, length) else "no"]
    trained = found.trained.get(student)
    return [student, str(length.rows), f"{length.tokens:.1f}", NONE if trained is None else f"{trained:,}", *ratios, *grown]


def _wrong(found: Findings) -> list[str]:
    """What students learn from that is wrong, or the worse side of a pair."""
    if not found.wrong:
        return []
    reasons = sorted({reason for counts in found.wrong.values() for reason in counts})
    rows = [[student, *(str(counts[reason]) for reason in reasons)] for student, counts in found.wrong.items()]
    return ["Wrong traces, and worse sides of pairs, that students learn from:", markdown((("student", *reasons), rows))]


def _seeds(found: Findings) -> list[str]:
    """One table where a student has several seeds."""
    if len({seed for _, seed in found.seeds}) < 2:
        return []
    rows = [[s, str(seed), f"{100 * own['accuracy']:.1f} %", f"{own['tokens']:.1f}"] for (s, seed), own in found.seeds.items()]
    return ["## Seeds on the test problems", markdown((("student", "seed", "accuracy", "tokens / question"), rows))]
