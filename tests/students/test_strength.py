from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import StageError
from students.strength import at_strength


def folder(path: Path, tensors: dict[str, torch.Tensor], config: str = "config.json") -> Path:
    path.mkdir()
    (path / config).write_text("{}")
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


@pytest.mark.parametrize(("strength", "value"), [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0), (1.5, 4.0)])
def test_whole_weights_lie_on_the_line_from_the_base_through_the_student(tmp_path: Path, strength: float, value: float) -> None:
    base, student = (folder(tmp_path / name, {"w": torch.full((2, 2), at)}) for name, at in (("base", 1.0), ("student", 3.0)))
    out = at_strength(student, base, strength, tmp_path / "out")
    assert torch.equal(load_file(out / "model.safetensors")["w"], torch.full((2, 2), value))
    assert (out / "config.json").is_file()


def test_an_adapter_is_scaled_on_one_side(tmp_path: Path) -> None:
    tensors = {"q.lora_A.weight": torch.ones(2, 4), "q.lora_B.weight": torch.ones(4, 2)}
    adapter, base = folder(tmp_path / "adapter", tensors, "adapter_config.json"), folder(tmp_path / "base", {"w": torch.ones(1)})
    found = load_file(at_strength(adapter, base, 0.25, tmp_path / "out") / "model.safetensors")
    assert torch.equal(found["q.lora_B.weight"] @ found["q.lora_A.weight"], torch.full((4, 4), 0.5))


def test_what_was_written_is_not_written_again_and_a_broken_writing_leaves_nothing(tmp_path: Path) -> None:
    base, student = folder(tmp_path / "base", {"w": torch.ones(3)}), folder(tmp_path / "student", {"w": torch.ones(2)})
    with pytest.raises(StageError, match=r"w: the base has \(3,\), the student \(2,\)"):
        at_strength(student, base, 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = folder(tmp_path / "done", {"w": torch.zeros(2)})
    assert load_file(at_strength(student, base, 0.5, done) / "model.safetensors")["w"].sum() == 0
