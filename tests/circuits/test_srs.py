"""SRS files: fetching with a local double of the network edge, checking, truncating."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner
from py_ecc import optimized_bn128 as curve

from circuits import srs
from circuits.cli import srs_group
from circuits.curve_files import (
    CurveFile,
    from_file_form,
    read_curve_file,
)
from circuits.digests import sha256_file
from circuits.errors import CircuitError, SrsError
from circuits.size_classes import FIELD_MODULUS as P
from tests.circuits.slow_curve import from_ecc, to_ecc
from tests.circuits.small import (
    USABLE_ROWS,
    K,
    ezkl_accepts,
    proof_file,
)

# ---------------------------------------- SRS files


@pytest.fixture
def ceremony(tmp_path, monkeypatch, small_srs):
    """A digest table in which the small development SRS plays the ceremony's file for k=8."""
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"sha256": {str(K): sha256_file(small_srs)}}))
    monkeypatch.setattr(srs, "DIGESTS", table)
    return small_srs


def test_fetch_puts_the_right_file_in_place(ceremony, tmp_path):
    asked = []

    def download(path, k):
        asked.append(k)
        shutil.copy(ceremony, path)

    folder = tmp_path / "files"
    path = srs.fetch(folder, K, download)
    assert path == folder / "k8.srs"
    assert path.read_bytes() == ceremony.read_bytes()
    srs.fetch(folder, K, download)  # there already: checked again, not downloaded again
    assert asked == [K]
    path.write_bytes(one_bit_off(path.read_bytes()))
    with pytest.raises(SrsError, match="SHA-256"):
        srs.fetch(folder, K, download)
    assert asked == [K]


def one_bit_off(data: bytes) -> bytes:
    """The SRS is another one in every run: a byte that is set, and not changed, may be the one that stood there."""
    return data[:-1] + bytes([data[-1] ^ 1])


DOWNLOADS = {
    "another file of the right form": one_bit_off,
    "a cut one": lambda data: data[:-64],
    "a web page": lambda data: b"<html>moved</html>",
    "nothing": lambda data: b"",
    "the file for another k": lambda data: (9).to_bytes(4, "little") + data[4:],
}


@pytest.mark.parametrize("what", DOWNLOADS)
def test_fetch_leaves_nothing_of_a_wrong_file(ceremony, tmp_path, what):
    folder = tmp_path / "files"
    folder.mkdir()
    with pytest.raises(SrsError):
        srs.fetch(folder, K, lambda path, _k: path.write_bytes(DOWNLOADS[what](ceremony.read_bytes())))
    assert list(folder.iterdir()) == []


def test_fetch_without_a_digest_downloads_nothing(ceremony, tmp_path):
    with pytest.raises(SrsError, match="no ceremony file for k=9"):
        srs.fetch(tmp_path, K + 1, lambda *_: pytest.fail("downloaded"))


def test_fetch_passes_on_what_the_network_says(ceremony, tmp_path):
    def broken(path, k):
        path.write_bytes(b"half a fi")
        raise CircuitError("ezkl get_srs failed: no route to host", step="get_srs")

    with pytest.raises(CircuitError, match="no route"):
        srs.fetch(tmp_path / "files", K, broken)
    assert not (tmp_path / "files" / "k8.srs").exists()


def test_the_digest_table_is_the_projects_own():
    table = json.loads(srs.DIGESTS.read_text())["sha256"]
    assert {12, 13, 14, 15} <= {int(k) for k in table}
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in table.values())


@pytest.mark.parametrize("cut", [0, 3, 4, 1000, -1])
def test_truncated_files_are_refused(small_srs, tmp_path, cut):
    path = tmp_path / "cut.srs"
    path.write_bytes(small_srs.read_bytes()[:cut])
    with pytest.raises(SrsError, match="is not the size of an SRS file"):
        read_curve_file(path)


def test_check_command(small_srs, tmp_path):
    run = CliRunner().invoke(srs_group, ["check", str(small_srs), "--sha256", sha256_file(small_srs)])
    assert run.exit_code == 0, run.output
    with pytest.raises(SrsError, match="expected " + "0" * 64):
        CliRunner().invoke(
            srs_group, ["check", str(small_srs), "--sha256", "0" * 64], catch_exceptions=False, standalone_mode=False
        )


def test_two_development_files_differ(small_srs, tmp_path):
    """Each has a secret of its own; the command that makes one says what it is."""
    run = CliRunner().invoke(srs_group, ["dev", "-k", str(K), "-o", str(tmp_path / "new.srs")])
    assert run.exit_code == 0, run.output
    assert "INSECURE" in run.output
    assert (tmp_path / "new.srs").read_bytes() != small_srs.read_bytes()
    assert read_curve_file(tmp_path / "new.srs").k == K


def test_truncating_gives_the_published_verification_file(profile):
    """The k=1 file that the verifier reads is the published SRS's own: generator, tau times it, and G2."""
    link = profile.circuit("link")
    tail = 2**profile.size.k - link.usable_rows
    small = srs.truncate(read_curve_file(profile.srs), link.vk, link.settings, tail)
    published = profile.folder / "srs" / "k1.srs"
    assert small.to_bytes() == published.read_bytes()
    first, second = (to_ecc(from_file_form(small.monomial[i : i + 64])) for i in (0, 64))
    half = pow(2, -1, P)
    wanted = [from_ecc(curve.multiply(curve.add(first, p), half)) for p in (second, curve.neg(second))]
    assert [from_file_form(raw) for raw in small.lagrange_at([0, 1])] == wanted


def test_truncating_something_else_is_refused(small_srs, inner):
    whole = read_curve_file(small_srs)
    shifted = CurveFile(whole.k, whole.monomial[64:] + whole.monomial[:64], whole.lagrange, whole.g2)
    with pytest.raises(SrsError, match="does not start with the generator"):
        srs.truncate(shifted, inner.vk, inner.settings, 2**K - USABLE_ROWS)


def test_a_proof_verifies_with_the_truncated_file(folder, inner, inner_proof, small_srs):
    """All that verifying needs is k=1, and of the same ceremony: another one's is refused."""
    tail = 2**K - USABLE_ROWS
    same, other = folder / "same-k1.srs", folder / "other-k1.srs"
    same.write_bytes(srs.truncate(read_curve_file(small_srs), inner.vk, inner.settings, tail).to_bytes())
    srs.generate_development(folder / "other.srs", K)
    other.write_bytes(srs.truncate(read_curve_file(folder / "other.srs"), inner.vk, inner.settings, tail).to_bytes())
    proof = proof_file(folder / "reduced", inner_proof)
    jobs = [(proof, inner.settings, inner.vk, path) for path in (same, other)]
    assert ezkl_accepts(jobs, reduced_srs=True) == [True, False]
