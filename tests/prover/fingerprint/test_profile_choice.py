"""Which profile a checkpoint is proven under, and what is said when none takes it. No proofs are made."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from circuits.errors import CheckpointError, UsageError
from circuits.profiles import load_profile
from prover.cli import huref
from prover.fingerprint.profile_choice import read_for_profile, scale_of
from prover.terms.terms import scale_integers
from tests.conftest import MODELS
from tests.make_big_checkpoint import BigModel, write
from tests.prover.small_models import edit_json


@pytest.fixture
def wide(tmp_path):
    """The shipped model, whose config.json says that its feed-forward part has `rows` rows."""

    def make(rows: int):
        folder = tmp_path / f"wide-{rows}"
        shutil.copytree(MODELS / "base", folder)
        edit_json(folder / "config.json", intermediate_size=rows)
        return folder

    return make


def refused(tmp_path, *arguments: object) -> str:
    done = CliRunner().invoke(huref, ["prove", *map(str, arguments), "-o", str(tmp_path / "out" / "bundle")])
    assert done.exit_code == 2, (done.output, done.exception)
    assert not (tmp_path / "out").exists()
    return done.output


def test_too_large_for_the_profile_that_is_asked_for(wide, tmp_path):
    """Said before any weight is read: these weights do not fit their config.json."""
    said = refused(tmp_path, wide(5000), "--profile", "tiny-dev")
    assert "a vector of 5000 entries does not fit size class tiny of profile tiny-dev, which holds 4016" in said
    assert "hint: --profile large-dev" in said


@pytest.mark.parametrize("options", [(), ("--profile", "large-dev"), ("--profile", "tiny-dev")])
def test_too_large_for_every_published_profile(wide, tmp_path, options):
    said = refused(tmp_path, wide(20000), *options)
    assert "a vector of 20000 entries does not fit size class" in said
    assert "class xl would do, and no profile of that size is published" in said
    assert ("large" if not options else options[1].removesuffix("-dev")) in said


def test_the_smallest_is_chosen():
    profile, source = read_for_profile(MODELS / "base", None)
    assert (profile.name, source.shape.hidden_size) == ("tiny-dev", 128)


def test_one_that_is_named_is_taken_though_a_smaller_would_do():
    profile, source = read_for_profile(MODELS / "base", "large-dev")
    assert profile.name == "large-dev"
    # c_t = g 2^shift / |S_t|: the shifts differ by 14
    small = scale_of(load_profile("tiny-dev"), source)
    assert all(abs(large / 2**14 - c) < 1 for large, c in zip(scale_of(profile, source), small, strict=True))


def test_a_larger_one_is_chosen_for_a_longer_vector(tmp_path):
    folder = write(tmp_path / "model", BigModel("llama", 64, 4100, 2, 4, 4, 4200, "F32"))
    assert read_for_profile(folder, None)[0].name == "large-dev"


def test_a_larger_one_is_chosen_for_terms_too_large(tmp_path):
    """d = 1280 fits `tiny`, but random weights of that shape have terms whose c_t is below 1024 there."""
    folder = write(tmp_path / "model", BigModel("llama", 1280, 4000, 2, 10, 1, 4200, "F16"))
    profile, source = read_for_profile(folder, None)
    assert profile.name == "large-dev"
    tiny = load_profile("tiny-dev")
    with pytest.raises(CheckpointError, match=r"scale integer c_2 = \d+ is not from 1024"):
        scale_of(tiny, source)
    assert min(scale_integers(source.terms, tiny.g, tiny.shift, 1)) > 512
    with pytest.raises(CheckpointError, match=r"scale integer c_2"):
        read_for_profile(folder, "tiny-dev")


def test_an_unknown_profile_is_refused_with_the_known(tmp_path):
    with pytest.raises(UsageError) as refusal:
        read_for_profile(MODELS / "base", "mine")
    assert "tiny-dev, large-dev" in refusal.value.hint
