"""A registry's gallery in a headless Chromium: somebody types into the search box."""

from __future__ import annotations

from datetime import datetime, timezone

from PIL import Image

from prover.registry.add import accepted_report, publish
from prover.registry.files import read_bundle_files
from prover.registry.site import write_site
from prover.registry.store import Registry
from tests.browser.test_page_in_browser import WIDTHS, browser, look_at  # noqa: F401 - a fixture
from tests.conftest import EXAMPLE
from tests.verifier.fingerprint.test_page import HOSTILE

TYPED = ("BASE huref", "nothing like that", "huref-zk v2.7", "<script>alert(1)", "", "café")
HOSTILE_TEXT = " ".join(text for text in HOSTILE if text.isascii() or "\ud800" not in text)


def test_searching_the_gallery(browser, tmp_path):  # noqa: F811
    registry = Registry.open_or_create(tmp_path / "registry")
    names = {
        "base": ("base", "huref-zk"),
        "offspring": ("Cafe\u0301 noir", "huref-zk"),
        "independent": (HOSTILE_TEXT, HOSTILE_TEXT),
    }
    for bundle, (name, maker) in names.items():
        files = read_bundle_files(EXAMPLE.parent / bundle)
        with registry.incoming(files) as copy:
            said = {"metadata_unverified": {"name": name, "version": "v2.7" * (bundle == "base"), "maker": maker}}
            publish(registry, copy, files, accepted_report(copy, True) | said)
    write_site(registry, tmp_path / "site", datetime.now(timezone.utc))
    seen = look_at(browser, tmp_path / "site" / "index.html", tmp_path, TYPED)

    assert all(url.startswith("file:") for url in seen["requests"])
    assert seen["said"] == []
    assert seen["violations"] == []
    for width in WIDTHS:
        there = seen["widths"][str(width)]
        assert there["scrollWidth"] == width
        assert there["scripts"] == 1
        assert there["picture"] == [128] * 3
        assert [heading for heading in there["headings"] if heading.startswith("H2 base")] == ["H2 base"]
        with Image.open(tmp_path / f"{width}.png") as shot:
            assert len(shot.convert("RGB").getcolors(1 << 24)) > 1000
    assert "<script>alert(1)</script>" in seen["widths"]["360"]["text"]
    assert "3 models" in seen["widths"]["360"]["text"]
    everything = ["entry-2", "entry-1", "entry-0"]
    assert seen["typed"] == [
        [["entry-0"], "1 of 3 models"],
        [[], "0 of 3 models"],
        [["entry-0"], "1 of 3 models"],
        [["entry-2"], "1 of 3 models"],
        [everything, "3 models"],
        [["entry-1"], "1 of 3 models"],
    ]
    assert seen["clicked"] == ["#entry-0", True]  # the nearest other one, which the search had hidden
