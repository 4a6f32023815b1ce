"""Both published profiles have an example bundle that verifies; one that claims the other profile is rejected.

No proofs are made: `base-large.huref` is the shipped base model under `large-dev`, made by tests/make_examples.py.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image

from circuits.profiles import CIRCUITS, load_profile
from tests.adversarial.cheats import edit, expect_rejected, proof_of, put, verify
from tests.conftest import EXAMPLE, EXAMPLE_LARGE

SMALL, LARGE = load_profile("tiny-dev"), load_profile("large-dev")


def example() -> dict[str, bytes]:
    """The shipped bundle, of profile tiny-dev."""
    return {file.name: file.read_bytes() for file in EXAMPLE.iterdir()}


def example_of_large() -> dict[str, bytes]:
    """The same model's bundle, of profile large-dev."""
    with zipfile.ZipFile(EXAMPLE_LARGE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_example_of_large_is_accepted_and_shows_the_same_picture(tmp_path):
    """The profiles differ in the length of vectors and in the scale of S', by whose rounding z moves a little."""
    large = example_of_large()
    report = verify(large, tmp_path)
    assert (report.verdict, report.profile) == ("accepted", "large-dev"), report.failure
    ours, theirs = (
        np.asarray(Image.open(io.BytesIO(files["fingerprint.png"])).convert("RGB"), dtype=int)
        for files in (example(), large)
    )
    assert np.abs(ours - theirs).max() <= 2


def test_step_1_one_profiles_name_with_the_others_digest(tmp_path):
    """No older or newer version of either: a contradiction, so it is rejected and not undecided."""
    for files, name in ((example_of_large(), "tiny-dev"), (example(), "large-dev")):
        report = verify(edit(files, "statement.json", put("profile", "name", name)), tmp_path)
        expect_rejected(report, 1, f"statement.json.profile: named {name}, with the digest of ")


def claim(profile) -> Callable[[dict], None]:
    """A change of a statement: it names `profile`, by name and digest, and is as it was otherwise."""
    return put("profile", {"name": profile.name, "sha256": profile.sha256})


def test_step_1_a_proof_of_large_under_tiny(tmp_path):
    report = verify(edit(example_of_large(), "statement.json", claim(SMALL)), tmp_path)
    expect_rejected(report, 1, "encoder.json.proof", "expected")


def of_length(files: dict[str, bytes], name: str, length: int) -> dict[str, bytes]:
    """The bundle with a proof cut or filled with zeros."""
    proof = proof_of(files, name).data[:length].ljust(length, b"\0")
    return edit(files, name, put("proof", base64.b64encode(proof).decode()))


def with_lengths_of_large(files: dict[str, bytes]) -> dict[str, bytes]:
    for circuit in CIRCUITS:
        files = of_length(files, f"{circuit}.json", int(LARGE.document["circuits"][circuit]["proof_bytes"]))
    return files


def test_step_1_the_proofs_have_other_lengths(tmp_path):
    assert SMALL.document["circuits"]["encoder"]["proof_bytes"] != LARGE.document["circuits"]["encoder"]["proof_bytes"]
    report = verify(edit(example(), "statement.json", claim(LARGE)), tmp_path)
    expect_rejected(report, 1, "encoder.json.proof", "expected")


def test_step_2_the_statement_is_pinned_to_the_profile_it_names(tmp_path):
    files = with_lengths_of_large(example())
    report = verify(edit(files, "statement.json", claim(LARGE)), tmp_path)
    expect_rejected(report, 2, "statement.json.size_class")


def test_step_4_a_statement_rewritten_for_the_other_profile(tmp_path):
    """Every pinned field is the other profile's: the proofs are still about vectors of the first."""

    def rewrite(statement: dict) -> None:
        document = LARGE.document
        statement["profile"] = {"name": LARGE.name, "sha256": LARGE.sha256}
        statement["size_class"] = document["size_class"]
        statement["srs"] = {name: document["srs"][name] for name in ("sha256", "verify_sha256")}
        for circuit in CIRCUITS:
            statement["circuits"][circuit] = {
                name: document["circuits"][circuit][name] for name in ("onnx", "settings", "vk")
            }

    files = edit(with_lengths_of_large(example()), "statement.json", rewrite)
    assert json.loads(files["statement.json"])["fpm"] == LARGE.document["fpm"]
    expect_rejected(verify(files, tmp_path), 4, "another vector than the committed S'")
