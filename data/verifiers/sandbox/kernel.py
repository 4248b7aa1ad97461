"""The few calls to the Linux kernel that Python 3.11 has no function for. Every failure is an OSError that names the call."""

from __future__ import annotations

import ctypes
import os
import signal

NEW_MOUNTS = 0x00020000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USERS = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

READ_ONLY, NO_SETUID, NO_DEVICES = 1, 2, 4
REMOUNT, BIND, RECURSIVE, PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags`; those of process ids change for children alone."""
    _call("unshare", flags)


def mount(source: str | None, target: str, *, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """Mount a file system, or change how it is mounted."""
    _call("mount", _bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(options))


def bind(source: str, target: str, flags: int) -> None:
    """Show `source`, with what is mounted below, at `target`, under `flags`."""
    mount(source, target, flags=BIND | RECURSIVE)
    mount(None, target, flags=REMOUNT | BIND | flags)


def change_root(folder: str) -> None:
    """Make a mounted folder the root; the old root is gone from this mount namespace."""
    os.chdir(folder)
    _call("pivot_root", b".", b".")  # the old root now lies on the new one
    _call("umount2", b".", DETACH)
    os.chdir("/")


def die_with_parent(parent: int | None = None) -> None:
    """Be killed when the parent ends; a parent other than `parent` (None: any) has ended already. A change of user forgets this."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent has ended."""
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_readable(readable: bool) -> None:
    """Whether processes of the same user may look into this one (proc(5), ptrace(2))."""
    _call("prctl", PR_SET_DUMPABLE, int(readable), 0, 0, 0)


def drop_capabilities() -> None:
    """Give up all rights over the namespaces, and gain none by running a program."""
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("capset", (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)
