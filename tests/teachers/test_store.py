from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ParamsError, RecordError, ShardOwnedError, StoreError
from data.records import Status
from teachers.engine import Completion, Request, SamplingSettings
from teachers.store import CompletionStore, StoredCompletion, completion_key

SETTINGS = SamplingSettings(1.0, 1.0, 100)


def stored(draw: int, *, text: str = "text", status: Status = Status.OK) -> StoredCompletion:
    return StoredCompletion.of("writer", Completion(Request((1, 2), SETTINGS, draw), status, "stop", text, (3, 4)))


def fill(folder: Path, count: int, *, shard: str = "one") -> None:
    with CompletionStore(folder, shard=shard) as store:
        for draw in range(count):
            store.put(stored(draw))


def held(folder: Path) -> set[int]:
    with CompletionStore(folder) as store:
        return {draw for draw in range(100) if store.find(stored(draw).key) is not None}


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.integers(0, 50), st.text(max_size=50), max_size=20))
def test_what_is_put_is_found_again_letter_by_letter(tmp_path_factory: pytest.TempPathFactory, texts: dict[int, str]) -> None:
    folder = tmp_path_factory.mktemp("store")
    wanted = [stored(draw, text=text) for draw, text in texts.items()]
    with CompletionStore(folder, shard="one") as store:
        for line in wanted:
            store.put(line)
        assert [store.find(line.key) for line in wanted] == wanted
    with CompletionStore(folder) as store:
        assert [store.find(line.key) for line in wanted] == wanted


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.0, 1.0]), st.integers(0, 3))
def test_keys_depend_on_prompt_draw_settings_and_writer(prompt: int, draw: int, temperature: float, writer: int) -> None:
    request = Request((prompt,), SamplingSettings(temperature, 1.0, 10), draw)
    other = Request((0,), SamplingSettings(0.0, 1.0, 10), 0)
    is_equal = request == other and writer == 0
    assert (completion_key(str(writer), request) == completion_key("0", other)) is is_equal


def test_final_completions_are_not_written_twice_and_errors_do_not_count(tmp_path: Path) -> None:
    with CompletionStore(tmp_path, shard="one") as store:
        store.put(stored(0, status=Status.ERROR))
        assert store.find(stored(0).key) is None
        store.put(stored(0, text="first"))
        store.put(stored(0, text="second"))
    assert len((tmp_path / "one.jsonl").read_text().splitlines()) == 2
    with CompletionStore(tmp_path) as store:
        found = store.find(stored(0).key)
        assert found is not None and found.text == "first"


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_torn_last_line_is_cut_off_by_the_next_owner_alone(tmp_path: Path, torn: int) -> None:
    fill(tmp_path, 3)
    shard = tmp_path / "one.jsonl"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-torn])
    assert held(tmp_path) == {0, 1}
    assert shard.read_bytes() == whole[:-torn], "a reader must not repair"
    fill(tmp_path, 4)
    assert held(tmp_path) == {0, 1, 2, 3}
    assert all(line.startswith(b"{") for line in shard.read_bytes().splitlines())


@pytest.mark.parametrize("garbage", [b"\x00" * 5000, b"{}", b"not json", b'{"key": 3', b"\xff\xfe", b"[1, 2]", b""])
def test_a_garbage_line_is_skipped_counted_and_warned_about(tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, 3)
    shard = tmp_path / "one.jsonl"
    lines = shard.read_bytes().splitlines()
    shard.write_bytes(b"\n".join([lines[0], garbage, *lines[1:]]) + b"\n")
    with CompletionStore(tmp_path) as store:
        assert len(store) == 3 and store.skipped_lines == 1
    assert "one.jsonl: 1 line(s)" in caplog.text


def test_a_second_owner_is_refused_with_pid_and_path_and_another_shard_is_free(tmp_path: Path) -> None:
    other = (
        "import sys; from tests.teachers.test_store import fill; from pathlib import Path; fill(Path(sys.argv[1]), 2, shard=sys.argv[2])"
    )

    def run(shard: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", other, str(tmp_path), shard], capture_output=True, text=True, check=False)

    with CompletionStore(tmp_path, shard="one") as store:
        with pytest.raises(ShardOwnedError, match=rf"one\.jsonl.*{os.getpid()}"):
            CompletionStore(tmp_path, shard="one")
        assert "ShardOwnedError" in (refused := run("one").stderr) and str(os.getpid()) in refused
        assert run("two").returncode == 0
        assert len(store) == 0
        store.refresh()
        assert len(store) == 2
    assert run("one").returncode == 0, "a closed store gives its shard back"


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with CompletionStore(tmp_path, shard="one") as store:
        store.put(stored(0))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "one.jsonl").stat().st_size + 100, hard))
            with pytest.raises(StoreError, match=r"one\.jsonl.*Free some space"):
                store.put(stored(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert held(tmp_path) == {0}
        store.put(stored(2))
    assert held(tmp_path) == {0, 2}


def test_tokens_that_a_server_counted_are_kept_beside_those_of_its_text(tmp_path: Path) -> None:
    completion = Completion(Request((1, 2), SamplingSettings(0.0, 1.0, 8), 0), Status.OK, "stop", "It is 4.", (3, 4), counted=7)
    with CompletionStore(tmp_path, shard="one") as store:
        store.put(StoredCompletion.of("server", completion))
    found = CompletionStore(tmp_path).find(completion_key("server", completion.request))
    assert found is not None
    assert found.completion_tokens == 7
    assert found.completion(completion.request) == completion


def test_the_first_shard_by_name_counts_whatever_was_read_first(tmp_path: Path) -> None:
    for shard in ("b", "a"):
        (tmp_path / f"{shard}.jsonl").write_text(stored(0, text=shard).model_dump_json() + "\n")
    with CompletionStore(tmp_path) as store:
        found = store.find(stored(0).key)
    assert found is not None and found.text == "a"


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.zst"])
def test_an_exported_store_is_imported_once(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "here", 5)
    with CompletionStore(tmp_path / "here") as store:
        assert store.export_to(tmp_path / name) == 5
    with CompletionStore(tmp_path / "there", shard="imported") as store:
        assert (store.import_from(tmp_path / name), store.import_from(tmp_path / name)) == (5, 0)
    assert held(tmp_path / "there") == held(tmp_path / "here")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with CompletionStore(tmp_path / "there", shard="imported") as store, pytest.raises(RecordError, match=r"bad.jsonl:1"):
        store.import_from(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_shard_names_are_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParamsError, match="shard"):
        CompletionStore(tmp_path, shard=name)
