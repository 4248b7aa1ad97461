"""Every error that shortcot raises on purpose, in one tree.

    ShortcotError
    ├── ParamsError        a setting is unknown, out of range or contradicts another      (ValueError)
    ├── RecordError        a line or a record breaks its schema: file, line, field        (ValueError)
    ├── TextFormatError    a text, prompt or template breaks the chat format              (ValueError)
    ├── StoreError         the completion store cannot be read or written                 (OSError)
    │   └── ShardOwnedError    another process writes this shard
    ├── EngineError        an engine does not start, dies, or serves other weights        (RuntimeError)
    ├── PreflightError     a known trap was found before anything expensive started       (RuntimeError)
    └── StageError         a stage's own bound is broken (too many errors, empty table)   (RuntimeError)

A message names the place, the value found, what is allowed and the fix.
"""

from __future__ import annotations


class ShortcotError(Exception):
    """Base of all errors that a user can act upon; printed without a traceback by the stages."""


class ParamsError(ShortcotError, ValueError):
    """A setting is unknown, out of range or contradicts another."""


class RecordError(ShortcotError, ValueError):
    """A line or a record breaks its schema."""


class TextFormatError(ShortcotError, ValueError):
    """A text, prompt or chat template breaks the chat format."""


class StoreError(ShortcotError, OSError):
    """The completion store cannot be read or written."""


class ShardOwnedError(StoreError):
    """Another living process writes this shard."""


class EngineError(ShortcotError, RuntimeError):
    """An engine does not start, dies, or does not serve the weights that it should."""


class PreflightError(ShortcotError, RuntimeError):
    """A known trap was found before anything expensive started."""


class StageError(ShortcotError, RuntimeError):
    """A bound that a stage guards is broken."""


class CollapseError(StageError):
    """A training spoilt its model and was stopped."""
