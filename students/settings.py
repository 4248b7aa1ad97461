"""Settings of a training: how one student learns."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.records import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Sft(Section):
    """Maximum likelihood of every row (`sft_loss` in students/objectives.py)."""

    kind: Literal["sft"] = "sft"
    imitate: bool = False
    """Learn wrong traces as they stand, like right ones: for a negative adapter, or as the known failure of mixing them in."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of every label that is spread evenly over the vocabulary (label smoothing, arXiv 1512.00567, section 7)."""


class Unlikelihood(Section):
    """Likelihood of right rows, unlikelihood of the tokens of wrong ones (`unlikelihood_loss`)."""

    kind: Literal["unlikelihood"]
    weight: float = Field(0.05, gt=0, le=10)
    """Of the wrong rows (λ of arXiv 2312.12832, equation 16)."""
    tokens: Literal["all", "after_fork", "fork"] = "all"
    """Which tokens of a wrong row become unlikely. Its fork is the first that no right row of the same question has there: all tokens,
    as published, push down too what right rows teach. The loss is a mean over the tokens that are learnt, so that fewer of them weigh
    the right ones more."""


class Redi(Section):
    """Right rows up and wrong rows down, each by its mean over tokens, the wrong ones less (`redi_loss`)."""

    kind: Literal["redi"]
    alpha: float = Field(0.8, ge=0, le=1)
    """Weight of the wrong side (α of arXiv 2505.24850). 1 is symmetric and known to collapse."""


class Dpo(Section):
    """The better side of a pair above the worse one, as measured against where the student starts (`dpo_loss`)."""

    kind: Literal["dpo"]
    beta: float = Field(0.1, gt=0, le=10)
    """arXiv 2305.18290."""
    sft: float = Field(0.0, ge=0, le=10)
    """Weight of the better side's own loss, by the row: without it both sides may fall."""


class SimPo(Section):
    """The better side of a pair above the worse one by a margin, each by its mean over tokens, without a reference (`simpo_loss`)."""

    kind: Literal["simpo"]
    beta: float = Field(2.0, gt=0, le=20)
    gamma: float = Field(1.0, ge=0, le=20)
    """The margin (arXiv 2405.14734: β 2 to 2.5, γ 0.3 to 1.6)."""
    sft: float = Field(0.0, ge=0, le=10)
    """Weight of the better side's own loss, by the row."""


class Nat(Section):
    """Maximum likelihood with a frozen negative adapter beside the one that learns (students/nat.py)."""

    kind: Literal["nat"]
    form: Literal["linear", "bottleneck"] = "bottleneck"
    """How the unit maps the adapters' outputs: as the paper's equation 5, or as its code."""
    width: int = Field(128, ge=1)
    """Of query, key and bottleneck."""
    beta: float = Field(0.5, gt=0, le=1)
    """The negative output is weighted with -β to β."""
    upon: Literal["wrong", "any"] = "wrong"
    """What the frozen adapter has learnt: wrong traces alone, or, for a control, any."""


class Nce(Section):
    """A NAT student distilled into a fresh LoRA, most where its negative adapter disagrees with it (`nce_loss`)."""

    kind: Literal["nce"]
    per: Literal["sequence", "token"] = "sequence"
    """What has a weight of its own: a row, as published, or every token."""
    mix: float = Field(0.5, ge=0, le=1)
    """Share of the distillation in the loss; the rest is maximum likelihood (α of arXiv 2312.12832, equation 8)."""
    offset: float = Field(0.5, ge=0, le=1)
    """Least weight."""
    temperature: float = Field(1.0, gt=0, le=10)


class Asc(Section):
    """A ranker: it reads answers instead of writing them, and says how right each looks (students/ranker.py)."""

    kind: Literal["asc"]
    body: Literal["frozen", "trained"] = "frozen"
    """What stands below the head: the hidden states of where it starts as they are, or weights that are trained with it as an encoder."""
    width: int = Field(256, ge=1)
    """Of the head's two hidden layers."""
    power: float = Field(3.0, ge=1, le=10)
    """Exponent of the loss (3 in the script of ASC's code, 7 in its class)."""


Objective = Annotated[Sft | Unlikelihood | Redi | Dpo | SimPo | Nat | Nce | Asc, Field(discriminator="kind")]
"""What a student's rows do to it."""
OfPairs = Redi | Dpo | SimPo | Asc
"""Objectives whose rows are pairs."""


class Guard(Section):
    """How a training is watched, and when it is stopped: every one by whether its texts end, one with wrong rows by what these do to the
    right ones (students/collapse.py).
    """

    ends_from: int = Field(100, ge=0)
    """Step at which it is looked whether texts end; where none does, that is a warning. Where none does half-way either, and the model does
    not choose the end token where its rows end, the training stops. One that is half-way by then is looked at half-way and never stopped
    for it. 0: it is not looked."""
    min_finished: float = Field(0.0, ge=0, lt=1)
    """More than this share of texts must end, or else of the rows that they are asked by have the end token as first choice."""
    looks: int = Field(10, ge=0)
    """How often wrong rows are looked at, besides the start; 0: never."""
    rows: int = Field(16, ge=1)
    """Right rows, and as many wrong ones, whose likelihood is measured."""
    prompts: int = Field(8, ge=1)
    """Questions that the model answers, greedily; without wrong rows those with the shortest answers, which cost least."""
    max_tokens: int = Field(512, ge=1)
    """Most tokens of such an answer; whether texts end is judged by rows of at most half as many."""
    max_drop: float = Field(1.0, gt=0)
    """How far log p of right rows may fall below the best look, in nats per token."""
    max_unfinished: float = Field(0.5, gt=0, le=1)
    """How far the share of answers that end may fall below the best look."""
    max_repeated: float = Field(0.5, gt=0, le=1)
    """How far the share of repeated text may rise above the best look."""


class Launch(Section):
    """How many processes train one student, and how they share the work."""

    processes: int = Field(1, ge=1)
    strategy: Literal["single", "ddp", "zero2", "zero3"] = "single"

    @model_validator(mode="after")
    def _single_is_one(self) -> Self:
        if (self.strategy == "single") != (self.processes == 1):
            raise ValueError(
                f"strategy {self.strategy!r} does not go with processes: {self.processes}; `single` is one process, the others are more"
            )
        return self


class Training(Section):
    """How a student is trained; `students.NAME.train` overrides single settings."""

    adapter: Literal["none", "lora"] = "none"
    """`none` trains all weights."""
    lora_rank: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    lora_targets: Literal["all-linear"] | list[str] = "all-linear"
    """Which layers LoRA adapts: all linear ones but the head, or those whose names end so (`[q_proj, v_proj]`)."""
    quantization: Literal["none", "nf4"] = "none"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """`auto`: bf16 on GPUs that have it, else fp32."""
    epochs: float = Field(3, gt=0)
    learning_rate: float = Field(1e-3, gt=0, lt=1)
    warmup_share: Share = 0.05
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    batch_rows: int = Field(32, ge=1)
    """Rows of one optimizer step, over all processes."""
    micro_batch_rows: int = Field(32, ge=1)
    """Rows of one forward pass in one process."""
    max_length: int = Field(512, ge=16)
    """Longer rows are dropped and counted, never cut."""
    max_overlong: Share = 0.05
    gradient_checkpointing: bool = False
    save_every_steps: int = Field(100, ge=1)
    guard: Guard = Guard()
    launch: Launch = Launch()
