"""What a recipe works with: size, texts, finished checkpoints; and what it hands back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from fpm.evidence.corpora import Corpus, Library
from fpm.evidence.models import Size, load_model

RECORD = "record.json"


@dataclass(frozen=True)
class Made:
    """A finished model. `tokenizer`: its tokenizer.json's text. `record`: how it was made, for the JSON beside it."""

    model: nn.Module
    tokenizer: str
    record: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Workshop:
    """`folder` holds one directory a checkpoint."""

    size: Size
    library: Library
    folder: Path

    def path(self, name: str) -> Path:
        """Directory of a checkpoint."""
        return self.folder / name

    def load(self, name: str) -> nn.Module:
        """A finished checkpoint's model."""
        return load_model(self.path(name))

    def tokenizer(self, name: str) -> str:
        """A finished checkpoint's tokenizer.json."""
        return (self.path(name) / "tokenizer.json").read_text("utf-8")

    def record(self, name: str) -> dict[str, Any]:
        """A finished checkpoint's record."""
        found: dict[str, Any] = json.loads((self.path(name) / RECORD).read_text("utf-8"))
        return found

    def corpus(self, text: str, tokenizer: str = "stdlib") -> Corpus:
        """A text in the tokens of one of the zoo's tokenizers."""
        return self.library.corpus(text, tokenizer)


Maker = Callable[..., Made]


@dataclass(frozen=True)
class Recipe:
    """One checkpoint of the zoo.

    `kind`: "base"; "offspring" (trained, pruned, rounded, merged ...); "rearranged" (same outputs, other weights);
    "padded" (same outputs, parts without effect added); "adaptive" (against the fingerprint, at the cost of quality);
    "distilled" (learnt from outputs: no weight of the parent in it); "same start" (the parent's initial weights only).
    `parent`: "" for a base. `maker(shop, recipe, **options)` makes it. `needs`: other checkpoints it reads.
    """

    name: str
    kind: str
    title: str
    maker: Maker
    parent: str = ""
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def digest(self, size: Size, texts: str, parents: Mapping[str, str]) -> str:
        """SHA-256 over all that goes in but the code: another digest means that it has to be made again.

        Args:
            size: of the zoo.
            texts: versions that the texts depend on (`Library.versions`).
            parents: digests of the checkpoints it reads.
        """
        what = [self.name, self.maker.__name__, dict(self.options), repr(size), texts, sorted(parents.items())]
        return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
