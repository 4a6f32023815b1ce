"""A block for a Hugging Face model card: YAML front matter and Markdown about one bundle. Pure.

All that stands in it comes from the verifier's report. Strings of the bundle are data: they stay inside their quotes
in YAML and are plain text in Markdown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from circuits.errors import UsageError

_URL = re.compile(r"https?://[!#$%&*+,\-./0-9:;=?@A-Za-z_~()]+")  # nothing that ends a Markdown or YAML string
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")  # CommonMark: every ASCII punctuation may be escaped


def card(report: Mapping[str, Any], name: str, archived: bool, url: str | None) -> str:
    """The block.

    Args:
        report: of `huref-verify --json`, accepted.
        name: of the bundle's folder or archive, where the reader has it.
        archived: whether it is an archive, whose picture a page cannot show.
        url: where the bundle is published.

    Raises:
        UsageError: `url` is none, or `name` does not fit on a line.
    """
    if url is not None and not _URL.fullmatch(url):
        raise UsageError(f"--url: {ascii(url)[:100]} is not an http(s) address", step="card")
    if not name.isprintable():
        raise UsageError(f"{ascii(name)[:100]}: a name with control characters", step="card", hint="rename it")
    return f"{front_matter(report, url)}\n{_markdown(report, name, archived, url)}"


def front_matter(report: Mapping[str, Any], url: str | None) -> str:
    """The YAML part, with its fences."""
    development = report["development_srs"]
    facts: dict[str, str | None] = {
        "bundle": url,
        "bundle_sha256": report["bundle_sha256"],
        "commitment": report["commitment"],
        "profile": report["profile"],
        "profile_sha256": report["profile_sha256"],
        "srs": "development" if development else "ceremony",
        "signed_by": report["identity"] or report["signer"],
    }
    lines = ["---", "tags:", "- huref-zk", "huref_zk:"]
    lines += [f"  {key}: {_yaml(value)}" for key, value in facts.items() if value is not None]
    for key, values in (("files", report["files"]), ("stated", report["metadata_unverified"])):
        lines += [f"  {key}:", *(f"    {name}: {_yaml(value)}" for name, value in values.items())]
    return "\n".join([*lines, "---", ""])


def _markdown(report: Mapping[str, Any], name: str, archived: bool, url: str | None) -> str:
    command = ["huref-verify", f"./{name}" if name.startswith("-") or name in ("profiles", "compare") else name]
    signer = report["identity"] or report["signer"]
    if signer:
        command += ["--identity", signer]
    if report["development_srs"]:
        command.append("--allow-dev-srs")
    stated = [value for value in report["metadata_unverified"].values() if value]
    place = f"{url}/fingerprint.png" if url else f"{quote(name)}/fingerprint.png"
    lines = ["## Fingerprint", ""]
    if not archived:
        lines += [f"![fingerprint of this model's committed weights](<{place}>)", ""]
    lines += [
        "This picture is the fingerprint of the model's committed weights (HuRef, NeurIPS 2024); the bundle it comes "
        "from proves so. Models that share a base have nearly the same picture. The proof is about committed weights: "
        "it does not show that they are the ones served here; two equal pictures alone are not evidence of copying.",
        "",
        "| | |",
        "| --- | --- |",
    ]
    rows = [
        ("Model, as its maker says", ", ".join(map(markdown, stated)) or "not said"),
        ("Bundle", f"<{url}>" if url else f"{markdown(name)}"),
        ("Bundle digest", f"`{report['bundle_sha256']}`"),
        ("Commitment (cm)", f"`{report['commitment']}`"),
        ("Profile", f"{markdown(report['profile'])}, SHA-256 `{report['profile_sha256']}`"),
        ("Signed by", f"`{signer}`" if signer else "unsigned"),
    ]
    lines += [f"| {title} | {value} |" for title, value in rows]
    lines += ["", "Download the bundle, and verify it with huref-zk, without the weights, a GPU, or a network:"]
    lines += ["", "```sh", shlex.join(command), "```"]
    if report["development_srs"]:
        lines += [
            "",
            "`--allow-dev-srs` means: you trust whoever made this profile's development SRS, who could forge every "
            "proof. Without it the verdict is *undecided*.",
        ]
    return "\n".join([*lines, ""])


def _yaml(value: str) -> str:
    r"""A double-quoted YAML scalar on one line.

    >>> print(_yaml('a"b\\c' + chr(10) + "d: {e"))
    "a\"b\\c?d: {e"
    """
    return '"' + _plain(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def markdown(value: str) -> str:
    r"""Plain text in Markdown: no markup, no HTML, no link, no end of a table's cell.

    >>> print(markdown("<b>|[x](y) https://e.x"))
    \<b\>\|\[x\]\(y\) https\:\/\/e\.x
    """
    return _MARKDOWN.sub(r"\\\1", _plain(value))


def _plain(value: str) -> str:
    """Without control, direction and line-breaking characters."""
    return "".join(character if character.isprintable() else "?" for character in value)
