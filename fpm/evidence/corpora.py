"""The zoo's text, found on every machine that has the `fpm` extra, as streams of token ids.

- `stdlib`      docstrings and comments of the Python standard library: pretraining
- `finetuning`  the same of packages that pretraining never sees (fpm/checkpoints/text.py)
- `numpy`       docstrings and comments of numpy: other pretraining data, and continued pretraining
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from fpm.checkpoints.text import prose, standard_library_text, token_stream, train_tokenizer

HELD_OUT = 0.05  # share of each text, at its end, that is only measured
TOKENIZERS = ("stdlib", "numpy")
"""Each is trained on the text of its name; every base but one uses the first."""


@dataclass(frozen=True)
class Corpus:
    """A stream of token ids, int64: `training` is learnt from, `held_out` only measured."""

    name: str
    stream: Tensor

    @property
    def training(self) -> Tensor:
        """All but the last 5%."""
        return self.stream[: int(len(self.stream) * (1 - HELD_OUT))]

    @property
    def held_out(self) -> Tensor:
        """The last 5%."""
        return self.stream[int(len(self.stream) * (1 - HELD_OUT)) :]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the ids as little-endian int32."""
        return hashlib.sha256(self.stream.numpy().astype("<i4").tobytes()).hexdigest()


def numpy_text(limit: int | None = None) -> list[str]:
    """One string a module of numpy, in an order that depends on names only; its tests are left out."""
    root = Path(np.__file__).parent
    files = [file.relative_to(root) for file in root.rglob("*.py") if "tests" not in file.parts]
    files.sort(key=lambda name: hashlib.sha256(name.as_posix().encode()).digest())
    texts = (text for text in (prose(root / file) for file in files) if len(text) > 200)
    return list(islice(texts, limit))


class Library:
    """Texts, tokenizers and token streams; made once a folder, then read from it.

    Args:
        folder: keeps `tokenizer-<name>.json` and `<tokenizer>-<text>.npy`.
        limit: at most so many modules a text, for tests.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        versions = f"python-{platform.python_version()}-numpy-{np.__version__}"
        self.versions = versions if limit is None else f"{versions}-{limit}"
        self.folder = folder / self.versions
        self.limit = limit
        self.folder.mkdir(parents=True, exist_ok=True)
        self._corpora: dict[tuple[str, str], Corpus] = {}

    def text(self, name: str) -> list[str]:
        """One string a module of the text `name`."""
        return self._numpy if name == "numpy" else self._stdlib[name]

    @cached_property
    def _stdlib(self) -> dict[str, list[str]]:
        return dict(zip(("stdlib", "finetuning"), standard_library_text(self.limit), strict=True))

    @cached_property
    def _numpy(self) -> list[str]:
        return numpy_text(self.limit)

    def tokenizer_file(self, name: str) -> Path:
        """tokenizer.json, trained on the text `name`; bytes are the same for the same text."""
        file = self.folder / f"tokenizer-{name}.json"
        if not file.exists():
            part = file.with_suffix(".part")
            train_tokenizer(self.text(name)).save(str(part))
            part.rename(file)
        return file

    def corpus(self, text: str, tokenizer: str = "stdlib") -> Corpus:
        """The text `text` in the tokens of `tokenizer`."""
        key = (tokenizer, text)
        if key not in self._corpora:
            file = self.folder / f"{tokenizer}-{text}.npy"
            if not file.exists():
                ids = token_stream(self.text(text), Tokenizer.from_file(str(self.tokenizer_file(tokenizer))))
                part = file.with_suffix(".part.npy")
                np.save(part, np.array(ids, dtype=np.int32))
                part.rename(file)
            stream = torch.from_numpy(np.load(file, allow_pickle=False).astype(np.int64))
            self._corpora[key] = Corpus(text, stream)
        return self._corpora[key]
