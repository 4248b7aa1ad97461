"""The compressors by kind: a new one is a file of its own, its settings, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teachers.compressors.contract import Compressor, Desk
from teachers.compressors.direct import Direct
from teachers.compressors.first_solution import FirstSolution
from teachers.compressors.fuse import Fuse
from teachers.compressors.post_think import PostThink
from teachers.compressors.prune_checks import PruneChecks
from teachers.compressors.prune_steps import PruneSteps
from teachers.compressors.prune_tokens import PruneTokens
from teachers.compressors.rewrite import Rewrite
from teachers.compressors.settings import AnyCompression
from teachers.compressors.shortest import Shortest
from teachers.compressors.truncated import Truncated

COMPRESSORS: dict[str, Callable[[Desk, Any], Compressor]] = {
    "shortest": Shortest,
    "post_think": PostThink,
    "first_solution": FirstSolution,
    "prune_checks": PruneChecks,
    "prune_steps": PruneSteps,
    "prune_tokens": PruneTokens,
    "rewrite": Rewrite,
    "fuse": Fuse,
    "truncated": Truncated,
    "direct": Direct,
}


def build(settings: AnyCompression, desk: Desk) -> Compressor:
    """The compressor of these settings."""
    return COMPRESSORS[settings.kind](desk, settings)
