"""When to stop drawing, tried on draws that are there.

`python -m pipeline.commands.stopping predict` says from a first window per problem what ESC would cost and risk, for a grid of windows and
most draws, and recommends the cheapest point under a risk. `… replay` lets rules read the draws in many orders, and says how many they
take, how accurate they are, and how often they agree with the vote of all draws. Both read the teacher's draws of the last run, its first
draws of every problem in the completion store (`--stored`), the draws of a student (`--student`), or a file (`--pool`: JSON lines with
problem_id, answers, and gold, without which accuracy is 0 and agreement is what counts).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from data.errors import ParamsError, ShortcotError
from data.metrics.compare import Rules
from data.metrics.control import Prediction, cheapest, predict
from data.metrics.replay import Pool, Replayed, replay
from data.stop_settings import Esc, StopRule
from pipeline.support import pools
from pipeline.support.params import load
from pipeline.support.report_plots import draw_risk
from pipeline.support.report_text import count, percent, points
from pipeline.support.text_table import render

ALL = "all draws"
BOOTSTRAP = Rules(2000, 0, 0.03)
RULES = ("{kind: esc, window: 2}", "{kind: esc, window: 4}", "{kind: adaptive_consistency}", "{kind: enough, right: 1, wrong: 1}")
_RULE: TypeAdapter[StopRule] = TypeAdapter(StopRule)


def rules_of(texts: Sequence[str]) -> dict[str, StopRule | None]:
    """Rules from YAML, by what was written; the plain vote of all draws comes first."""
    rules: dict[str, StopRule | None] = {ALL: None}
    for text in texts:
        try:
            rules[text.strip("{} ")] = _RULE.validate_python(yaml.safe_load(text))
        except (ValidationError, yaml.YAMLError) as error:
            raise ParamsError(f"--rule {text!r}: {error}; write it as in params.yaml, such as {RULES[0]!r}") from None
    return rules


def grid(pool: Pool, *, pilot: int, windows: Sequence[int], most: Sequence[int]) -> list[Prediction]:
    """Predictions for every window and most draws that hold it, from the first `pilot` draws of every problem that has them."""
    pilots = [[vote.answer for vote in votes[:pilot]] for votes in pool.values() if len(votes) >= pilot]
    if not pilots:
        raise ParamsError(f"--pilot {pilot}: no problem has so many draws; the most is {max(map(len, pool.values()))}")
    points = [(window, top) for window in windows for top in most if window <= top]
    if not points:
        raise ParamsError(f"--windows {list(windows)} are all more than --most {list(most)}; a window must fit into the draws")
    return [predict(pilots, window=window, most=top) for window, top in points]


def table_of_grid(predictions: Sequence[Prediction]) -> str:
    """What every point costs and risks."""
    rows = []
    for own in predictions:
        saved, changed = f"{100 * (1 - own.draws / own.most):.1f} %", f"{100 * own.changed:.2f} %"
        rows.append([str(own.window), str(own.most), f"{own.draws:.2f}", saved, changed])
    return render(("window", "most draws", "draws expected", "saved", "answers changed, at most"), rows)


def table_of_replay(found: Mapping[str, Replayed], predicted: Mapping[str, Prediction]) -> str:
    """What every rule did; the draws of ESC beside what the control scheme predicts from the first window."""
    rows = []
    for name, own in found.items():
        expected = f"{predicted[name].draws:.2f}" if name in predicted else ""
        rows.append([name, count(own.draws), expected, percent(own.accuracy), points(own.against_all), percent(own.agreement)])
    return render(("rule", "draws / problem", "predicted", "accuracy", "- all draws (points)", "same answer as all draws"), rows)


def predicted(pool: Pool, rules: Mapping[str, StopRule | None]) -> dict[str, Prediction]:
    """The control scheme's prediction for each unanimous ESC rule, from windows of its own size, where all problems have as many draws."""
    lengths = {len(votes) for votes in pool.values()}
    if len(lengths) > 1:
        return {}
    (most,) = lengths
    fitting = {name: r for name, r in rules.items() if isinstance(r, Esc) and r.agreement == 1 and r.window <= most}
    return {name: grid(pool, pilot=rule.window, windows=[rule.window], most=[most])[0] for name, rule in fitting.items()}


def _pool(asked: argparse.Namespace) -> Pool:
    if asked.pool:
        return pools.of_file(asked.pool)
    if asked.stored:
        return pools.of_store(load(), asked.stored)
    return pools.of_student(asked.student) if asked.student else pools.of_teacher()


def _predict(asked: argparse.Namespace) -> None:
    predictions = grid(_pool(asked), pilot=asked.pilot, windows=asked.windows, most=asked.most)
    print(table_of_grid(predictions))
    for most in sorted({found.most for found in predictions}):
        best = cheapest([found for found in predictions if found.most == most], risk=asked.risk)
        if best is None:
            print(f"Of {most} draws: no window changes at most {asked.risk:.2%} of the answers; draw all, or try wider ones.")
        else:
            print(f"Of {most} draws, cheapest under a risk of {asked.risk:.2%}: stop: {{kind: esc, window: {best.window}}}")
    if asked.plot:
        draw_risk(asked.plot, predictions)


def _replay(asked: argparse.Namespace) -> None:
    pool, rules = _pool(asked), rules_of(asked.rule or RULES)
    print(table_of_replay(replay(pool, rules, shuffles=asked.shuffles, bootstrap=BOOTSTRAP), predicted(pool, rules)))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(required=True)
    source = argparse.ArgumentParser(add_help=False)
    which = source.add_mutually_exclusive_group()
    which.add_argument("--pool", type=Path, help="JSON lines with problem_id, answers and gold")
    which.add_argument("--stored", type=int, metavar="N", help="the teacher's first N draws of every problem, from the completion store")
    which.add_argument("--student", help="the test draws of this student in the last run")
    prediction = modes.add_parser("predict", parents=[source], help="ESC's cost and risk from a pilot")
    prediction.add_argument("--pilot", type=int, default=5, help="first draws that are looked at (default: %(default)s)")
    prediction.add_argument("--windows", type=int, nargs="+", default=[2, 3, 4, 5, 8])
    prediction.add_argument("--most", type=int, nargs="+", default=[8, 16, 40])
    prediction.add_argument("--risk", type=float, default=0.01, help="share of answers that may change (default: %(default)s)")
    prediction.add_argument("--plot", type=Path, help="where to write a picture of cost and risk (PNG)")
    prediction.set_defaults(run=_predict)
    again = modes.add_parser("replay", parents=[source], help="what rules would have done on all draws")
    again.add_argument("--rule", action="append", help=f"YAML, as in params.yaml; may be given several times (default: {', '.join(RULES)})")
    again.add_argument("--shuffles", type=int, default=50, help="orders of the draws (default: %(default)s)")
    again.set_defaults(run=_replay)
    return parser


if __name__ == "__main__":
    arguments = _arguments().parse_args()
    try:
        arguments.run(arguments)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
