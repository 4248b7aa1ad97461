from pathlib import Path

from students.builds import free_builds


def test_a_lock_that_a_killed_training_left_is_removed_and_one_that_is_held_stays(tmp_path: Path) -> None:
    left, held = tmp_path / "py311_cpu/one/lock", tmp_path / "py311_cpu/two/lock"
    for lock in (left, held):
        lock.parent.mkdir(parents=True)
        lock.touch()
    with held.open():
        assert free_builds(tmp_path, pause_seconds=0) == [left]
    assert held.exists() and not left.exists()


def test_a_lock_that_is_let_go_meanwhile_was_not_left(tmp_path: Path, monkeypatch) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setattr("students.builds.time.sleep", lambda seconds: lock.unlink())
    assert free_builds(tmp_path) == []
