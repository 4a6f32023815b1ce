"""The documentation as a site in a headless Chromium: all it asks for is on its own server, and search works."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.test_page_in_browser import browser, unpacked_in  # noqa: F401 - a fixture
from tests.test_docs_site import site  # noqa: F401 - a fixture

PAGES = ("release.html", "threat-model.html", "architecture.html", "index.html")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def address(site):  # noqa: F811
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_site(browser, address, tmp_path):  # noqa: F811
    script = Path(shutil.copy(Path(__file__).with_name("site.mjs"), browser / f"site-{os.getpid()}.mjs"))
    try:
        done = subprocess.run(
            ["node", script.name, address, str(tmp_path), "identity", *PAGES],
            cwd=browser,
            env=unpacked_in(browser),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    finally:
        script.unlink()
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert all(url.startswith((f"{address}/", "data:image/")) for url in seen["requests"])
    assert seen["said"] == []
    assert {name: page["scrollWidth"] for name, page in seen["pages"].items()} == {
        f"{page} {width}": width for page in PAGES for width in (360, 1200)
    }
    assert seen["pages"]["release.html 360"]["heading"].startswith("Publish a fingerprint")
    assert all(seen["pages"]["index.html 1200"]["pictures"])
    drawn = seen["pages"]["architecture.html 1200"]["drawn"]  # by the site's own script
    assert len(drawn) == 2 and min(drawn) > 300
    assert any("threat-model.html" in link or "release.html" in link for link in seen["found"])
    assert len(list(tmp_path.glob("*.png"))) == 2 * len(PAGES)
