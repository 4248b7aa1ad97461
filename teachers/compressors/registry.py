"""The compressors by kind: a new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Callable

from data.errors import ParamsError
from teachers.compressors.contract import Compressor, Desk
from teachers.compressors.post_think import PostThink
from teachers.compressors.shortest import Shortest
from teachers.compressors.truncated import Truncated

COMPRESSORS: dict[str, Callable[[Desk], Compressor]] = {
    "shortest": Shortest,
    "post_think": PostThink,
    "truncated": Truncated,
}


def build(kind: str, desk: Desk) -> Compressor:
    """The compressor of a kind. Raises ParamsError for an unknown one."""
    if kind not in COMPRESSORS:
        raise ParamsError(f"compressor kind {kind!r} is not known; allowed: {sorted(COMPRESSORS)}")
    return COMPRESSORS[kind](desk)
