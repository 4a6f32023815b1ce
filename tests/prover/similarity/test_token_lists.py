"""Comparing models with different tokenizers: tokens line up by string, and lists of tokens in a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from circuits.errors import CheckpointError, UsageError
from prover.checkpoint import tokens as module
from prover.checkpoint.tokens import read_token_list, select_in_common, strings_in_common
from prover.cli import huref
from prover.similarity import ics_cli, metrics
from prover.similarity.metrics import compare
from prover.terms.terms import load_fingerprint_input
from tests.prover.small_models import RULES, read_tensors, tokenizer_document, write_llama, write_tensors


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One model with two vocabularies: the second lacks a third of the strings, knows others, and has new ids."""
    left, right = (write_llama(tmp_path_factory.mktemp("model")) for _ in range(2))
    document = tokenizer_document()
    names = [name for name in document["model"]["vocab"] if not name.endswith(("3", "6", "9"))]
    document["model"]["vocab"] = {name: i for i, name in enumerate(names)}
    document["model"]["vocab"] |= {f"other{i}": len(names) + i for i in range(600 - len(names))}
    (right / "tokenizer.json").write_text(json.dumps(document))
    tensors = read_tensors(right / "model.safetensors")
    old = tokenizer_document()["model"]["vocab"]
    strangers = [i for i in range(600) if i not in {old[name] for name in names}]
    rows = [old[name] for name in names] + strangers
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name][rows]
    write_tensors(right / "model.safetensors", tensors)
    return left, right


def test_a_model_with_another_vocabulary_is_near_over_common_tokens(folders: tuple[Path, Path]) -> None:
    result = compare(*folders, RULES)
    assert result.projected < 0.9  # the rule picks other tokens on either side, or the same ones in other places
    assert result.projected_common == pytest.approx(1, abs=1e-3)
    assert result.projected_tokens == 416
    assert result.full["paper"].value == pytest.approx(1, abs=1e-6)
    assert result.full["paper"].count == 420 - 1


def test_the_same_vocabulary_needs_no_second_figure(folders: tuple[Path, Path]) -> None:
    result = compare(folders[0], folders[0], RULES)
    assert result.projected == pytest.approx(1)
    assert result.projected_common is None
    assert result.projected_tokens == 576


def test_a_list_is_used_in_its_order_as_far_as_both_know_it(folders: tuple[Path, Path]) -> None:
    listed = tuple(f"token{i}" for i in reversed(range(1, 200)))
    result = compare(*folders, RULES, listed)
    known = [name for name in listed if not name.endswith(("3", "6", "9"))]
    assert result.projected == pytest.approx(1, abs=1e-3)
    assert result.projected_tokens == 32 * (len(known) // 32)
    assert result.projected_common is None
    assert result.full["paper"].count == len(known)
    tables = [[("b", 5), ("a", 1)], [("a", 7), ("c", 2), ("b", 3)]]
    assert strings_in_common(tables[0], tables[1]) == [("b", 5, 3), ("a", 1, 7)]
    assert strings_in_common(tables[0], tables[1], ("a", "x", "b")) == [("a", 1, 7), ("b", 5, 3)]


def test_a_list_of_the_rules_own_tokens_gives_the_rules_figure(folders: tuple[Path, Path], tmp_path: Path) -> None:
    stranger = write_llama(tmp_path, 1)
    own = load_fingerprint_input(folders[0], RULES).tokens.strings
    assert compare(folders[0], stranger, RULES, own).projected == compare(folders[0], stranger, RULES).projected


def test_too_few_tokens(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="only 2 of the 3 listed tokens in common"):
        compare(*folders, RULES, ("token1", "token2", "nothing"))
    with pytest.raises(UsageError, match="31 strings are usable"):
        select_in_common([(str(i), i, i) for i in range(31)], (b"", b""), 4096, 16)


# ---------------------------------------- files


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("list.txt", "a\nb\n\n a\nb\n", ("a", "b", " a")),
        ("list.txt", "\u2581the\r\n[PAD]", ("\u2581the", "[PAD]")),
        ("list.txt", '["a"]', ('["a"]',)),
        ("list.json", '["b", "a\\n", "b"]', ("b", "a\n")),
    ],
)
def test_lists_are_read(name: str, text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_token_list(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("list.txt", b"", "no token"),
        ("list.txt", b"\xff", "not UTF-8"),
        ("list.json", b'{"a": 1}', "not a JSON list of strings"),
        ("list.json", b"[1]", "not a JSON list of strings"),
        ("list.json", b"[", "not valid JSON"),
        ("list.json", b"[" * 100_000, "nested"),
        ("list.txt", b"a\n" * 60, "larger than the limit"),
        ("", b"", "not a file"),
    ],
)
def test_bad_lists_are_refused(name: str, data: bytes, fault: str, tmp_path: Path, monkeypatch: Any) -> None:
    if fault.startswith("larger"):
        monkeypatch.setattr(module, "MAX_TOKEN_LIST_BYTES", 100)
    if name:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=fault):
        read_token_list(tmp_path / name)


# ---------------------------------------- commands


def test_the_command_takes_a_list_and_reads_every_family(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Published:
        document = {  # noqa: RUF012
            "projection": {"g": 16, "seed": RULES.seed.hex()},
            "tokens": {"rule": "sha256-order-v1", "K_min": RULES.k_min, "K_max": RULES.k_max},
            "layers": "last-2",
            "quantization": "rms16-int8-v1",
            "families": [],
        }

    monkeypatch.setattr(metrics, "load_profile", lambda _name: Published())
    paths = [str(folder) for folder in folders]
    table = CliRunner().invoke(ics_cli.ics, paths)
    assert table.exit_code == 0
    assert "ICS, projected, common" in table.output
    (tmp_path / "list").write_text("\n".join(f"token{i}" for i in range(1, 120)))
    document = json.loads(
        CliRunner().invoke(ics_cli.ics, [*paths, "--tokens", str(tmp_path / "list"), "--json"]).output
    )
    assert document["projected_tokens"] == 64  # 84 known to both
    assert document["ics_projected"] == pytest.approx(1, abs=1e-3)


def test_a_proof_takes_no_list_of_tokens(tmp_path: Path) -> None:
    """Whoever lets the prover choose lets it shop: the rule is the profile's (docs/protocol.md section 8)."""
    result = CliRunner().invoke(huref, ["prove", str(tmp_path), "-o", str(tmp_path / "x"), "--tokens", "list"])
    assert result.exit_code == 2
    assert "profile's rule" in result.output
    assert "huref ics" in result.output
    assert "--tokens" not in CliRunner().invoke(huref, ["prove", "--help"]).output
