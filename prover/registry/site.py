"""A static gallery of a registry: one HTML page with search, and the pictures. Nothing is loaded from elsewhere.

Names come from bundles: they are escaped, without control and direction characters, isolated.
"""

from __future__ import annotations

import base64
import hashlib
import html
import tempfile
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

from circuits.digests import storage_error
from circuits.errors import RegistryError, UsageError
from prover.registry.entry import HINT, parse_line
from prover.registry.files import read_bundle_files
from prover.registry.index import Index, Listed
from prover.registry.store import Registry

_TEMPLATE = Path(__file__).with_name("site.html")
_PICTURE = "fingerprint.png"
MAX_NEIGHBOURS = 20_000  # entries; all pairs of more take minutes


def printable(text: str) -> str:
    """Text of a bundle without control and direction characters.

    >>> printable("a\\x1b[2J\\u202eb")
    'a?[2J?b'
    """
    return "".join(character if character.isprintable() else "?" for character in text)


def write_site(registry: Registry, target: Path, when: datetime, replace: bool = False) -> int:
    """Write the gallery to the folder `target`, whole or not at all; the number of models in it.

    Raises:
        UsageError: something is there already.
        RegistryError: a picture is not the one of the log.
        StorageError: it cannot be written.
    """
    if target.exists() and not (replace and _is_site(target)):
        what = "it exists, and is no gallery" if replace else "it exists; --force replaces a gallery"
        raise UsageError(f"{target}: {what}", step="site")
    with Index.reading(registry) as index:
        listed, root = index.all(), index.head().root
        near = _neighbours(index) if len(listed) <= MAX_NEIGHBOURS else {}
        files = {one.number: _files_of(registry, index, one.number) for one in listed}
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            fresh = Path(scratch, "site")
            (fresh / "pictures").mkdir(parents=True)
            for one in listed:
                (fresh / "pictures" / f"{one.bundle}.png").write_bytes(_picture(registry, one, files[one.number]))
            (fresh / "index.html").write_bytes(page(listed, near, root, when))
            if target.exists():
                target.rename(Path(scratch, "old"))
            fresh.rename(target)
    except OSError as error:
        raise storage_error(target, error) from None
    return len(listed)


def _is_site(target: Path) -> bool:
    return target.is_dir() and {path.name for path in target.iterdir()} <= {"index.html", "pictures"}


def _files_of(registry: Registry, index: Index, number: int) -> Mapping[str, str]:
    _, line = next(registry.lines(index.place_of(number)))
    return parse_line(line, number).files


def _picture(registry: Registry, one: Listed, digests: Mapping[str, str]) -> bytes:
    data = read_bundle_files(registry.bundles / one.bundle)[_PICTURE]
    if hashlib.sha256(data).hexdigest() != digests[_PICTURE]:
        raise RegistryError(f"bundles/{one.bundle}/{_PICTURE}: not the file of the log", step="site", hint=HINT)
    return data


def _neighbours(index: Index) -> dict[int, tuple[int, float]]:
    """Each entry's nearest other entry in its frame, and the cosine."""
    found: dict[int, tuple[int, float]] = {}
    for frame in index.frames():
        numbers, z = index.vectors(frame)
        for start in range(0, len(z), 512):
            cosines: npt.NDArray[np.float32] = z[start : start + 512] @ z.T
            rows = np.arange(len(cosines))
            cosines[rows, start + rows] = -2.0  # not itself
            best = cosines.argmax(1)
            for row, place in zip(rows.tolist(), best.tolist(), strict=True):
                if cosines[row, place] > -2.0:
                    found[int(numbers[start + row])] = (int(numbers[place]), float(cosines[row, place]))
    return found


def page(listed: list[Listed], near: Mapping[int, tuple[int, float]], root: str, when: datetime) -> bytes:
    """The page, UTF-8, newest entries first."""
    template = _TEMPLATE.read_text("utf-8")
    hashes = {}
    for tag in ("style", "script"):
        text = template.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        hashes[f"{tag}_hash"] = "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    document = Template(template).substitute(
        **hashes,
        cards="\n".join(_card(one, near.get(one.number)) for one in reversed(listed)),
        count=f"{len(listed)} model{'' if len(listed) == 1 else 's'}",
        entries=len(listed),
        root=root,
        version=version("huref-zk"),
        when=when.strftime("%Y-%m-%d %H:%M UTC"),
    )
    return document.encode("utf-8")


def _given(text: str) -> str:
    return f"<bdi>{html.escape(printable(text), quote=True)}</bdi>"


def _card(one: Listed, near: tuple[int, float] | None) -> str:
    rows = [("Maker", _given(one.maker)), ("Version", _given(one.model_version))]
    rows = [(name, value) for name, value in rows if value != _given("")]
    rows += [
        ("Published", html.escape(one.added)),
        ("Profile", html.escape(printable(one.profile))),
        ("Bundle", f"<code>{one.bundle}</code>"),
        ("Commitment", f"<code>{one.commitment}</code>"),
    ]
    if near is not None:
        rows.append(("Nearest other", f'<a href="#entry-{near[0]}">entry {near[0]}</a>, cosine {near[1]:+.3f}'))
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    flag = '<p><span class="flag">development SRS</span></p>' if one.development_srs else ""
    return (
        f'<li id="entry-{one.number}"><img src="pictures/{one.bundle}.png" loading="lazy" '
        f'alt="Fingerprint of entry {one.number}"><h2>{_given(one.name) if one.name else "(no name)"}</h2>{flag}'
        f"<dl><div><dt>Entry</dt><dd>{one.number}</dd></div>{facts}</dl></li>"
    )
