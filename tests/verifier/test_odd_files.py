"""What lies where a file should: pipes, devices, sockets, links, folders, sparse terabytes. Undecided, at once."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.fuzz.mutators import with_zip64
from tests.verifier.conftest import ASSETS
from tests.verifier.fingerprint.test_artefact import members_of, undecided, write_zip
from verifier.cli import main
from verifier.fingerprint.artefact import BUNDLE, FILE_LIMITS, read_bundle
from verifier.formats.errors import BadOpening, Unreadable
from verifier.formats.package import read_zip
from verifier.many.batch import find_bundles
from verifier.opening.check import read_secret
from verifier.opening.checkpoint import Tensors, read_tokens
from verifier.opening.model_config import read_model

TERABYTE = 1 << 40
TOO_LONG = "link to a name that is too long"


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        try:
            stream.truncate(TERABYTE)
        except OSError:
            pytest.skip("this file system has no sparse files of a terabyte")


def device(path: Path) -> None:
    """Like /dev/zero: endless."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        path.open("rb").close()
    except PermissionError:
        pytest.skip("making a device takes root and a file system that allows it; links to /dev/zero are tried too")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has at most 108 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": device,
    "socket": listening,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    TOO_LONG: lambda path: path.symlink_to("n" * 300),  # even to ask whether it is there fails
    "folder": lambda path: path.mkdir(),
    "terabyte": sparse,
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", FILE_LIMITS)
def test_in_a_bundle(bundle, name, what):
    (bundle / name).unlink()
    ODD[what](bundle / name)
    with pytest.raises(Unreadable, match=name):
        read_bundle(bundle)


def test_a_link_to_the_right_file_is_refused_too(bundle, tmp_path):
    for name in FILE_LIMITS:
        shutil.move(bundle / name, tmp_path / name)
        (bundle / name).symlink_to(tmp_path / name)
        with pytest.raises(Unreadable, match=f"{name}: a symbolic link"):
            read_bundle(bundle)
        (bundle / name).unlink()
        os.link(tmp_path / name, bundle / name)  # a hard link is a plain file
    assert read_bundle(bundle)


@pytest.mark.parametrize("what", sorted(set(ODD) - {"folder"}))
def test_in_place_of_a_bundle(tmp_path, what):
    ODD[what](tmp_path / "bundle.zip")
    with pytest.raises(Unreadable):
        read_bundle(tmp_path / "bundle.zip")
    result = CliRunner().invoke(main, [str(tmp_path / "bundle.zip")])
    assert result.exit_code == 3
    assert "UNDECIDED at step 1" in result.output


READ = {
    "config.json": read_model,
    "tokenizer.json": lambda folder: read_tokens(folder, 300, 4, 64),
    "model.safetensors": lambda folder: Tensors(folder).read("model.embed_tokens.weight", (300, 32)),
    "secret.json": lambda folder: read_secret(folder / "secret.json"),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", READ)
def test_in_a_checkpoint(tmp_path, name, what):
    """Here a link is followed: whoever asks for an opening says which folder. What it leads to must be a file."""
    folder = shutil.copytree(ASSETS / "model", tmp_path / "model")
    shutil.copy(ASSETS / "secret.json", folder)
    shutil.move(folder / name, tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    READ[name](folder)
    (folder / name).unlink()
    ODD[what](folder / name)
    with pytest.raises(BadOpening):
        READ[name](folder)


def refused_in_time(read: Callable[[], object]) -> None:
    """BadOpening within 20 seconds: in a thread, since who waits for a pipe cannot be told to stop."""
    outcome = []

    def run() -> None:
        try:
            read()
        except BadOpening:
            outcome.append("refused")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert outcome == ["refused"]


@pytest.mark.parametrize("name", READ)
def test_a_pipe_that_takes_the_place_of_a_file_that_was_looked_at(tmp_path, monkeypatch, name):
    """To open it would wait for ever, whatever the time limit is."""
    folder = shutil.copytree(ASSETS / "model", tmp_path / "model")
    shutil.copy(ASSETS / "secret.json", folder)
    look = Path.is_file

    def swap(path: Path) -> bool:
        found = look(path)
        if path.name == name:
            path.unlink()
            os.mkfifo(path)
        return found

    monkeypatch.setattr(Path, "is_file", swap)
    refused_in_time(lambda: READ[name](folder))


def test_a_pipe_that_takes_the_place_of_tensors_whose_header_was_read(tmp_path):
    folder = shutil.copytree(ASSETS / "model", tmp_path / "model")
    tensors = Tensors(folder)
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    refused_in_time(lambda: tensors.read("model.embed_tokens.weight", (300, 32)))


@pytest.mark.parametrize("what", ODD)
def test_shards(tmp_path, what):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map":{"a":"x.safetensors"}}')
    ODD[what](tmp_path / "x.safetensors")
    with pytest.raises(BadOpening, match=r"x\.safetensors"):
        Tensors(tmp_path)


def test_while_looking_for_bundles(bundle, tmp_path):
    """`--recursive` opens none of them, and goes on to what is one. What it cannot look at is for the verification."""
    place = tmp_path / "place"
    shutil.copytree(bundle, place / "z" / "good")
    for number, (what, make) in enumerate(ODD.items()):
        if what not in ("device", TOO_LONG):
            make(place / f"{number}.zip")
            make(place / f"{number}.txt")
    (place / "loop").symlink_to(place)
    assert find_bundles(place) == [place / "z" / "good"]
    ODD[TOO_LONG](place / "9.zip")
    assert find_bundles(place) == [place / "9.zip", place / "z" / "good"]


def test_a_link_to_a_name_that_is_too_long_among_others(bundle, tmp_path):
    """It is undecided, the other gets its own verdict, and every result is written."""
    ODD[TOO_LONG](tmp_path / "9.zip")
    results = [f"--{kind}={tmp_path / kind}" for kind in ("report", "junit", "sarif")]
    done = CliRunner().invoke(main, ["-r", str(tmp_path), "--allow-dev-srs", *results])
    assert done.exit_code == 3, done.output
    assert "9.zip  at step 1 (format)" in done.output and "2 bundles: " in done.output
    assert all((tmp_path / kind).stat().st_size for kind in ("report", "junit", "sarif"))


@pytest.mark.parametrize("words", [["x"], ["compare", "x", "y"]])
def test_a_folder_for_results_with_a_name_that_is_too_long(words):
    done = CliRunner().invoke(main, [*words, "--report", "n" * 300 + "/page.html"])
    assert (done.exit_code, "there is no folder" in done.output) == (2, True)


def test_a_folder_whose_statement_is_a_pipe_is_found_and_undecided(tmp_path):
    (tmp_path / "place" / "odd").mkdir(parents=True)
    os.mkfifo(tmp_path / "place" / "odd" / "statement.json")
    command = [sys.executable, "-m", "verifier", "--recursive", str(tmp_path / "place")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 3
    assert done.stdout.startswith("UNDECIDED")


def test_memory_of_sparse_files(bundle):
    """A terabyte of nothing is refused by its size: not a byte of it is read."""
    code = (
        "import resource, sys; from pathlib import Path; from verifier.fingerprint.artefact import read_bundle\n"
        "from verifier.formats.errors import Unreadable\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_bundle(Path(sys.argv[1]))\n"
        "except Unreadable: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    (bundle / "commitments.bin").unlink()
    sparse(bundle / "commitments.bin")
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1000 * (1 if sys.platform == "linux" else 1024)  # kB there, bytes elsewhere


@pytest.mark.parametrize("number", [1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("field", [0, 1, 2])
def test_zip64_sizes_and_places(bundle, tmp_path, number, field):
    """A member's place of 2^63 and more overflows what a stream can be told."""
    data = with_zip64(write_zip(tmp_path / "b.zip", members_of(bundle)).read_bytes(), number, field)
    (tmp_path / "b.zip").write_bytes(data)
    undecided(tmp_path / "b.zip", "")
    with pytest.raises(Unreadable):
        read_zip(io.BytesIO(data), "b.zip", BUNDLE)
