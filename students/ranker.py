"""ASC's ranker: a head on hidden states that says how right an answer looks (arXiv 2312.12832, section 3.4; the head of its code).

The mean of the last layer's states over the answer's tokens goes through a linear layer and two residual ones with ELU to one number,
the logit of s. Below the head stands a model as it is (`body: frozen`), of which nothing is stored again, or one that learnt with it.
Heavy to import, like students.trainer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from data.errors import StageError
from students.settings import Asc, Training

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

HEAD, SETTINGS = "ranker.safetensors", "ranker.json"
PLACE = "rank_head"
"""Where the head hangs on its model."""
BATCH_TOKENS = 8192


class Head(nn.Module):
    """Mean over an answer's states → logit of how right it looks."""

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(states, width)
        self.residual = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.last = nn.Linear(width, 1)

    def forward(self, states_BTH: torch.Tensor, answer_BT: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B,); `answer_BT` marks the tokens that are averaged."""
        mask_BT1 = answer_BT.unsqueeze(-1).float()
        means_BH = (states_BTH.float() * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1)
        x_BW = self.first(means_BH.to(self.first.weight.dtype))  # DeepSpeed may have cast the head
        for layer in self.residual:
            x_BW = x_BW + F.elu(layer(x_BW))
        logits: torch.Tensor = self.last(x_BW).squeeze(-1).float()
        return logits


def build(model: PreTrainedModel | PeftModel, settings: Asc, training: Training) -> Any:
    """Hang a new head on a model; with a frozen body it alone learns."""
    if settings.body == "frozen":
        model.requires_grad_(False)
    elif training.adapter == "none" and (unused := model.get_output_embeddings()) is not None:
        unused.weight.requires_grad_(
            unused.weight is model.get_input_embeddings().weight
        )  # nothing is written, so nothing would learn here
    setattr(model, PLACE, Head(model.config.get_text_config().hidden_size, settings.width).to(next(model.parameters()).device))
    return model


def logits_of(model: Any, plain: Any, ids_BT: torch.Tensor, mask_BT: torch.Tensor, answer_BT: torch.Tensor) -> torch.Tensor:
    """The head's logits of shape (B,). `model` may be `plain` wrapped for several processes, which must see the call."""
    states: list[torch.Tensor] = []
    body = plain.get_base_model() if hasattr(plain, "get_base_model") else plain
    hook = body.get_decoder().register_forward_hook(lambda _, __, found: states.append(found[0]))  # the last layer's alone
    try:
        model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, logits_to_keep=1)
    finally:
        hook.remove()
    head: Head = getattr(plain, PLACE)
    logits: torch.Tensor = head(states[0], answer_BT)
    return logits


def without_head(state: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the body alone."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{PLACE}.")}


def save_head(model: nn.Module, folder: Path, settings: Asc) -> None:
    """Write the head and what it is, beside whatever else lies in the folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in getattr(model, PLACE).state_dict().items()}
    save_file(tensors, folder / HEAD, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_head(model: nn.Module, folder: Path) -> None:
    """Read what `save_head` wrote into a model that has a head."""
    from safetensors.torch import load_file

    getattr(model, PLACE).load_state_dict(load_file(folder / HEAD))


def settings_in(folder: Path) -> Asc:
    """What the ranker in a folder is. Raises StageError where there is none."""
    try:
        return Asc.model_validate(json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StageError(f"{folder / SETTINGS}: no trained ranker ({error}); run `dvc repro`, which trains it") from error


class Read(NamedTuple):
    """An answer in tokens, behind the prompt that it answers."""

    prompt: Sequence[int]
    answer: Sequence[int]


class Ranker:
    """A trained ranker. `base` and `adapter` are its body: where it started where that is frozen, else its own folder's."""

    def __init__(self, folder: Path, base: Path, adapter: Path | None) -> None:
        from transformers import AutoModelForCausalLM

        settings = settings_in(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        body: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(device)
        if adapter is not None:
            from peft import PeftModel

            body = PeftModel.from_pretrained(body, str(adapter))
        self.model = build(body, settings, Training()).eval()
        read_head(self.model, folder)

    def logits(self, reads: Sequence[Read], *, batch_tokens: int = BATCH_TOKENS) -> list[float]:
        """How right each looks, as a logit; rows of about equal length share a forward pass of at most so many tokens (or of one row)."""
        found = [0.0] * len(reads)
        with torch.no_grad():
            for part in batches([len(read.prompt) + len(read.answer) for read in reads], batch_tokens):
                for index, logit in zip(part, self._batch([reads[index] for index in part]), strict=True):
                    found[index] = logit
        return found

    def _batch(self, reads: Iterable[Read]) -> list[float]:
        rows = [([*read.prompt, *read.answer], len(read.prompt)) for read in reads]
        width, device = max(len(ids) for ids, _ in rows), next(self.model.parameters()).device
        ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows], device=device)
        mask_BT = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows], device=device)
        answer_BT = mask_BT.bool() & (torch.arange(width, device=device) >= torch.tensor([[begin] for _, begin in rows], device=device))
        logits: list[float] = logits_of(self.model, self.model, ids_BT, mask_BT, answer_BT).tolist()
        return logits


def batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices by rising length, in groups that have at most `most` tokens with their padding, or one row."""
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if found and (len(found[-1]) + 1) * lengths[index] <= most:
            found[-1].append(index)
        else:
            found.append([index])
    return found
