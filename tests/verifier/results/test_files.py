"""Results are written whole or not at all, and take nothing's place but a file's."""

from __future__ import annotations

import os

import pytest

from verifier.results.files import write_atomically


def test_results_are_replaced_whole(tmp_path):
    target = tmp_path / "out"
    target.write_text("old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    with pytest.raises(OSError):
        write_atomically(tmp_path / "gone" / "out", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """`--report /dev/null` by root must leave the device where it is."""
    target = tmp_path / "pipe"
    os.mkfifo(target)
    reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(target, b"new")
        assert os.read(reader, 10) == b"new" and target.is_fifo()
    finally:
        os.close(reader)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    file, link = tmp_path / "elsewhere" / "out", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"


def test_a_link_to_itself_is_replaced(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(link)
    write_atomically(link, b"new")
    assert link.read_bytes() == b"new"


def test_a_long_name_of_wide_characters(tmp_path):
    """255 bytes, as many as a name may have; that of the part must not have more."""
    target = tmp_path / ("\u5b57" * 85)
    write_atomically(target, b"new")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_result_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch, error):
    def stop(_handle):
        raise error

    target = tmp_path / "out"
    target.write_text("old")
    monkeypatch.setattr("verifier.results.files.os.fsync", stop)
    with pytest.raises(type(error)):
        write_atomically(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and target.read_text() == "old"


def test_the_half_made_file_of_another_process_stays(tmp_path):
    """Two containers may have one number for their processes, and one folder for their results."""
    part = tmp_path / f".out.{os.getpid()}.part"
    part.write_text("half")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "out", b"new")
    assert part.read_text() == "half"
