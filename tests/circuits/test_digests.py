"""Files of the prover are written whole or not at all, and take nothing's place but a file's."""

from __future__ import annotations

import os

import pytest

from circuits.digests import write_atomically
from circuits.errors import StorageError


def test_files_are_replaced_whole(tmp_path):
    target = tmp_path / "new folder" / "out"
    for data in (b"old", b"new"):
        write_atomically(target, data, mode=0o600)
        assert target.read_bytes() == data and target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_a_secret_goes_where_its_link_leads(tmp_path):
    """Somebody who keeps secrets on another disk must not find them on this one."""
    (tmp_path / "safe").mkdir()
    link = tmp_path / "secret.json"
    link.symlink_to(tmp_path / "safe" / "secret.json")
    for data in (b"first", b"second"):
        write_atomically(link, data)
        assert link.is_symlink() and (tmp_path / "safe" / "secret.json").read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_stays(tmp_path, make):
    target = tmp_path / "out"
    make(target)
    with pytest.raises(StorageError, match="is not a file"):
        write_atomically(target, b"new")
    assert list(tmp_path.iterdir()) == [target] and not target.is_file()


def test_a_long_name_of_wide_characters(tmp_path):
    """255 bytes, as many as a name may have; that of the temporary file must not have more."""
    target = tmp_path / ("\u5b57" * 85)
    write_atomically(target, b"new")
    assert list(tmp_path.iterdir()) == [target]
