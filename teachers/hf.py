"""The engine `hf`: transformers' own `generate`, in batches. Slow beside vLLM, and runs wherever torch runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from data.errors import EngineError, ParamsError
from data.records import Status
from teachers.adapters import with_adapter
from teachers.decoding import FINISHED, Decoder
from teachers.engine import Completion, EngineSpec, ModelRef, Request, Requests, SamplingSettings
from teachers.identity import resolve_dtype

if TYPE_CHECKING:
    import torch


class HfEngine:
    """Generates on the GPU if there is one. Takes no arguments of its own."""

    def __init__(self, spec: EngineSpec) -> None:
        if spec.arguments:
            raise ParamsError(f"engine hf takes no arguments, found {sorted(spec.arguments)}; remove them or use engine vllm")
        self._batch, self._dtype = spec.batch, resolve_dtype(spec)
        self._model: Any = None
        self.use(spec.model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._model = None

    def use(self, model: ModelRef) -> None:
        """Load these weights anew, the adapter on top; there is nothing left of those before."""
        self._model = None
        self._decoder = Decoder(model.folder)
        self._model = load_model(model, dtype=self._dtype)

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions batch by batch, each of requests that follow one another with like settings."""
        upcoming: Request | None = None
        while (first := upcoming or requests.take()) is not None:
            batch, upcoming = self._alike(first, requests)
            for request, token_ids in zip(batch, self._run(batch, first.sampling), strict=True):
                yield self._completion(request, token_ids)

    def _alike(self, first: Request, requests: Requests) -> tuple[list[Request], Request | None]:
        """A batch that begins with `first`, and the next request where it has other settings."""
        batch = [first]
        while len(batch) < self._batch and (request := requests.take()) is not None:
            if request.sampling != first.sampling:
                return batch, request
            batch.append(request)
        return batch, None

    def _completion(self, request: Request, written: list[int]) -> Completion:
        token_ids = self._decoder.until_stop(written)
        reason = "stop" if token_ids[-1] in self._decoder.stop_ids else "length"
        status: Status = FINISHED[reason]
        return Completion(request, status, reason, self._decoder.text(token_ids), token_ids)

    def _run(self, batch: list[Request], sampling: SamplingSettings) -> list[list[int]]:
        """The tokens written after each prompt, padded behind the end."""
        import torch

        input_ids_BT, mask_BT = _left_padded([request.prompt_ids for request in batch], self._decoder.pad_id)
        device = self._model.device
        torch.manual_seed(batch[0].seed)
        try:
            with torch.inference_mode():
                output_BT = self._model.generate(
                    input_ids=input_ids_BT.to(device), attention_mask=mask_BT.to(device), generation_config=self._settings(sampling)
                )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"transformers generate failed on {len(batch)} prompts: {error}. Out of memory? Lower engine.batch."
            ) from error
        written: list[list[int]] = output_BT[:, input_ids_BT.shape[1] :].tolist()
        return written

    def _settings(self, sampling: SamplingSettings) -> Any:
        from transformers import GenerationConfig

        chance = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling.temperature else {}
        return GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=sampling.temperature > 0,
            eos_token_id=sorted(self._decoder.stop_ids),
            pad_token_id=self._decoder.pad_id,
            **chance,
        )


def load_model(model: ModelRef, *, dtype: str, device: str | None = None) -> Any:
    """A model for inference with its adapter on top, on `device` (default: the GPU if there is one). Its own sampling defaults are off."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig

    try:
        loaded = AutoModelForCausalLM.from_pretrained(model.folder, dtype=getattr(torch, dtype))
        if model.adapter is not None:
            loaded = with_adapter(loaded, model.adapter)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EngineError(f"{model.folder} (adapter: {model.adapter}) cannot be loaded: {error}") from error
    # Sampling defaults of a model folder (top_k, repetition penalty) would join in unasked.
    loaded.generation_config = GenerationConfig()
    return loaded.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()


def _left_padded(prompts: list[tuple[int, ...]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, both (prompts, longest): the prompts end together."""
    import torch

    longest = max(map(len, prompts))
    ids_BT = torch.tensor([[pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask_BT = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids_BT, mask_BT
