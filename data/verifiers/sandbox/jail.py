"""The outermost process of a sandbox: sets up its layers, or refuses, and waits for the tests. Started by `run`; not for people.

Layers: namespaces of users, process ids, network, mounts, IPC and host name; a root of its own that shows Python and the system's
libraries, read-only, and a small /tmp; an ordinary user (root becomes nobody), no capabilities, no further user namespaces; limits of
processor time, memory, processes, open files and file sizes. All of them hold or the sandbox refuses.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from select import select
from typing import NamedTuple

from data.verifiers.sandbox import kernel, trial
from data.verifiers.sandbox.trial import TIMEOUT, Limits, Said, ended

NOBODY = 65534
LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
FOR_READING = kernel.READ_ONLY | kernel.NO_SETUID | kernel.NO_DEVICES
COVERED = "/sys"
"""Where the new root is mounted in the sandbox's own view: a folder that every machine has and that nothing shown lies in."""
MAX_SWEEPS = 1000
REFUSED = "refused"
"""Key of what is said where a layer does not hold."""


class Plan(NamedTuple):
    """What the outermost process is told; `parent` is the process that waits for it."""

    sandboxed: bool
    parent: int
    limits: Limits


def main(text: str) -> None:
    """Run one job, which comes on stdin, and say one line of JSON on stdout: REFUSED, or outcome and detail."""
    sandboxed, parent, limits = json.loads(text)
    os.environ.clear()
    kernel.die_with_parent(parent)
    if not sandboxed:
        _run_openly(Limits(*limits))
        return
    try:
        _enter()
    except OSError as error:
        _say({REFUSED: str(error)})
        return
    kernel.die_with_parent()
    _run(Limits(*limits), sandboxed=True)


def _run_openly(limits: Limits) -> None:
    """Without layers: in a folder of its own, with all that is left behind killed at the end."""
    from tempfile import TemporaryDirectory

    kernel.adopt_orphans()
    with TemporaryDirectory(prefix="shortcot-program-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        _run(limits, sandboxed=False)
        _end_orphans()
        os.chdir("/")


def _run(limits: Limits, *, sandboxed: bool) -> None:
    tests = os.fork()
    if tests == 0:
        trial.hold(limits, sandboxed=sandboxed)
    _wait(tests, limits)


def _wait(tests: int, limits: Limits) -> None:
    """Wait for the tests, which say themselves what came of them; say it where they cannot."""
    in_time, _, _ = select([os.pidfd_open(tests)], [], [], limits.clock_seconds)
    if not in_time:
        os.kill(tests, signal.SIGKILL)
    _, status, usage = os.wait4(tests, 0)
    if status != 0 and not in_time:
        _say(Said(TIMEOUT, f"no end within {limits.clock_seconds:g} s on the clock")._asdict())
    elif status != 0:
        _say(ended("the tests' process", status, usage, limits)._asdict())


def _end_orphans() -> None:
    """Kill what a program left behind that no namespace held: whoever loses a parent became a child of this process."""
    for _ in range(MAX_SWEEPS):
        children = [int(child) for child in Path("/proc/self/task", str(os.getpid()), "children").read_text().split()]
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if not children:
            return


def _say(what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _enter() -> None:
    """Go through all layers that a process can set up for itself and its children. Raises OSError with the layer that does not hold."""
    processes = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # not to be seen from the new root
    user, group = os.getuid(), os.getgid()
    own = kernel.NEW_USERS | kernel.NEW_PIDS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_HOSTNAME
    if user == 0:
        kernel.unshare(kernel.NEW_MOUNTS)
        _change_root()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.set_readable(True)  # its files in /proc are root's otherwise
        kernel.unshare(own)
        _map_user(processes, NOBODY, NOBODY)
    else:
        kernel.unshare(own | kernel.NEW_MOUNTS)
        _map_user(processes, user, group)
        _change_root()
    _write(processes, "sys/user/max_user_namespaces", "0")  # a further one would give capabilities again
    os.close(processes)
    os.chdir("/tmp")


def _map_user(processes: int, user: int, group: int) -> None:
    _write(processes, "self/setgroups", "deny")
    _write(processes, "self/uid_map", f"{user} {user} 1")
    _write(processes, "self/gid_map", f"{group} {group} 1")


def _write(processes: int, name: str, text: str) -> None:
    try:
        file = os.open(name, os.O_WRONLY, dir_fd=processes)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError as error:
        raise OSError(error.errno, f"writing /proc/{name}: {error.strerror}") from error


def _change_root() -> None:
    """A root in memory that shows what Python needs, read-only, a few devices and an empty /tmp."""
    folder, root = COVERED, Path(COVERED)
    kernel.mount(None, "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    kernel.mount("tmpfs", folder, kind="tmpfs", flags=kernel.NO_SETUID | kernel.NO_DEVICES, options="size=1m,mode=755")
    for path in _shown():
        _show(path, root / path.relative_to("/"))
    (root / "dev").mkdir()
    for device in DEVICES:
        (root / device.lstrip("/")).touch()
        kernel.bind(device, folder + device, kernel.NO_SETUID)
    (root / "tmp").mkdir()
    small = "size=16m,nr_inodes=4096,mode=1777"
    kernel.mount("tmpfs", f"{folder}/tmp", kind="tmpfs", flags=kernel.NO_SETUID | kernel.NO_DEVICES, options=small)
    kernel.mount(None, folder, flags=kernel.REMOUNT | kernel.BIND | FOR_READING)
    kernel.change_root(folder)


def _shown() -> list[Path]:
    """Folders of Python's standard library and of shared libraries, none below another."""
    wanted = {*LIBRARIES, *sys.path, f"{sys.base_prefix}/{sys.platlibdir}"}
    there = sorted(path for path in map(Path, wanted) if path.is_dir())
    return [path for path in there if not any(other in path.parents for other in there)]


def _show(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and str(path) in LIBRARIES:
        target.symlink_to(path.readlink())  # into another one of them
        return
    target.mkdir()
    kernel.bind(str(path), str(target), FOR_READING)
