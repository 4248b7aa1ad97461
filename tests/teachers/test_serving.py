from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from data.errors import EngineError, ParamsError
from teachers.serving import Server, ServeSettings, serve_arguments

HEALTHY = """
import http.server, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
open(sys.argv[sys.argv.index("serve") + 1] + "/child", "w").write(str(child.pid))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Health).serve_forever()
"""
DYING = "import sys; print('the disk is on fire'); sys.exit(3)"
SILENT = "import time; print('still loading', flush=True); time.sleep(600)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(tmp_path: Path, source: str, **other: object) -> Server:
    settings = ServeSettings("student", free_port(), **other)  # type: ignore[arg-type]
    return Server(tmp_path, settings, log=tmp_path / "log/serve.log", program=(sys.executable, "-c", source))


def gone(pid: int) -> bool:
    """Whether a process has ended (one that nobody has waited for yet has, too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_server_is_entered_when_it_answers_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    with server(tmp_path, HEALTHY):
        child = int((tmp_path / "child").read_text())
        os.kill(child, 0)
    end = time.monotonic() + 5
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert gone(child)


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"(?s)exit code 3.*the disk is on fire"), server(tmp_path, DYING):
        pass


def test_a_server_that_is_late_is_stopped_and_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"(?s)within 1 seconds.*still loading"), server(tmp_path, SILENT, start_seconds=1.0):
        pass


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = ServeSettings("student", other.getsockname()[1])
        with pytest.raises(ParamsError, match=r"handoff\.port"), Server(tmp_path, settings, log=tmp_path / "serve.log"):
            pass


def test_engine_arguments_become_flags_and_those_of_the_machine_stay_out_of_the_card() -> None:
    arguments = {"enforce_eager": True, "enable_prefix_caching": False, "tensor_parallel_size": 2, "rope_scaling": {"factor": 2.0}}
    settings = ServeSettings("student", 8000, "float32", 512, arguments, {"kv_cache_memory_bytes": 1024})
    assert serve_arguments("folder", settings) == [
        "serve", "folder", "--served-model-name", "student", "--reasoning-parser", "qwen3", "--dtype", "float32", "--max-model-len", "512",
        "--no-enable-prefix-caching", "--enforce-eager", "--rope-scaling", '{"factor": 2.0}', "--tensor-parallel-size", "2",
    ]  # fmt: skip
