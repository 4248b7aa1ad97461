"""`vllm serve` as a child process: how it is started for a folder, until it answers, and that nothing of it is left behind.

The reasoning parser is vLLM's `qwen3`: it reads think tags from the text, so it works where they are no single tokens, and it keeps them
where they are special tokens. (`deepseek_r1` refuses the first kind and loses the reasoning of the second.)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from data.errors import EngineError, ParamsError
from teachers.engine import EngineSpec
from teachers.vllm_start import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]
REASONING_PARSER = "qwen3"
HOST = "127.0.0.1"
VLLM = (sys.executable, "-m", "teachers.vllm_cli")
TAIL_LINES = 25
STOP_SECONDS = 20.0
CPU_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class ServeSettings:
    """How a folder is served; `arguments` are vLLM engine arguments by their Python names, as params give them."""

    name: str
    """The model's name in requests."""
    port: int
    dtype: str = "auto"
    max_model_length: int = 512
    arguments: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of this machine alone (memory, eager mode); they are no part of the model card's command."""
    start_seconds: float = 900.0


def serve_arguments(folder: str, settings: ServeSettings) -> list[str]:
    """What follows `vllm` on the command line, machine, host and port left out: the exact command of the model card."""
    own = ["serve", folder, "--served-model-name", settings.name, "--reasoning-parser", REASONING_PARSER]
    own += ["--dtype", settings.dtype, "--max-model-len", str(settings.max_model_length)]
    return own + _flags(settings.arguments)


def _flags(arguments: Mapping[str, Any]) -> list[str]:
    return [word for name, value in sorted(arguments.items()) for word in _flag(name, value)]


def _flag(name: str, value: Any) -> list[str]:
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", value if isinstance(value, str) else json.dumps(value)]


def machine_arguments(spec: EngineSpec) -> dict[str, Any]:
    """What serving a few requests needs on this machine: on a CPU a bounded cache (vLLM takes half of the memory) and no compiler."""
    import torch

    on_cpu = {"enforce_eager": True, "kv_cache_memory_bytes": CPU_CACHE_BYTES}
    return {} if torch.cuda.is_available() else {name: value for name, value in on_cpu.items() if name not in spec.arguments}


class Server:
    """A served folder. A context manager: entered when it answers, left when its whole process group is gone.

    Raises ParamsError where the port is taken, and EngineError (with the end of the server's log) where it dies or answers too late.
    """

    def __init__(self, folder: Path, settings: ServeSettings, *, log: Path, program: Sequence[str] = VLLM) -> None:
        self.settings, self.log = settings, log
        self.address = f"http://{HOST}:{settings.port}"
        here = ["--host", HOST, "--port", str(settings.port), *_flags(settings.machine)]
        self._command = [*program, *serve_arguments(str(folder), settings), *here]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._refuse_taken_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.settings.port))
            except OSError as error:
                raise ParamsError(f"port {self.settings.port} of {HOST} is taken ({error.strerror}); set another handoff.port") from None

    def _wait(self) -> None:
        """Until /health says yes."""
        assert self._process is not None
        end = time.monotonic() + self.settings.start_seconds
        while not self._healthy():
            if (code := self._process.poll()) is not None:
                raise EngineError(f"`vllm serve` ended with exit code {code} before it answered; the end of {self.log}:\n{self._tail()}")
            if time.monotonic() > end:
                raise EngineError(
                    f"`vllm serve` did not answer within {self.settings.start_seconds:.0f} seconds; the end of {self.log}:\n{self._tail()}"
                )
            time.sleep(0.25)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])

    def _stop(self) -> None:
        """End the server and its engine processes: politely, then for sure."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _environment() -> dict[str, str]:
    """The caller's environment over that of the embedded engine; the server says more, since its log is a file."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**ENVIRONMENT, "VLLM_LOGGING_LEVEL": "INFO", **os.environ, "PYTHONPATH": paths}
