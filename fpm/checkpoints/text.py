"""Real text that is on every machine: docstrings and comments of the Python standard library.

Modules that fine-tuning uses are never seen in pretraining.
"""

from __future__ import annotations

import ast
import hashlib
import io
import sysconfig
import tokenize
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
VOCAB_SIZE = 2_000

FINETUNING_PACKAGES = (
    "asyncio",
    "concurrent",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "unittest",
    "xml",
)
"""Top-level packages whose text only the offspring is trained on."""

LEFT_OUT_PACKAGES = (
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
)
"""Not on every machine, or not text: distributions split these off."""


def standard_library_text(limit: int | None = None) -> tuple[list[str], list[str]]:
    """(pretraining, fine-tuning): one string a module, in an order that depends on names only.

    `limit`: at most so many modules of each, for tests.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    pretraining: list[str] = []
    finetuning: list[str] = []
    files = [file.relative_to(root) for file in root.rglob("*.py")]
    files = [file for file in files if not set(file.parts) & set(LEFT_OUT_PACKAGES) and "config-" not in str(file)]
    for file in sorted(files, key=lambda name: hashlib.sha256(name.as_posix().encode()).digest()):
        chosen = finetuning if file.parts[0] in FINETUNING_PACKAGES else pretraining
        if limit is not None and len(chosen) >= limit:
            continue
        text = prose(root / file)
        if len(text) > 200:
            chosen.append(text)
    return pretraining, finetuning


def prose(file: Path) -> str:
    """Docstrings and comments of one module; empty if it is not Python of this version."""
    try:
        source = file.read_text("utf-8")
        tree = ast.parse(source)
        found = [(line, text) for line, text in _docstrings(tree)]
        previous = -2
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type != tokenize.COMMENT:
                continue
            comment = token.string.lstrip("#! ").rstrip()
            if token.start[0] == previous + 1 and found:
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{comment}")
            elif comment:
                found.append((token.start[0], comment))
            previous = token.start[0]
    except (SyntaxError, UnicodeDecodeError, tokenize.TokenError):
        return ""
    return "\n\n".join(text for _, text in sorted(found))


def _docstrings(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                found.append((node.body[0].lineno, text))
    return found


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE of `VOCAB_SIZE` entries; `END_OF_TEXT` is token 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_stream(texts: list[str], tokenizer: Tokenizer) -> list[int]:
    """All texts as one stream of token ids, each text followed by `END_OF_TEXT`."""
    end = tokenizer.get_vocab()[END_OF_TEXT]
    stream: list[int] = []
    for encoding in tokenizer.encode_batch(texts):
        stream.extend(encoding.ids)
        stream.append(end)
    return stream
