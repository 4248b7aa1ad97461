"""What a module's behaviour depends on: the modules of the four rooms that it reaches, hashed without docstrings, comments and positions.

DVC follows files and not imports; the stage `code` writes one hash per stage from here, and every stage depends on its own.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from data.errors import StageError

ROOMS = ("data", "teachers", "students", "pipeline")
_MODULE_NAME = re.compile(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+")


class Sources:
    """The Python modules under a root, each read once."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self._trees: dict[str, ast.Module] = {}
        self._hashes: dict[str, str] = {}
        self._imports: dict[str, set[str]] = {}

    def closure_hash(self, module: str) -> str:
        """16 hex digits of all that `module` reaches, itself included."""
        return hashlib.sha256("".join(f"{name} {self.module_hash(name)}\n" for name in self.closure(module)).encode()).hexdigest()[:16]

    def module_hash(self, module: str) -> str:
        """Hash of one module's own syntax."""
        if module not in self._hashes:
            self._hashes[module] = hashlib.sha256(ast.dump(self.tree(module)).encode()).hexdigest()
        return self._hashes[module]

    def closure(self, module: str) -> list[str]:
        """Names of the modules that `module` reaches through imports, itself and packages on the way included, sorted."""
        self.tree(module)
        found: set[str] = set()
        waiting = _with_packages(module)
        while waiting:
            name = waiting.pop()
            if name not in found and self._file(name):
                found.add(name)
                waiting += self.imports(name)
        return sorted(found)

    def imports(self, module: str) -> set[str]:
        """Modules of the rooms that `module` names: imports at any depth, and strings such as `python -m students.worker` takes."""
        if module not in self._imports:
            names = {part for node in ast.walk(self.tree(module)) for name in self._named(node, module) for part in _with_packages(name)}
            self._imports[module] = {name for name in names if self._file(name)}
        return self._imports[module]

    def tree(self, module: str) -> ast.Module:
        """The module's syntax without docstrings and without what only type checkers read."""
        if module not in self._trees:
            path = self._file(module)
            if path is None:
                raise StageError(
                    f"{module}: no such module under the rooms {', '.join(ROOMS)}; each stage of dvc.yaml needs its file in pipeline/"
                )
            self._trees[module] = _strip(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
        return self._trees[module]

    def _file(self, module: str) -> Path | None:
        """The file of a module of the rooms; None for anything else."""
        if module.partition(".")[0] not in ROOMS:
            return None
        stem = self.root.joinpath(*module.split("."))
        return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)

    def _named(self, node: ast.AST, module: str) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = self._origin(node, module)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE_NAME.fullmatch(node.value):
            yield node.value

    def _origin(self, node: ast.ImportFrom, module: str) -> str:
        """The absolute name that `from X import …` takes from, relative dots resolved."""
        if not node.level:
            return node.module or ""
        path = self._file(module)
        package = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
        return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _with_packages(name: str) -> list[str]:
    """`a.b.c` → `a`, `a.b`, `a.b.c`: importing a module runs its packages too."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _strip(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # Any bare string is a docstring (of a module, class, function or attribute): it does nothing.
            node.body = [child for child in body if not _does_nothing(child)]  # type: ignore[attr-defined]
    return tree


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
