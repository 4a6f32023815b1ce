"""What the registry's tests do and ask."""

from __future__ import annotations

from click.testing import CliRunner

from prover.cli import huref
from prover.registry.add import publish
from prover.registry.audit import Audit, audit
from prover.registry.files import read_bundle_files
from prover.registry.index import Index
from prover.registry.store import Registry
from tests.conftest import EXAMPLE

BUNDLES = EXAMPLE.parent
NAMES = ("base", "offspring", "independent")


def put(registry: Registry, name: str, reports: dict[str, dict], **changes: object):
    files = read_bundle_files(BUNDLES / name)
    with registry.incoming(files) as copy:
        return publish(registry, copy, files, reports[name] | changes)


def look(registry: Registry, **options: object) -> Audit:
    with registry.lock():
        return audit(registry, **options)


def listed(registry: Registry) -> list[str]:
    with Index.reading(registry) as index:
        return [one.name for one in index.all()]


def run(*arguments: object):
    return CliRunner().invoke(huref, ["registry", *map(str, arguments)])
