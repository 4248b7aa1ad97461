"""Stage prepare: sources → problems. Load, check every gold answer with its own verifier, deduplicate, decontaminate, split."""

from __future__ import annotations

from collections import Counter
from math import ceil
from pathlib import Path

from data.dedup import Drop, without_duplicates, without_overlap
from data.errors import StageError
from data.near import without_near
from data.records import Problem, Split
from data.sources import files, gym, hub, lab
from data.sources.rows import Layout, check_ids
from data.splits import evaluation_first, give_up, gold_cases, part, shuffled, take, with_right_gold
from data.tables import write_table
from data.verifiers.judge import judge_texts
from pipeline.support.params import Verify, load
from pipeline.support.paths import DROPS, PROBLEMS
from pipeline.support.prepare_settings import FileSource, GymSource, HubSource, LabSource, Prepare
from pipeline.support.stage import Statistics, progress, run_stage

ADVICE = {
    "overlaps with": "prepare.decontaminate: exact compares whole questions instead of runs of words, for problems that share sentences",
    "near-duplicate": "prepare.near says how alike two questions may be; null looks for none",
    "gold answer": "see whether the verifier is the right one for these answers",
    "duplicate": "the source repeats its questions",
}
"""What to do about most drops, by how their reason begins."""


def prepare(settings: Prepare, *, verify: Verify, problems: Path, drops: Path, statistics: Statistics) -> None:
    """Write the asked number of problems of each split, sorted by split and id; and every one left out, with its reason and its match."""
    loaded = _load(settings)
    checked, wrong_gold = _checked(loaded, verify)
    distinct, duplicates = without_duplicates(evaluation_first(checked))
    test, validation, train = _parts(settings, distinct)
    clean, overlaps = _clean(settings, train, [*test, *validation])
    dropped = [*wrong_gold, *duplicates, *overlaps]
    write_table(drops, dropped)
    _check_share(settings, len(loaded), dropped, drops)
    chosen = [
        *take(clean, Split.TRAIN, settings.train),
        *take(validation, Split.VALIDATION, settings.validation),
        *take(test, Split.TEST, settings.test),
    ]
    chosen.sort(key=lambda problem: (problem.split.value, problem.id))
    write_table(problems, chosen)
    _count(statistics, len(loaded), len(chosen), dropped)


def _load(settings: Prepare) -> list[Problem]:
    source, task = settings.source, settings.task
    counts = {Split.TRAIN: settings.train, Split.VALIDATION: settings.validation, Split.TEST: settings.test}
    match source:
        case LabSource():
            return lab.load(task, counts, seed=source.seed, max_steps=source.max_steps)
        case GymSource():
            more = {split: ceil(source.spare * count) for split, count in counts.items()}
            return gym.load(source.name, more, task=task, seed=source.seed, arguments=source.arguments)
        case FileSource() | HubSource():
            problems = [problem for split in (Split.TRAIN, Split.TEST) for problem in _part_of_rows(source, split, task)]
            if source.id is not None:
                check_ids(problems, source.id)
            return problems


def _part_of_rows(source: FileSource | HubSource, split: Split, task: str) -> list[Problem]:
    layout = Layout(task, source, source.seed)
    if isinstance(source, FileSource):
        return files.load(Path(source.train if split is Split.TRAIN else source.test), layout, split=split)
    return hub.load(source.name, layout, split=split, config=source.config, revision=source.revision)


def _checked(problems: list[Problem], verify: Verify) -> tuple[list[Problem], list[Drop]]:
    """The problems whose gold answer is right by its own verifier."""
    verdicts = judge_texts(gold_cases(problems), **verify.pool)
    return with_right_gold(problems, progress(verdicts, label="gold check", total=len(problems), unit="problem"))


def _parts(settings: Prepare, problems: list[Problem]) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Test, validation and train; generators have a validation part of their own, elsewhere train gives it up."""
    test, train = part(problems, Split.TEST), part(problems, Split.TRAIN)
    if isinstance(settings.source, LabSource | GymSource):
        return test, part(problems, Split.VALIDATION), train
    validation, rest = give_up(shuffled(train, settings.source.seed), settings.validation)
    return shuffled(test, settings.source.seed), validation, rest


def _clean(settings: Prepare, train: list[Problem], evaluation: list[Problem]) -> tuple[list[Problem], list[Drop]]:
    """The training problems that evaluation does not hold, and, where `near` asks for it, no near-duplicates."""
    clean, overlaps = without_overlap(train, evaluation, mode=settings.decontaminate, words=settings.ngram_words)
    if settings.near is None:
        return clean, overlaps
    distinct, near = without_near(clean, threshold=settings.near, against=evaluation)
    return distinct, [*overlaps, *near]


def _check_share(settings: Prepare, loaded: int, dropped: list[Drop], drops: Path) -> None:
    """Raises StageError where too many are dropped: for what reasons, the first of the commonest kind, and what to do about it."""
    if len(dropped) > settings.max_dropped * loaded:
        reasons = Counter(drop.reason for drop in dropped).most_common()
        kind = Counter(_kind(drop) for drop in dropped).most_common(1)[0][0]
        first = next(drop for drop in dropped if _kind(drop) == kind)
        where = f" at {first.place}" if first.place else ""
        raise StageError(
            f"{len(dropped)} of {loaded} problems are dropped, more than the {settings.max_dropped:.0%} that prepare.max_dropped allows: "
            f"{', '.join(f'{reason} ({count})' for reason, count in reasons)}. "
            f"The first: {first.reason} ({(first.detail or first.match)[:120]}): {first.question[:80]!r}{where}. "
            f"What helps: {ADVICE[kind]}. All stand in {drops}"
        )


def _kind(drop: Drop) -> str:
    return next(start for start in ADVICE if drop.reason.startswith(start))


def _count(statistics: Statistics, loaded: int, chosen: int, dropped: list[Drop]) -> None:
    statistics.rows_in, statistics.rows_out = loaded, chosen
    statistics.dropped.update(drop.reason for drop in dropped)
    if spare := loaded - chosen - len(dropped):
        statistics.dropped["more than asked for"] = spare


if __name__ == "__main__":
    run_stage(
        "prepare",
        lambda statistics: prepare(load().prepare, verify=load().verify, problems=PROBLEMS, drops=DROPS, statistics=statistics),
    )
