"""docs/release.md as a manufacturer follows it: every command, in order, from an empty directory. One proof is made."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_plain_install import sources  # noqa: F401 - a fixture
from tests.test_quickstarts import commands, follow

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def released(tmp_path_factory, sources) -> tuple[Path, str]:  # noqa: F811
    """The directory after the page was followed, and what was printed."""
    folder = tmp_path_factory.mktemp("manufacturer")
    return folder, follow(folder, sources, commands("release.md"))


def test_a_manufacturer_gets_what_the_page_says(released):
    folder, printed = released
    (keyid,) = set(re.findall(r"^key id +([0-9a-f]{64})$", printed, re.M))
    assert f"ACCEPTED: the picture is the proven fingerprint of the committed weights, signed by {keyid}" in printed
    assert "UNDECIDED at step 10 (srs)" in printed
    assert "signed      release/fingerprint, verified by huref-verify" in printed
    private = ("keys/maker.pem", "private/base.secret.json")
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in private] == [0o600, 0o600]
    published = {path.relative_to(folder / "release").as_posix() for path in (folder / "release").rglob("*.*")}
    assert published == {"README.md"} | {
        f"fingerprint/{name}"
        for name in (
            *("statement.json", "commitments.bin", "link.json", "encoder.json"),
            *("fingerprint.png", "signature.json"),
        )
    }
    secret = json.loads((folder / private[1]).read_bytes())
    published_bytes = b"".join(path.read_bytes() for path in (folder / "release").rglob("*.*"))
    assert secret["seed"].encode() not in published_bytes and b"PRIVATE KEY" not in published_bytes


def test_the_card_leads_a_stranger_to_the_verdict(released):
    folder, printed = released
    text = (folder / "release" / "README.md").read_text()
    assert text in printed
    _, front, markdown = text.split("---\n", 2)
    assert yaml.safe_load(front)["huref_zk"]["stated"] == {"name": "base", "version": "1.0", "maker": "Example Ltd"}
    (picture,) = re.findall(r"^!\[.*\]\(<(.*)>\)$", markdown, re.M)
    assert (folder / "release" / picture).read_bytes().startswith(b"\x89PNG")
    (command,) = re.findall(r"^```sh\n(.*)\n```$", markdown, re.M)
    path = f"{folder / 'huref-maker' / 'bin'}{os.pathsep}{os.defpath}"
    done = subprocess.run(
        shlex.split(command), cwd=folder / "release", env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("ACCEPTED")
