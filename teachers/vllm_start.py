"""Starting vLLM: its environment, its engine arguments, and the errors that it starts with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.adapters import ADAPTER
from data.errors import EngineError, ParamsError
from teachers.engine import EngineSpec
from teachers.identity import adapter_hash, resolve_dtype

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",  # its own process: six times as fast on a CPU
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a forked child would inherit the store's lock and torch's threads
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # binding would fight with whatever else computes on the machine
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set while the engine starts, unless the environment says otherwise."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM allows for max_lora_rank."""
MIN_CPU_CACHE_BYTES, MAX_CPU_CACHE_BYTES = 64 << 20, 4 << 30


def start_vllm(spec: EngineSpec, folder: Path, *, lora_rank: int) -> Any:
    """A vLLM engine in its own process with the weights of `folder`; `lora_rank` 0 starts it without LoRA.

    `spec.arguments` win over the defaults here. Raises EngineError where it does not start, ParamsError for unknown arguments.
    """
    with _environment():
        from vllm import EngineArgs, LLMEngine

        try:
            arguments = EngineArgs(**engine_arguments(spec, folder, lora_rank))
        except TypeError as error:
            raise ParamsError(f"engine.arguments: vLLM does not know one of {sorted(spec.arguments)}: {error}") from None
        try:
            return LLMEngine.from_engine_args(arguments, enable_multiprocessing=True)
        except Exception as error:  # the engine process's boundary: vLLM raises whatever its worker met
            raise EngineError(f"vLLM does not start with {folder}: {type(error).__name__}: {error}. Its log says more.") from error


def adapter_rank(adapter: Path | None) -> int:
    """The highest rank in an adapter; 0 for none."""
    if adapter is None:
        return 0
    adapter_hash(adapter)  # names a folder that holds no adapter
    settings = json.loads((adapter / ADAPTER).read_text(encoding="utf-8"))
    rank = int(max(settings["r"], *(settings.get("rank_pattern") or {}).values(), 1))
    if rank > LORA_RANKS[-1]:
        raise EngineError(f"{adapter}: rank {rank} cannot be served by vLLM, allowed are ranks up to {LORA_RANKS[-1]}; merge the adapter")
    return rank


def model_config(folder: Path) -> Any:
    """The (text) configuration of a model folder, defaults filled in."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder).get_text_config()


@contextmanager
def _environment() -> Iterator[None]:
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def engine_arguments(spec: EngineSpec, folder: Path, lora_rank: int = 0) -> dict[str, Any]:
    """VLLM's arguments for a model on this machine, those of the spec over the defaults."""
    from vllm.platforms import current_platform

    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": resolve_dtype(spec),
        "max_model_len": spec.max_model_length,
        "max_num_seqs": spec.batch,
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # a folder's own sampling defaults would join in unasked
        "disable_log_stats": True,
        "seed": 0,
    }
    if lora_rank:
        arguments |= {"enable_lora": True, "max_lora_rank": min(allowed for allowed in LORA_RANKS if allowed >= lora_rank)}
    if current_platform.is_cpu():
        arguments |= {"enforce_eager": True, "kv_cache_memory_bytes": _cpu_cache_bytes(spec, folder)}
        # Every draw has its own seed, and vLLM 0.31 on a CPU dies where it reads a seeded request's prompt in several steps
        # ("CPU Generator does not use offset").
        arguments |= {"enable_chunked_prefill": False}
    return arguments | dict(spec.arguments)


def _cpu_cache_bytes(spec: EngineSpec, folder: Path) -> int:
    """Room for a full batch of the longest requests; vLLM's own default is half of the machine."""
    config = model_config(folder)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * (4 if resolve_dtype(spec) == "float32" else 2)
    return int(min(max(per_token * (spec.max_model_length + 128) * spec.batch, MIN_CPU_CACHE_BYTES), MAX_CPU_CACHE_BYTES))
