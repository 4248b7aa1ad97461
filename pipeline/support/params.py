"""The schema of params.yaml: one section per stage, unknown keys are errors, every number has bounds.

`params.yaml` is the only source of settings. `load()` reads it; `python -m pipeline.commands.params FILE` prints a file resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from data.chat import Format
from data.errors import ParamsError
from data.records import TEACHER, Section
from data.stop_settings import Enough, Esc, StopRule
from data.voting import PLAIN, Asc, Voting
from pipeline.support.plan_settings import Plan
from pipeline.support.prepare_settings import Prepare
from pipeline.support.student_settings import BASE, Name, Student, check_starts
from students.settings import Training
from teachers.compressors.settings import AnyCompression, in_order, of_wrong

if TYPE_CHECKING:
    from data.verifiers.judge import PoolArguments

PARAMS = Path("params.yaml")
Share = Annotated[float, Field(ge=0, le=1)]


class ModelSource(Section):
    """A model: a local folder, or a hub name with its pinned revision."""

    path: str
    """Folder in Hugging Face layout, or `owner/name` on a hub."""
    revision: str | None = None
    """Commit on the hub; must be given for a hub name."""
    licence: str = "Apache-2.0"
    """SPDX name, carried into the model card."""


class EngineSettings(Section):
    """Who computes: `arguments` go to the engine as they are (vLLM: engine arguments, hf: none, others: their files in teachers/)."""

    kind: Literal["scripted", "hf", "vllm", "server", "ray"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 on GPUs that have it, else float32."""
    batch: int = Field(256, ge=1, le=4096)
    """Requests in flight at most; of `ray`, in each worker."""
    max_model_length: int = Field(512, ge=16)
    """Prompt and completion together, in tokens."""
    arguments: dict[str, Any] = {}


class Sampling(Section):
    """How tokens are drawn."""

    temperature: float = Field(1.0, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(320, ge=1)
    """Most tokens of one completion, thinking included."""


def _check_room(rule: StopRule | None, draws: int, place: str) -> None:
    """Refuse a rule that could stop at no number of draws."""
    match rule:
        case Esc() if rule.window > draws:
            raise ValueError(f"{place}.window: {rule.window} is more than draws: {draws}")
        case Enough() if rule.right + rule.wrong > draws:
            raise ValueError(f"{place}: right {rule.right} and wrong {rule.wrong} are more than draws: {draws}")


class Sample(Section):
    """Long traces: drawn from the teacher, or imported from a file."""

    source: Literal["engine", "file"] = "engine"
    file: str | None = None
    """For `source: file`: a table of traces (data.records.Trace), or JSONL with `question` and `text`."""
    teacher: ModelSource
    engine: EngineSettings = EngineSettings()
    sampling: Sampling = Sampling()
    draws: int = Field(4, ge=1, le=1024)
    """Draws of a problem at most."""
    stop: StopRule | None = None
    """When a problem needs no more of them; null: all are drawn."""
    first: int = Field(0, ge=0)
    """Draws that every problem gets before `stop` may say so. Pass rates, and the difficulty that some compressors and pairs go by, come
    from the draws that every problem gets: with few of them they are coarse."""
    instruction: str | None = None
    """File with the system message, or with `{question}` in it: the user's message around the question."""
    format: Format = Format.THINK
    max_errors: Share = 0.01
    """The stage fails where more than this share of the completions ends in error or timeout."""

    @model_validator(mode="after")
    def _file_is_named(self) -> Self:
        if (self.source == "file") != (self.file is not None):
            raise ValueError("`file` must be given for `source: file`, and for no other source")
        return self

    @model_validator(mode="after")
    def _the_rule_can_stop(self) -> Self:
        if self.stop is not None and self.source == "file":
            raise ValueError("`stop` is for draws from an engine; a file holds what it holds")
        if self.first > self.draws:
            raise ValueError(f"first: {self.first} is more than draws: {self.draws}")
        _check_room(self.stop, self.draws, "stop")
        return self


class Verify(Section):
    """The pool of verifier processes."""

    workers: int = Field(2, ge=1, le=256)
    timeout_seconds: float = Field(5.0, gt=0)
    allow_unsandboxed: bool = False
    """Whether generated programs may run where the kernel allows no sandbox; false: such a machine is an error."""

    @property
    def pool(self) -> PoolArguments:
        """The arguments of `judge_texts`, `stated_all` and `Judge`."""
        return {"workers": self.workers, "timeout_seconds": self.timeout_seconds, "allow_unsandboxed": self.allow_unsandboxed}


class Reader(Section):
    """A model that goes on from a short thinking, the untrained student say, and how it is asked."""

    model: ModelSource
    engine: EngineSettings = EngineSettings()
    instruction: str | None = None
    format: Format = Format.THINK


class Reverify(Section):
    """Does the short thinking alone carry to the right answer? A model continues from it."""

    reader: Reader | None = None
    """Who continues; null: the teacher as it samples."""
    rate: float = Field(0.5, ge=0, lt=1)
    """More than this share of the continuations must be right."""
    draws: int = Field(1, ge=1)
    sampling: Sampling = Sampling(temperature=0, max_tokens=64)
    require: Literal["stated", "continued", "both", "either"] = "continued"


class Compose(Section):
    """Which traces every student is taught."""

    rows_per_problem: int = Field(1, ge=1)
    seed: int = Field(0, ge=0)


class Distill(Section):
    """What all students share."""

    base: ModelSource
    training: Training = Training()
    instruction: str | None = None
    """The same for what students are trained and served with."""


class Variant(Section):
    """A trained student evaluated in another way; it needs no training and is never handed off."""

    of: Name
    ask: str | None = None
    """Another of its tags; null: its own."""
    strength: float = Field(1.0, ge=0, le=4)
    """How far its weights lie from the base: 1 as trained, less is nearer to the base (students/strength.py)."""


class Evaluate(Section):
    """What is measured on which problems."""

    engine: EngineSettings = EngineSettings()
    sampling: Sampling = Sampling()
    """For the draws; greedy answers take its `max_tokens`."""
    draws: int = Field(4, ge=0, le=256)
    draw_problems: int = Field(250, ge=0)
    """The first so many test problems get draws; all get a greedy answer."""
    base_instruction: str | None = None
    """The same for the untrained base; null: that of the students."""
    variants: dict[Name, Variant] = {}
    votes: dict[Name, Voting] = {}
    """How the draws of a problem are counted, each beside the plain vote of as many draws and of as many tokens."""

    @model_validator(mode="after")
    def _votes_have_draws(self) -> Self:
        if self.votes and not self.draws * self.draw_problems:
            raise ValueError("votes need draws: give `draws` and `draw_problems`, or no `votes`")
        if PLAIN in self.votes:
            raise ValueError(f"votes.{PLAIN}: this is the plain vote of all draws, which is always counted; choose another name")
        for name, vote in self.votes.items():
            _check_room(vote.stop, self.draws, f"votes.{name}.stop")
        return self

    @property
    def rankers(self) -> list[str]:
        """The rankers that votes name."""
        return sorted({vote.ranker for vote in self.votes.values() if isinstance(vote, Asc)})


class Report(Section):
    """Comparison and tracking."""

    long: Name = "long"
    """The student that the others are compared with."""
    resamples: int = Field(2000, ge=100)
    seed: int = Field(0, ge=0)
    margin: float = Field(0.03, gt=0, lt=1)
    """A student keeps accuracy if the lower bound of its paired difference lies above minus this."""
    experiment: str = "shortcot"


class DataCredit(Section):
    """How the model card names the problems."""

    name: str | None = None
    """Null: the hub name, or the folder of the files."""
    licence: str | None = None
    """Null: MIT for the lab's own problems, else "as its source states"."""


class Handoff(Section):
    """The chosen student's way to serving."""

    candidates: list[Name] | None = None
    """Null: all students but the long one and controls."""
    problems: int = Field(20, ge=1)
    registered_name: str = "shortcot-student"
    alias: str = "candidate"
    port: int = Field(8765, ge=1024, le=65535)
    start_seconds: float = Field(900, gt=0)
    """How long `vllm serve` may take until it answers."""
    max_logprob_difference: float = Field(0.05, gt=0)
    """Mean over an answer's tokens, in nats, served against transformers in float32."""
    data: DataCredit = DataCredit()


class Params(Section):
    """A whole run."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    prepare: Prepare
    sample: Sample
    verify: Verify = Verify()
    shorten: dict[Name, AnyCompression]
    reverify: Reverify = Reverify()
    compose: Compose = Compose()
    students: dict[Name, Student]
    distill: Distill
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    handoff: Handoff = Handoff()
    plan: Plan = Plan()

    @property
    def writers(self) -> dict[str, Student]:
        """The students that answer questions: all but rankers."""
        return {name: student for name, student in self.students.items() if not student.is_ranker}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        in_order(self.shorten)
        of_wrong_draws = of_wrong(self.shorten)
        right, wrong = {TEACHER, *self.shorten} - of_wrong_draws, {TEACHER, *of_wrong_draws}
        for name, student in self.students.items():
            plan = student.plan
            for what, named, allowed in (("right", plan.right, right), ("wrong", plan.wrong, wrong)):
                if unknown := named - allowed:
                    raise ValueError(f"students.{name}: {sorted(unknown)} write(s) no {what} traces; allowed: {sorted(allowed)}")
        check_starts(self.students, {name: training_of(self, name) for name in self.students})
        if BASE in self.students:
            raise ValueError(f"students.{BASE}: this name is the untrained model's; choose another")
        if self.report.long not in self.writers:
            raise ValueError(f"report.long: {self.report.long!r} is no student that writes; allowed: {sorted(self.writers)}")
        return self

    @model_validator(mode="after")
    def _rankers_rank(self) -> Self:
        known = sorted(self.students.keys() - self.writers)
        for ranker in self.evaluate.rankers:
            if ranker not in known:
                raise ValueError(f"evaluate.votes: {ranker!r} is no student with objective asc; allowed: {known}")
        return self

    @model_validator(mode="after")
    def _students_can_be_loaded(self) -> Self:
        if self.evaluate.engine.kind == "server":
            raise ValueError("evaluate.engine.kind: a server cannot take the weights of one student after the other; use vllm or hf")
        return self

    @model_validator(mode="after")
    def _candidates_can_be_served(self) -> Self:
        for name in self.handoff.candidates or ():
            if name in self.students and not self.students[name].is_servable:
                kind = self.students[name].objective.kind
                raise ValueError(
                    f"handoff.candidates: {name!r} has objective {kind}, so it cannot be served; name a student of plain weights"
                )
        return self

    @model_validator(mode="after")
    def _variants_are_of_students(self) -> Self:
        for name, variant in self.evaluate.variants.items():
            place = f"evaluate.variants.{name}"
            if name == BASE or name in self.students:
                raise ValueError(f"{place}: this name is taken; choose another")
            if variant.of not in self.writers:
                raise ValueError(f"{place}.of: {variant.of!r} is no student that writes; allowed: {sorted(self.writers)}")
            if variant.strength != 1 and not self.students[variant.of].is_servable:
                raise ValueError(f"{place}.strength: {variant.of!r} is a nat student, which has no weights on a line from the base")
            tags = self.students[variant.of].asked_by
            if variant.ask is not None and variant.ask not in tags:
                raise ValueError(f"{place}.ask: {variant.ask!r} is no tag of {variant.of}; allowed: {sorted(filter(None, tags))}")
        return self


def training_of(params: Params, student: str) -> Training:
    """The training settings of one student: the shared ones with its own on top, key by key."""
    return Training.model_validate(_over(params.distill.training.model_dump(), params.students[student].train))


def _over(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _over(shared[key], value) for key, value in own.items() if isinstance(value, dict) and isinstance(shared.get(key), dict)}
    return {**shared, **own, **nested}


def load(path: Path = PARAMS) -> Params:
    """Read and check a params file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        lines = (f"  {'.'.join(map(str, e['loc'])) or '(file)'}: {e['msg']} (found {str(e['input'])[:80]!r})" for e in error.errors())
        raise ParamsError(f"{path}: {error.error_count()} setting(s) are not allowed:\n" + "\n".join(lines)) from None
    if unknown := sorted(set(params.handoff.candidates or ()) - params.students.keys()):
        raise ParamsError(f"{path}: handoff.candidates: {unknown} are no students; allowed: {sorted(params.students)}")
    return params
