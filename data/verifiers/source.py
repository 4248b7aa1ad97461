"""Which program does an answer state? The last fenced Python block that defines what is asked for, else the last one, as a completion."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from data.records import CodeReference, content_id

PYTHON = frozenset({"python", "python3", "py", "py3"})
FENCE = re.compile(r"[ \t>]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)")
FINGERPRINT_DIGITS = 12
NO_COMPILE = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)
"""What compiling a text may raise: it need not be Python, nor even text."""


class Program(NamedTuple):
    """A program as stated: its sources run one after another in one module."""

    sources: tuple[str, ...]
    fault: str | None
    """Why it cannot run at all."""
    fingerprint: str
    """Equal for programs that differ in layout, comments and docstrings alone."""


class Block(NamedTuple):
    """A fenced block: the first word after its fence in lower case, its lines, and where it stands, fences and all (characters)."""

    tag: str
    text: str
    start: int
    end: int


def stated_program(reference: CodeReference, answer_text: str) -> Program | None:
    """The program that an answer states; None where it states none."""
    block = stated_block(reference, answer_text)
    return None if block is None else as_program(reference, block.text)


def stated_block(reference: CodeReference, answer_text: str) -> Block | None:
    """Where an answer states its program; an answer without fences may be one as a whole."""
    found = list(blocks(answer_text))
    untagged = [block for block in found if not block.tag and _names(block.text, reference.entry_point)]  # others may hold an output
    fitting = [block for block in found if block.tag in PYTHON] or untagged
    if not found and _fault(answer_text) is None and _definitions(_tree(answer_text), reference.entry_point):
        fitting = [Block("", answer_text, 0, len(answer_text))]
    defining = [block for block in fitting if _names(block.text, reference.entry_point)]
    return next(reversed(defining or fitting), None)


def as_program(reference: CodeReference, text: str) -> Program:
    """A program, or the end of one that the preamble begins."""
    fault = _fault(text)
    if fault is None and (reference.entry_point is None or _definitions(_tree(text), reference.entry_point)):
        before = (reference.preamble,) if reference.preamble and _fault(reference.preamble) is None else ()
        return Program((*before, text), None, _fingerprint(text))
    completions = _completions(reference.preamble, text)
    whole = next((completion for completion in completions if _fault(completion) is None), None)
    return Program((text,), fault, _fingerprint(text)) if whole is None else Program((whole,), None, _fingerprint(whole))


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text; one that is never closed runs to the end."""
    fence, tag, lines = "", "", []
    begun = begin = 0
    for line in text.split("\n"):
        match = FENCE.fullmatch(line.rstrip())
        if match is None or (fence and not _closes(match, fence)):
            lines.append(line)
        elif fence:
            yield Block(tag, "\n".join(lines) + "\n", begun, begin + len(line))
            fence = ""
        else:
            fence, tag, lines, begun = match["fence"], (match["info"].lower().split() or [""])[0].strip("{}."), [], begin
        begin += len(line) + 1
    if fence:
        yield Block(tag, "\n".join(lines) + "\n", begun, len(text))


def _closes(match: re.Match[str], fence: str) -> bool:
    return match["fence"].startswith(fence) and not match["info"].strip()


def _completions(preamble: str, text: str) -> list[str]:
    """Preamble and text, the text as it stands or as the body that it was cut from."""
    begun = preamble if preamble.endswith("\n") else f"{preamble}\n"
    return [begun + text, begun + textwrap.indent(textwrap.dedent(text), "    ")] if preamble else [text]


def _names(text: str, name: str | None) -> bool:
    """Whether a text, Python or not, sets out to define `name`; any function or class where that is None."""
    wanted = re.escape(name) if name else r"\w+"
    forms = [rf"(?:(?:async[ \t]+)?def|class)[ \t]+{wanted}\b"]
    if name:
        forms += [rf"{wanted}[ \t]*(?::[^=\n]+)?=(?!=)", rf"(?:from[ \t].*)?import[ \t].*\b{wanted}\b"]
    return re.search(rf"^(?:{'|'.join(forms)})", text, re.MULTILINE) is not None


def _definitions(tree: ast.Module, name: str | None) -> bool:
    """Whether a module defines `name` at its top level; any function or class where that is None."""
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    if name is None:
        return bool(defined)
    outer = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    stored = {node.id for part in outer for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    return name in defined | stored | imported


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes and the like: the author's affair
        return ast.parse(text)


def _fault(text: str) -> str | None:
    """Why a text does not compile as a module."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<program>", "exec", dont_inherit=True)
    except NO_COMPILE as error:
        return f"{type(error).__name__}: {error}"
    return None


def _fingerprint(text: str) -> str:
    try:
        tree = _tree(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
                node, clean=False
            ):
                node.body = node.body[1:] or [ast.Pass()]
        text = ast.unparse(tree)
    except NO_COMPILE:
        pass  # of no program: the text itself
    return content_id("program", text.encode(errors="surrogatepass").hex())[:FINGERPRINT_DIGITS]
