"""The HTML report in a headless Chromium: at a phone's width, a desk's, printed; axe-core's rules of accessibility.

Chromium comes as an npm package (126 MB, installed once into the user's cache directory, 15 seconds). Where there is no
node or no registry the test is skipped; `make browser-test` fails instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import EXAMPLE
from tests.verifier.comparison.test_published_page import compared
from tests.verifier.fingerprint.test_page import HOSTILE, made_up
from tests.verifier.inference.test_page import OUTCOME
from tests.verifier.inference.test_page import report as feed_forward
from verifier.comparison.published import compare_reports
from verifier.comparison.published_page import published_page
from verifier.fingerprint.options import Options
from verifier.fingerprint.page import page
from verifier.fingerprint.verify import verify_bundle
from verifier.inference.page import feed_forward_page
from verifier.inference.verify import verify_feed_forward

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "look.mjs")
WIDTHS = (360, 1200)
UNPACK = 'import chromium from "@sparticuz/chromium"; await chromium.executablePath();'


def cannot(reason: str) -> None:
    if os.environ.get("HUREF_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Path:
    """A folder with look.mjs and what it needs."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64") or not shutil.which("npm"):
        cannot("the packaged Chromium needs node and Linux on x86-64")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huref-zk" / f"browser-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "ready").exists():
            for name in FILES:
                shutil.copy(HERE / name, cache)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                cannot(f"npm could not install Chromium: {done.stderr[-500:]}")
            (cache / "unpacked").mkdir(exist_ok=True)
            (cache / "ready").touch()
        # under the lock, and not by whoever looks first: another process cannot start what is still being written
        subprocess.run(["node", "--input-type=module", "-e", UNPACK], cwd=cache, env=unpacked_in(cache), check=True)
    return cache


def unpacked_in(browser: Path) -> dict[str, str]:
    """The environment in which the package unpacks Chromium once, in a folder that stays."""
    return os.environ | {"TMPDIR": str(browser / "unpacked")}


def look(browser: Path, document: bytes, folder: Path) -> dict:
    (folder / "report.html").write_bytes(document)
    return look_at(browser, folder / "report.html", folder)


def look_at(browser: Path, page_file: Path, folder: Path, typed: tuple[str, ...] = ()) -> dict:
    command = ["node", "look.mjs", str(page_file), str(folder), *map(str, WIDTHS)]
    environment = unpacked_in(browser) | {"TYPE": json.dumps(typed)}
    done = subprocess.run(
        command, cwd=browser, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(seen: dict, folder: Path) -> None:
    """Nothing loaded, nothing run, nothing wider than the screen, nothing axe-core complains of."""
    assert all(url.startswith(("file:", "data:image/png")) for url in seen["requests"])
    assert seen["said"] == []
    assert seen["violations"] == []
    for width in WIDTHS:
        there = seen["widths"][str(width)]
        assert there["scrollWidth"] == width
        assert there["scripts"] == 0
        assert there["styled"]
        assert there["headings"][0].startswith("H1 ")
        with Image.open(folder / f"{width}.png") as shot:
            assert shot.width == width
            assert len(shot.convert("RGB").getcolors(1 << 24)) > 20
    assert (folder / "print.pdf").stat().st_size > 10_000


def test_an_accepted_bundle(browser, tmp_path):
    options = Options(allow_development_srs=True)
    report = verify_bundle(EXAMPLE, options)
    seen = look(browser, page([report], options, datetime.now(timezone.utc)), tmp_path)
    check(seen, tmp_path)
    assert seen["widths"]["360"]["picture"] == [report.picture.pixels.shape[1]]
    assert "H2 Accepted" in seen["widths"]["360"]["headings"]


def test_many_hostile_bundles(browser, tmp_path):
    reports = [made_up(" ".join(HOSTILE)), *(made_up(text) for text in HOSTILE if len(text) > 150)]
    seen = look(browser, page(reports, Options(), datetime.now(timezone.utc)), tmp_path)
    check(seen, tmp_path)
    assert seen["clicked"] == ["#bundle-1", True]
    there = seen["widths"]["360"]
    assert [heading for heading in there["headings"] if heading.startswith("H2")] == [
        "H2 3 bundles: 0 accepted, 0 undecided, 3 rejected",
        *["H2 Rejected at step 3 (points)"] * 3,
    ]
    assert "<script>alert(1)</script>" in there["text"]


def test_a_feed_forward_proof(browser, tmp_path):
    artifacts = EXAMPLE.parents[1]
    report = verify_feed_forward(artifacts / "feedforward" / "base", EXAMPLE, Options(allow_development_srs=True))
    seen = look(
        browser, feed_forward_page(report, Options(allow_development_srs=True), datetime.now(timezone.utc)), tmp_path
    )
    check(seen, tmp_path)
    assert seen["widths"]["360"]["picture"] == [128]
    assert "H2 The block's outputs are proven" in seen["widths"]["360"]["headings"]


@pytest.mark.parametrize("proven", [False, True])
def test_a_hostile_feed_forward_proof(browser, tmp_path, proven):
    report = feed_forward(" ".join(HOSTILE), OUTCOME if proven else None)
    seen = look(
        browser, feed_forward_page(report, Options(allow_development_srs=True), datetime.now(timezone.utc)), tmp_path
    )
    check(seen, tmp_path)
    assert "<script>alert(1)</script>" in seen["widths"]["360"]["text"]


@pytest.mark.parametrize(("other", "verdict"), [("offspring", "Derived"), ("independent", "Independent")])
def test_a_comparison(browser, tmp_path, other, verdict):
    options = Options(allow_development_srs=True)
    comparison = compare_reports(*(verify_bundle(EXAMPLE.parent / name, options) for name in ("base", other)))
    seen = look(browser, published_page(comparison, True, datetime.now(timezone.utc)), tmp_path)
    check(seen, tmp_path)
    there = seen["widths"]["360"]
    assert there["picture"] == [128, 128]
    assert any(heading.startswith(f"H2 {verdict}") for heading in there["headings"])


@pytest.mark.parametrize("rejected", [False, True])
def test_a_hostile_comparison(browser, tmp_path, rejected):
    comparison = compared(" ".join(HOSTILE), 0.4, rejected)
    seen = look(browser, published_page(comparison, True, datetime.now(timezone.utc)), tmp_path)
    check(seen, tmp_path)
    assert "<script>alert(1)</script>" in seen["widths"]["360"]["text"]
