"""The documentation as a site: builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it: strictly."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


class Loaded(HTMLParser):
    """What a page loads when it is opened."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        url = dict(attrs).get(LOADS.get(tag, ""))
        if url is not None:
            self.urls.append(url)


def test_every_page_is_there(site):
    pages = {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.name for path in site.iterdir()}
    assert (site / "fingerprint-predicate-v1.schema.json").read_bytes().startswith(b"{")


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        urls = Loaded(page).urls
        assert len(urls) > 3
        for url in urls:
            assert "//" not in url and ":" not in url, (page.name, url)
            top = site if url.startswith("/") else page.parent  # the page for wrong addresses: from the site's top
            assert (top / url.lstrip("/").split("?")[0].split("#")[0]).exists(), (page.name, url)
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text() and "url(//" not in style.read_text()


def test_the_three_quickstarts_are_first(site):
    _, quickstarts, *_ = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert [page for one in quickstarts["Quickstarts"] for page in one.values()] == ["release.md", "audit.md", "ci.md"]
