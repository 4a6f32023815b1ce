"""`python -m prover.similarity.pairs`: the commands' own figures, refusals as lines, other K and projections."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prover.similarity import pairs
from prover.similarity.attention_profile import compare_profiles, profile_of
from prover.similarity.metrics import compare
from prover.terms.terms import standardised
from tests.prover.small_models import RULES, edit_json, load, write_llama


def test_figures_are_those_of_the_commands(tmp_path: Path) -> None:
    a, b, refused = (str(write_llama(tmp_path / name, seed)) for seed, name in enumerate("abc"))
    edit_json(Path(refused) / "config.json", architectures=["MambaForCausalLM"])
    lines = list(pairs.score([(a, b), (a, refused)], RULES))
    assert [line.get("refused", "")[-50:] != "" for line in lines] == [False, False, True, False]
    assert np.allclose(lines[0]["terms"], standardised(load(Path(a)).terms))
    expected = compare(Path(a), Path(b), RULES)
    assert lines[3]["projected"] == lines[3]["projected_by_rule"] == expected.projected
    assert lines[3]["p_value"] == expected.verdict.p_value
    assert lines[3]["profile"] == compare_profiles(profile_of(Path(a)), profile_of(Path(b))).score


def test_other_tokenizers_are_lined_up(tmp_path: Path) -> None:
    a, b = (write_llama(tmp_path / str(seed), 0) for seed in range(2))
    fewer = {f"token{i}": i for i in range(1, 500)}
    edit_json(b / "tokenizer.json", model={"type": "BPE", "vocab": fewer, "merges": []})
    line = list(pairs.score([(str(a), str(b))], RULES))[-1]
    assert line["projected"] == pytest.approx(1)
    assert line["projected_by_rule"] < 0.5
    assert line["tokens"] == 480


def test_command_reads_a_job(tmp_path: Path) -> None:
    folders = [str(write_llama(tmp_path / str(seed), seed)) for seed in range(2)]
    job = tmp_path / "job.json"
    found = []
    for more in ({"k_max": 64}, {"k_max": 64, "seed": "11" * 32}):
        job.write_text(json.dumps({"pairs": [folders], **more}))
        done = subprocess.run(
            [sys.executable, "-m", "prover.similarity.pairs", job], capture_output=True, text=True, check=True
        )
        found.append([json.loads(line) for line in done.stdout.splitlines()])
    assert [line["tokens"] for line in found[0]] == [64, 64, 64]
    assert found[0][-1]["projected"] != found[1][-1]["projected"]
