"""Hatchling's hook for wheels: puts the native library into them where there is a C compiler.

`HUREF_BUILD_KERNEL`: `auto` (unless set) builds it if that is possible, and says so if not; `off` leaves it out: the wheel
is then pure and the same bytes everywhere; `require` fails without it. See docs/kernel.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "HUREF_BUILD_KERNEL"
CHOICES = ("auto", "off", "require")
FOLDER = "circuits/kernel"


class KernelHook(BuildHookInterface):  # type: ignore[type-arg, misc, unused-ignore]
    """Builds the library before the wheel is packed; an editable installation gets it in place."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See the module. ValueError for an unknown choice, RuntimeError where `require` is not met."""
        choice = os.environ.get(SWITCH) or "auto"
        if choice not in CHOICES:
            raise ValueError(f"{SWITCH}={choice}: one of {', '.join(CHOICES)}")
        if choice == "off":
            return
        root = Path(self.root)
        builder = _load(root / FOLDER / "build.py")
        name = builder.LIBRARY_NAME
        if version == "editable":
            target = root / FOLDER / name
        else:
            self._scratch = tempfile.TemporaryDirectory(prefix="huref-wheel-")
            target = Path(self._scratch.name, name)
        try:
            builder.build(target)
        except builder.NotBuiltError as error:
            if choice == "require":
                raise RuntimeError(f"{SWITCH}=require: {error}") from None
            self.app.display_warning(f"the native kernel is not built, ezkl will commit to rows: {error}")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = f"{FOLDER}/{name}"
            build_data["pure_python"] = False
            # No part of Python's own interface is used: any CPython 3, one system
            build_data["tag"] = f"py3-none-{re.sub('[-.]', '_', sysconfig.get_platform())}"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("huref_kernel_build", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path}: cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
