"""Stage prepare: sources → problems. Load, check every gold answer with its own verifier, deduplicate, decontaminate, split."""

from __future__ import annotations

from pathlib import Path

from data.dedup import Drop, without_duplicates, without_overlap
from data.errors import StageError
from data.records import Problem, Split
from data.sources import files, hub, lab
from data.sources.rows import Layout
from data.splits import evaluation_first, give_up, gold_cases, part, shuffled, take, with_right_gold
from data.tables import write_table
from data.verifiers.judge import judge_texts
from pipeline.support.params import FileSource, LabSource, Prepare, Verify, load
from pipeline.support.paths import PROBLEMS, stage_statistics
from pipeline.support.stage import Statistics, progress, run_stage

DROPS = "prepare_drops.jsonl"
"""Beside the stage's statistics: every problem left out, with its reason and the one that it matches."""


def prepare(settings: Prepare, *, verify: Verify, problems: Path, drops: Path, statistics: Statistics) -> None:
    """Write the asked number of problems of each split, sorted by split and id."""
    loaded = _load(settings)
    checked, wrong_gold = _checked(loaded, verify)
    distinct, duplicates = without_duplicates(evaluation_first(checked))
    test, validation, train = _parts(settings, distinct)
    clean, overlaps = without_overlap(train, [*test, *validation], mode=settings.decontaminate, words=settings.ngram_words)
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
    source = settings.source
    if isinstance(source, LabSource):
        counts = {Split.TRAIN: settings.train, Split.VALIDATION: settings.validation, Split.TEST: settings.test}
        return lab.load(settings.task, counts, seed=source.seed, max_steps=source.max_steps)
    layout = Layout(settings.task, source.question, source.answer, source.verifier)
    if isinstance(source, FileSource):
        return [
            *files.load(Path(source.train), layout, split=Split.TRAIN),
            *files.load(Path(source.test), layout, split=Split.TEST),
        ]
    return [
        problem
        for split in (Split.TRAIN, Split.TEST)
        for problem in hub.load(source.name, layout, split=split, config=source.config, revision=source.revision)
    ]


def _checked(problems: list[Problem], verify: Verify) -> tuple[list[Problem], list[Drop]]:
    """The problems whose gold answer is right by its own verifier."""
    verdicts = judge_texts(gold_cases(problems), **verify.pool)
    return with_right_gold(problems, progress(verdicts, label="gold check", total=len(problems), unit="problem"))


def _parts(settings: Prepare, problems: list[Problem]) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Test, validation and train; the lab has a validation part of its own, elsewhere train gives it up."""
    test, train = part(problems, Split.TEST), part(problems, Split.TRAIN)
    if isinstance(settings.source, LabSource):
        return test, part(problems, Split.VALIDATION), train
    validation, rest = give_up(shuffled(train, settings.source.seed), settings.validation)
    return shuffled(test, settings.source.seed), validation, rest


def _check_share(settings: Prepare, loaded: int, dropped: list[Drop], drops: Path) -> None:
    if len(dropped) > settings.max_dropped * loaded:
        first = dropped[0]
        raise StageError(
            f"{len(dropped)} of {loaded} problems are dropped, more than the {settings.max_dropped:.0%} that prepare.max_dropped allows. "
            f"The first: {first.reason} ({(first.detail or first.match)[:120]}): {first.question[:80]!r}. All stand in {drops}"
        )


def _count(statistics: Statistics, loaded: int, chosen: int, dropped: list[Drop]) -> None:
    statistics.rows_in, statistics.rows_out = loaded, chosen
    statistics.dropped.update(drop.reason for drop in dropped)
    if spare := loaded - chosen - len(dropped):
        statistics.dropped["more than asked for"] = spare


if __name__ == "__main__":
    run_stage(
        "prepare",
        lambda statistics: prepare(
            load().prepare, verify=load().verify, problems=PROBLEMS, drops=stage_statistics() / DROPS, statistics=statistics
        ),
    )
