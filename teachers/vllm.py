"""The engine `vllm`: vLLM with its engine in its own process, kept full, completions handed over as they end.

`use` takes the cheapest way that is safe: an adapter is a LoRA request on the running base; full weights are swapped in place where
that can be proved by log-probabilities (teachers/proof.py); everything else starts the engine afresh with the new folder. Swaps in
place are never tried with tied embeddings: vLLM 0.31 then keeps the old head without saying so.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

from data.errors import EngineError
from data.records import Status
from teachers.adapters import check_plain
from teachers.decoding import FINISHED, Decoder
from teachers.engine import Completion, EngineSpec, ModelRef, Request, Requests
from teachers.guard import EngineGuard
from teachers.identity import adapter_hash, model_hash, resolve_dtype
from teachers.proof import WRITTEN_TOKENS, Written, check_weights, proof_prompts
from teachers.vllm_start import adapter_rank, model_config, start_vllm

PROVABLE_BYTES = 4 << 30
"""Weights up to this size (a billion parameters in float32) are loaded into transformers for a proof."""
ALIVE_SECONDS = 1.0
"""How often a waiting engine is asked whether its process lives."""
_COSMETIC = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache")


class VllmEngine:
    """See the module's docstring. `spec.arguments` are vLLM's engine arguments and win over the defaults here."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec, self._dtype = spec, resolve_dtype(spec)
        self._engine: Any = None
        self._guard: EngineGuard | None = None
        self._folder = spec.model.folder
        self._loaded = ""
        self._lora: Any = None
        self._lora_rank = 0
        self._lora_ids = count(1)
        self._request_ids = count()
        try:
            self.use(spec.model)
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def use(self, model: ModelRef) -> None:
        """Generate with these weights from now on; proved wherever they were not simply loaded by a fresh engine."""
        check_plain(model.adapter, "vllm")
        wanted, rank = model_hash(model.folder), adapter_rank(model.adapter)
        is_other = wanted != self._loaded
        swap = is_other and self._can_swap(model.folder)
        self._loaded = ""  # a failure on the way leaves an engine that must not be used again
        if self._engine is None or rank > self._lora_rank or (is_other and not swap):
            self._restart(model.folder, lora_rank=max(rank, self._lora_rank))
        elif swap:
            self._swap(model.folder)
        self._folder, self._decoder = model.folder, Decoder(model.folder)
        self._lora = None if model.adapter is None else self._lora_request(model.adapter)
        if swap or (self._lora is not None and self._provable(model.folder)):
            self._prove(model)
        self._loaded = wanted

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions as they end, `spec.batch` of them in flight."""
        flying: dict[str, Request] = {}
        try:
            while True:
                yield from self._fill(flying, requests)
                if not flying:
                    return
                for output in self._step():
                    yield self._completion(flying.pop(output.request_id), output.outputs[0])
        finally:
            if flying and self._engine is not None:
                self._abort(list(flying))

    def _fill(self, flying: dict[str, Request], requests: Requests) -> Iterator[Completion]:
        """Bring requests into flight; yields those that vLLM refuses."""
        from vllm.exceptions import VLLMClientError

        while len(flying) < self._spec.batch and (request := requests.take()) is not None:
            try:
                flying[self._add(request.prompt_ids, **self._sampling(request))] = request
            except (VLLMClientError, ValueError) as error:
                yield Completion(request, Status.ERROR, "refused", "", (), f"vLLM refused the request: {error}")

    def _sampling(self, request: Request) -> dict[str, Any]:
        settings = request.sampling
        return {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": request.seed if settings.temperature > 0 else None,
            "stop_token_ids": sorted(self._decoder.stop_ids),
        }

    def _add(self, prompt_ids: tuple[int, ...], **sampling: Any) -> str:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
        request_id = str(next(self._request_ids))
        self._engine.add_request(request_id, {"prompt_token_ids": list(prompt_ids)}, parameters, lora_request=self._lora)
        return request_id

    def _step(self) -> list[Any]:
        """The requests that ended in the next step of the engine."""
        try:
            self._await_output()
            return [output for output in self._engine.step() if output.finished]
        except Exception as error:  # the engine process's boundary: whatever killed it, this engine is gone
            raise EngineError(f"the vLLM engine process died: {type(error).__name__}: {error}") from error

    def _await_output(self) -> None:
        """Wait for output as long as the engine's process lives; vLLM 0.31 itself waits for ever for one that was killed."""
        core = self._engine.engine_core
        outputs = core.outputs_queue
        with outputs.not_empty:
            while not outputs.queue:
                core.ensure_alive()
                outputs.not_empty.wait(ALIVE_SECONDS)

    def _completion(self, request: Request, output: Any) -> Completion:
        token_ids = tuple(output.token_ids)
        status = FINISHED.get(output.finish_reason, Status.ERROR)
        detail = "" if status.final else f"vLLM ended the request with {output.finish_reason!r}"
        return Completion(request, status, str(output.finish_reason), self._decoder.text(token_ids), token_ids, detail)

    def _abort(self, request_ids: list[str]) -> None:
        try:
            self._engine.abort_request(request_ids)
        except Exception:  # noqa: BLE001 - the engine process's boundary: a dead engine has nothing to abort
            self._stop()

    def _restart(self, folder: Path, *, lora_rank: int) -> None:
        self._stop()
        self._guard = EngineGuard()
        self._engine = start_vllm(self._spec, folder, lora_rank=lora_rank)
        self._guard.settled()
        self._lora_rank = lora_rank

    def _can_swap(self, folder: Path) -> bool:
        """Only what can be proved is swapped in place: float32, small, untied, the same architecture, no LoRA wrapped around it."""
        if self._engine is None or not self._loaded or self._lora_rank or self._spec.arguments.get("quantization"):
            return False
        new, old = model_config(folder), model_config(self._folder)
        return self._provable(folder) and not new.tie_word_embeddings and _shape(new) == _shape(old)

    def _provable(self, folder: Path) -> bool:
        return self._dtype == "float32" and sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= PROVABLE_BYTES

    def _swap(self, folder: Path) -> None:
        try:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            is_reset = self._engine.reset_prefix_cache()
        except Exception as error:  # the engine process's boundary
            raise EngineError(f"vLLM cannot take the weights of {folder} in place: {type(error).__name__}: {error}") from error
        if not is_reset:
            raise EngineError(f"vLLM kept its prefix cache of other weights while taking those of {folder}; start a fresh engine")

    def _lora_request(self, adapter: Path) -> Any:
        from vllm.lora.request import LoRARequest

        # The name is the content: vLLM keys its prefix cache by it.
        return LoRARequest(adapter_hash(adapter), next(self._lora_ids), str(adapter))

    def _prove(self, model: ModelRef) -> None:
        # Not by prompt_logprobs: vLLM 0.31 on a CPU dies of them when LoRA is on.
        settings = {"max_tokens": WRITTEN_TOKENS, "temperature": 0.0, "logprobs": 0, "ignore_eos": True}
        flying = {self._add(prompt, **settings): prompt for prompt in proof_prompts(len(self._decoder.tokenizer))}
        written: list[Written] = []
        while len(written) < len(flying):
            for output in self._step():
                tokens, tables = tuple(output.outputs[0].token_ids), output.outputs[0].logprobs
                logprobs = tuple(table[token].logprob for token, table in zip(tokens, tables, strict=True))
                written.append(Written(flying[output.request_id], tokens, logprobs))
        check_weights(written, model)

    def _stop(self) -> None:
        engine, self._engine = self._engine, None
        guard, self._guard = self._guard, None
        if engine is not None:
            engine.engine_core.shutdown()
        if guard is not None:
            guard.close()


def _shape(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name not in _COSMETIC}
