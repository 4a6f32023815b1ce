"""A hook of MkDocs: the picture of docs/architecture.md is drawn by a script that lies in the site itself.

The theme would load Mermaid from elsewhere. Here npm brings one pinned package, once, into the user's cache. Without
npm the site is built all the same, and the picture stands there as text.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import platformdirs
from pymdownx.superfences import fence_code_format

PACKAGE = "@mermaid-js/tiny@11.12.0"
SHA512 = "hDNmHuDdAhSQ4IraAh42Ck/wZ1m788vDlbH8Lgjh6FrrO06Tw1S8Lc8U3w3aGfDXeUu2dLTv6xsTYi0uNzxajg=="
SCRIPT = "package/dist/mermaid.tiny.js"
IN_SITE = "assets/mermaid.js"


def mermaid() -> Path | None:
    """The script; None where npm cannot bring it, or brings another package than the pinned one."""
    target = Path(platformdirs.user_cache_dir("huref-zk"), "docs", f"{SHA512[:16]}.js".replace("/", "_"))
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            (archive,) = Path(folder).glob("*.tgz")
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
            return None
        with tarfile.open(archive) as packed:
            member = packed.extractfile(SCRIPT)
            script = b"" if member is None else member.read()
        fresh = Path(folder, "mermaid.js")
        fresh.write_bytes(script)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fresh, target)
    return target


def on_config(config: Any) -> Any:
    """The script, and blocks of code that it draws; without it they stay code, and the theme loads nothing."""
    if mermaid() is not None:
        config.extra_javascript.append(IN_SITE)
        fence = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
        config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def on_post_build(config: Any) -> None:
    """Put the script into the site."""
    script = mermaid()
    if script is not None:
        target = Path(config.site_dir, IN_SITE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script, target)
