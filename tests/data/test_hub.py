from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import ParamsError, TextFormatError
from data.hub import folder_here, local_folder, positions

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    "files",
    [
        {"config__json": "{}", "chat_template__jinja": "x"},
        {"config__json": "{}", "tokenizer_config__json": '{"chat_template": "x"}'},
    ],
)
def test_a_local_folder_is_taken_as_it_is(tmp_path: Path, files: dict[str, str]) -> None:
    folder = model(tmp_path / "model", **files)
    assert local_folder(str(folder), None) == folder


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"empty.*config\.json"):
        local_folder(str(model(tmp_path / "empty")), None)
    for number, settings in enumerate(("{}", '{"chat_template": null}')):
        folder = model(tmp_path / f"bare{number}", config__json="{}", tokenizer_config__json=settings)
        with pytest.raises(TextFormatError, match="chat template"):
            local_folder(str(folder), None)


def cached(cache: Path, name: str, **files: str) -> Path:
    """A snapshot as a hub's client keeps it."""
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots"
    folder.mkdir(parents=True)
    return model(folder / COMMIT, **files)


def test_a_hub_model_that_was_fetched_before_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = cached(tmp_path, "owner/whole", config__json="{}", model__safetensors="x")
    cached(tmp_path, "owner/part", config__json="{}")
    assert folder_here("owner/whole", COMMIT) == folder and folder_here(str(folder), None) == folder
    others = [("owner/whole", None), ("owner/whole", "main"), ("owner/whole", COMMIT[::-1]), ("owner/part", COMMIT), ("owner/none", COMMIT)]
    assert [folder_here(name, revision) for name, revision in others] == [None] * len(others)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{}", None),
        ('{"text_config": null}', None),
        ('{"text_config": {}}', None),
        ('{"text_config": {"max_position_embeddings": 8}}', 8),
        ('{"max_position_embeddings": 4, "text_config": null}', 4),
    ],
)
def test_positions_are_those_of_the_model_or_of_its_text_part(tmp_path: Path, config: str, expected: int | None) -> None:
    assert positions(model(tmp_path / "model", config__json=config)) == expected


@pytest.mark.parametrize(
    ("path", "revision", "message"),
    [
        ("/no/such/folder", COMMIT, "no such folder"),
        ("./models/x", None, "no such folder"),
        ("owner/name", None, "pin `revision`"),
        ("owner/name", "main", "pin `revision`.*'main'"),
    ],
)
def test_a_missing_folder_needs_a_pinned_hub_name(path: str, revision: str | None, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        local_folder(path, revision)


def test_a_hub_name_is_fetched_at_its_commit_and_failures_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    folder = model(tmp_path / "model", config__json="{}", chat_template__jinja="x")
    asked: list[tuple[str, str]] = []

    def snapshot(name: str, *, revision: str, ignore_patterns: list[str]) -> str:
        asked.append((name, revision))
        if name == "owner/gone":
            raise OSError("no route")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert local_folder("owner/name", COMMIT) == folder
    with pytest.raises(ParamsError, match=r"owner/gone.*no route.*local folder"):
        local_folder("owner/gone", COMMIT)
    assert asked == [("owner/name", COMMIT), ("owner/gone", COMMIT)]
