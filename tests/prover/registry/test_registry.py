"""The registry: what it takes, what an audit finds, what a search finds."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.errors import RegistryError, UsageError
from prover.registry import merkle
from prover.registry.entry import parse_line
from prover.registry.index import Index
from prover.registry.nearest import nearest
from prover.registry.null import p_value
from prover.registry.site import write_site
from prover.registry.store import Head, Registry, read_head
from tests.conftest import EXAMPLE
from tests.prover.registry.registries import BUNDLES, NAMES, listed, look, put, run
from verifier.fingerprint import null_distribution

# ---------------------------------------- the commands


def test_the_commands_from_nothing(tmp_path):
    folder, since, gallery = tmp_path / "registry", tmp_path / "head.json", tmp_path / "site"
    assert run("list", folder).exit_code == 2
    refused = run("add", folder, BUNDLES / "base")
    assert (refused.exit_code, "--allow-dev-srs" in refused.stderr, listed(Registry.open(folder))) == (2, True, [])
    added = run("add", folder, BUNDLES / "base", BUNDLES / "independent", "--allow-dev-srs", "--json")
    assert [json.loads(line)["number"] for line in added.stdout.splitlines()] == [0, 1]
    shutil.copy(folder / "head.json", since)
    assert "1  " in run("list", folder).stdout
    entries = json.loads(run("list", folder, "--json").stdout)["entries"]
    assert [(one["name"], one["development_srs"]) for one in entries] == [("base", True), ("independent", True)]

    found = run("identify", folder, BUNDLES / "offspring", "--allow-dev-srs")
    assert found.stdout.splitlines()[-1].startswith("DERIVED: has a base in common with entry 0: base by huref-zk")
    again = run("identify", folder, BUNDLES / "base", "--allow-dev-srs").stdout.splitlines()
    assert again[1].endswith("entry 0: base by huref-zk  [development SRS]  (this bundle itself)")
    assert again[-1].startswith("NONE: ")
    verified = run("verify", folder, "--since", since)
    assert verified.stdout.startswith("UNCHANGED: ") and "extends the head given" in verified.stdout
    (tmp_path / "proof.json").write_text(run("proof", folder, 1, "--since", since).stdout)
    check = ("check-proof", tmp_path / "proof.json", "--head", folder / "head.json", "--since", since, "--bundle")
    assert "PROVEN: entry 1" in run(*check, BUNDLES / "independent").stdout
    assert run(*check, BUNDLES / "base").exit_code == 2
    assert "2 models" in run("site", folder, "-o", gallery).stdout
    assert len(list((gallery / "pictures").iterdir())) == 2


def test_refusals(registry, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(EXAMPLE, bad)
    (bad / "link.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (tmp_path / "linked").mkdir()
    for path in EXAMPLE.iterdir():
        (tmp_path / "linked" / path.name).symlink_to(path)
    for folder, bundle, words in (
        (registry.folder, bad, "REJECTED at step 1"),
        (registry.folder, tmp_path, "does not belong in a bundle"),
        (registry.folder, tmp_path / "gone", "No such file"),
        (registry.folder, tmp_path / "linked", "Too many levels of symbolic links"),
        (tmp_path / "other", EXAMPLE, "not empty, and no registry"),
    ):
        refused = run("add", folder, bundle, "--allow-dev-srs")
        assert (refused.exit_code, words in refused.stderr) == (2, True), refused.stderr
    assert look(registry).findings == ()
    assert listed(registry) == ["base", "offspring"]
    assert not list((registry.folder / "incoming").iterdir())


# ---------------------------------------- tampered with


def lines(registry: Registry) -> list[bytes]:
    return registry.log.read_bytes().splitlines(keepends=True)


def sql(registry: Registry, command: str) -> None:
    with sqlite3.connect(registry.index_file) as connection:
        connection.execute(command)
    connection.close()


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def first_bundle(registry: Registry) -> Path:
    return registry.bundles / json.loads(lines(registry)[0])["bundle"]


TAMPERING = {
    "a byte of the log": lambda r: spoil(r.log),
    "a name in the log": lambda r: r.log.write_bytes(r.log.read_bytes().replace(b'"name":"base"', b'"name":"bass"')),
    "a digest in the log": lambda r: r.log.write_bytes(r.log.read_bytes().replace(b'"bundle":"', b'"bundle":"0', 1)),
    "the last entry gone": lambda r: r.log.write_bytes(lines(r)[0]),
    "the last entry cut": lambda r: r.log.write_bytes(r.log.read_bytes()[:-1]),
    "the first entry gone": lambda r: r.log.write_bytes(lines(r)[1]),
    "entries swapped": lambda r: r.log.write_bytes(lines(r)[1] + lines(r)[0]),
    "an entry twice": lambda r: r.log.write_bytes(r.log.read_bytes() + lines(r)[1]),
    "the log emptied": lambda r: r.log.write_bytes(b""),
    "the log gone": lambda r: r.log.unlink(),
    "the head's root": lambda r: r.head_file.write_bytes(
        replace(read_head(r.head_file), root="0" * 64).document()),
    "the head's length": lambda r: r.head_file.write_bytes(
        replace(read_head(r.head_file), log_bytes=7).document()),
    "the head gone": lambda r: r.head_file.unlink(),
    "a proof": lambda r: spoil(first_bundle(r) / "link.json"),
    "a picture": lambda r: spoil(first_bundle(r) / "fingerprint.png"),
    "a file gone": lambda r: (first_bundle(r) / "encoder.json").unlink(),
    "a file more": lambda r: (first_bundle(r) / "signature.json").touch(),
    "a bundle gone": lambda r: shutil.rmtree(first_bundle(r)),
    "another bundle in its place": lambda r: (
        shutil.rmtree(first_bundle(r)), shutil.copytree(BUNDLES / "independent", first_bundle(r))),
    "the index's z": lambda r: sql(r, "UPDATE vectors SET z = zeroblob(2048) WHERE number = 0"),
    "the index's name": lambda r: sql(r, "UPDATE entries SET name = 'x' WHERE number = 1"),
    "the index's entry gone": lambda r: sql(r, "DELETE FROM entries WHERE number = 0"),
    "the index's z gone": lambda r: sql(r, "DELETE FROM vectors WHERE number = 0"),
    "the index's frame": lambda r: sql(r, "UPDATE frames SET frame = 'x'"),
    "an entry more in the index": lambda r: sql(r, "INSERT INTO vectors VALUES (7, 1, zeroblob(2048))"),
    "a trigger in the index": lambda r: sql(
        r, "CREATE TRIGGER x AFTER INSERT ON entries BEGIN DELETE FROM vectors; END"),
    "the index's place in the log": lambda r: sql(r, "UPDATE state SET log_bytes = 10"),
    "the index garbage": lambda r: r.index_file.write_bytes(b"garbage" * 1000),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found(registry, how):
    TAMPERING[how](registry)
    found = look(registry)
    assert found.findings, how
    result = run("verify", registry.folder)
    assert result.exit_code == 2
    assert "WRONG: " in result.stdout


def test_a_damaged_log_takes_nothing_more(registry, reports):
    for how in ("a name in the log", "the last entry gone", "the last entry cut", "the log gone"):
        kept = registry.log.read_bytes()
        TAMPERING[how](registry)
        changed = registry.log.read_bytes() if registry.log.exists() else None
        with pytest.raises(RegistryError):
            put(registry, "independent", reports)
        assert (registry.log.read_bytes() if registry.log.exists() else None) == changed
        registry.log.write_bytes(kept)
    assert look(registry).findings == ()


def test_a_history_rewritten_whole_is_found_with_an_earlier_head_alone(made, reports, tmp_path):
    """Log, head, bundles and index agree, but it is another log: only who kept a head can tell."""
    other = Registry.open_or_create(tmp_path / "other")
    put(other, "base", reports, metadata_unverified={"name": "mine", "version": "", "maker": "me"})
    put(other, "offspring", reports)
    known = read_head(made / "head.json")
    assert look(other).findings == ()
    assert "does not begin with the 2 entries of the head given" in look(other, since=known).findings[0]
    assert look(Registry.open(made), since=known).findings == ()


def test_verifying_again_finds_an_entry_that_never_was_true(reports, tmp_path):
    registry = Registry.open_or_create(tmp_path / "registry")
    put(registry, "base", reports, fingerprint=reports["independent"]["fingerprint"])
    assert look(registry).findings == ()
    assert "huref-verify says something else" in look(registry, again=True).findings[0]
    honest = Registry.open_or_create(tmp_path / "honest")
    put(honest, "base", reports)
    assert look(honest, again=True).findings == ()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.integers(0, 100_000).flatmap(lambda place: st.tuples(st.just(place), st.binary())))
def test_no_line_breaks_the_parser(made, data):
    """Bytes, and a real line with some bytes in it replaced: an entry, or a refusal that names the line."""
    line = (made / "log.jsonl").read_bytes().splitlines()[1]
    if isinstance(data, tuple):
        place = data[0] % len(line)
        data = line[:place] + data[1] + line[place + len(data[1]) :]
    try:
        assert parse_line(data, 1).line() == data
    except RegistryError as error:
        assert "line 2" in error.message or "fingerprint" in error.message


@pytest.mark.parametrize(
    "text", ["[" * 60_000, '{"a":' * 10_000, "1e999", "NaN", '{"a":1,"a":1}', '{"a": 1}', '"\\ud800"', "9" * 5000]
)
def test_lines_that_are_not_entries(text):
    with pytest.raises(RegistryError, match="line 1: not"):
        parse_line(text.encode(), 0)


def test_a_missing_or_old_index_is_made_anew(registry):
    for spoilt in (registry.index_file.unlink, lambda: registry.index_file.write_bytes(b"x" * 5000),
                   lambda: sql(registry, "UPDATE state SET version = 0")):  # fmt: skip
        spoilt()
        assert listed(registry) == ["base", "offspring"]
        assert look(registry).findings == ()


def test_a_damaged_index_does_not_keep_a_bundle_out(registry, reports):
    sql(registry, "INSERT INTO entries SELECT 2, place, leaf, 'x', commitment, added, profile, development_srs, name, "
        "model_version, maker, frame FROM entries WHERE number = 1")  # fmt: skip
    assert put(registry, "independent", reports).number == 2
    assert not put(registry, "base", reports).new
    assert listed(registry) == list(NAMES)
    assert look(registry).findings == ()


def test_proofs_of_other_logs_are_refused(registry, reports, tmp_path):
    text = run("proof", registry.folder, 0).stdout
    (tmp_path / "proof.json").write_text(text.replace('\\"name\\":\\"base\\"', '\\"name\\":\\"bass\\"'))
    changed = run("check-proof", tmp_path / "proof.json", "--head", registry.head_file)
    assert "the entry is not in the log with that head" in changed.stderr
    (tmp_path / "proof.json").write_text(text)
    old = tmp_path / "old.json"
    old.write_bytes(Head(1, 1, merkle.leaf_hash(b"another log").hex()).document())
    for since, words in (
        (old, "about another earlier head"),
        (tmp_path / "gone", "missing"),
        (EXAMPLE / "link.json", ""),
    ):
        refused = run("check-proof", tmp_path / "proof.json", "--head", registry.head_file, "--since", since)
        assert (refused.exit_code, words in refused.stderr) == (2, True)
    (tmp_path / "proof.json").write_text(run("proof", registry.folder, 0, "--since", old).stdout)
    lied = run("check-proof", tmp_path / "proof.json", "--head", registry.head_file, "--since", old)
    assert "does not extend the earlier head" in lied.stderr
    assert run("proof", registry.folder, 2).exit_code == 2
    assert run("check-proof", registry.log, "--head", registry.head_file).exit_code == 2


# ---------------------------------------- searched


def test_another_frame_is_not_compared(registry, reports):
    query = reports["independent"]["fingerprint"]
    with Index.reading(registry) as index:
        assert nearest(index, query, 5).comparable == 2
        other = query | {"tokens": query["tokens"] | {"sha256": "0" * 64}}
        found = nearest(index, other, 5)
        assert (found.comparable, found.entries, found.matches) == (0, 2, ())
        tokenizer = query | {"tokens": query["tokens"] | {"tokenizer": "0" * 64}, "null": None}
        found = nearest(index, tokenizer, 5)
        assert {(match.p_corrected, match.verdict) for match in found.matches} == {(None, "inconclusive")}


def test_p_values_are_the_verifiers_times_the_entries(registry, reports):
    null = null_distribution.Null(**reports["base"]["fingerprint"]["null"])
    for cosine in np.linspace(-1.0, 1.0, 101):
        theirs = null_distribution.p_value(cosine, null, 16, 6)
        assert p_value(cosine, null.effective_dimension) == pytest.approx(theirs, rel=1e-9)
    base = reports["base"]
    with Index.reading(registry) as index:
        for match in nearest(index, reports["independent"]["fingerprint"], 5).matches:
            assert match.p_corrected == min(1.0, 2 * match.p_value)
        itself, offspring = nearest(index, base["fingerprint"], 5, commitment=base["commitment"]).matches
        assert (itself.itself, itself.entry.name, offspring.itself, offspring.verdict) == (
            True,
            "base",
            False,
            "derived",
        )
        assert [match.entry.name for match in nearest(index, base["fingerprint"], 1).matches] == ["base"]


def test_the_site_is_written_whole_or_not_at_all(registry, tmp_path):
    target, when = tmp_path / "site", datetime.now(timezone.utc)
    spoil(first_bundle(registry) / "fingerprint.png")
    with pytest.raises(RegistryError, match="not the file of the log"):
        write_site(registry, target, when)
    assert not target.exists()
    shutil.copy(EXAMPLE / "fingerprint.png", first_bundle(registry))
    assert write_site(registry, target, when) == 2
    with pytest.raises(UsageError, match="--force"):
        write_site(registry, target, when)
    assert write_site(registry, target, when, replace=True) == 2
    (target / "notes.txt").touch()
    with pytest.raises(UsageError, match="no gallery"):
        write_site(registry, target, when, replace=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("index", ["current", "missing", "damaged", "old"])
def test_a_folder_that_cannot_be_written_is_read_and_left_as_it_is(registry, reports, monkeypatch, index):
    if index == "old":
        kept = registry.index_file.read_bytes()
        put(registry, "independent", reports)
        registry.index_file.write_bytes(kept)
    elif index == "missing":
        registry.index_file.unlink()
    elif index == "damaged":
        registry.index_file.write_bytes(b"garbage" * 1000)

    def state() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in registry.folder.rglob("*"))

    before = state()
    monkeypatch.setattr(Registry, "writable", False)
    assert listed(registry) == list(NAMES)[: 3 if index == "old" else 2]
    assert run("verify", registry.folder).exit_code == (2 if index == "damaged" else 0)
    assert state() == before
