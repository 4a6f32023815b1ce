"""The worst inputs that the verifier's limits admit, each read in a process of its own: seconds and memory.

What random inputs never reach: files of exactly the largest size, made of whatever costs most for each byte.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.fuzz.child import INPUT_LIMIT_S, MEMORY_LIMIT_BYTES
from tests.fuzz.mutators import chunk
from verifier.formats import limits

MIB = limits.MIB
_PROOF = b'{"instances":[%s],"proof":"","type":"application/vnd.huref-zk.link+json;version=1"}'
_TOKENS = b'{"added_tokens":[],"model":{"vocab":{"a":1}},"x":%s}'
_PARTS = limits.MAX_CHECKPOINT_JSON_PARTS


def filled(frame: bytes, unit: bytes, size: int, parts: int = 1 << 62) -> bytes:
    """`unit` as often as fits into `frame` within `size` bytes and `parts` of JSON; its last byte is left out."""
    each = sum(unit.count(mark) for mark in (b",", b"[", b"{")) + unit.count(b'"') // 2
    room = size - len(frame)
    return frame % (unit * min(room // len(unit), max(1, parts - 40) // max(1, each)))[:-1]


def _vocabulary() -> bytes:
    names = ",".join(f'"{i:x}":{i}' for i in range(limits.MAX_VOCABULARY))
    merges = '["aa","bb"],' * ((_PARTS - 2 * limits.MAX_VOCABULARY) // 5 - 10)
    return f'{{"added_tokens":[],"model":{{"vocab":{{{names}}},"merges":[{merges[:-1]}]}}}}'.encode()


def _names(count: int, value: str) -> bytes:
    return ("{" + ",".join(f'"{i:x}":{value}' for i in range(count)) + "}").encode()


def _wide(frame: bytes, limit: int) -> bytes:
    """One object of as many entries as there may be, and a string that makes four bytes of each character."""
    names = _names(_PARTS // 2 - 20, "0")
    start = frame % (b'{"a":%s,"b":"' % names + "𝟘".encode())
    return start[:-1] + b"a" * (limit - len(start) - 8) + b'"}' + start[-1:]


def _header() -> bytes:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = _names(_PARTS // 12 - 4, entry)
    return _prefixed(text)


def _prefixed(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def _picture(side: int, empty: int) -> bytes:
    header = struct.pack(">II", side, side) + b"\x08\x02\0\0\0"
    data = chunk(b"IDAT", zlib.compress(bytes(side * (1 + 3 * side)), 9))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") * empty
    return start + data + chunk(b"IEND", b"")


def _bomb() -> bytes:
    from verifier.fingerprint.artefact import FILE_LIMITS

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, limit in FILE_LIMITS.items():
            archive.writestr(name, bytes(limit))
    return stream.getvalue()


def _points() -> bytes:
    from tests.fuzz.bundle_targets import example

    return example("commitments.bin")[:64] * (13 * ((1 << 15) - 80))  # the largest size class


MAKE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "link.json, small objects": ("proof", lambda: filled(_PROOF, b'{"":0},', limits.MAX_PROOF_FILE_BYTES)),
    "link.json, empty lists": ("proof", lambda: filled(_PROOF, b"[],", limits.MAX_PROOF_FILE_BYTES)),
    "link.json, escapes": ("proof", lambda: _PROOF % (b'"' + b"\\n" * (2 * MIB - 60) + b'"')),
    "link.json, field elements": ("proof", lambda: filled(_PROOF, b'"%s",' % (b"0" * 64), limits.MAX_PROOF_FILE_BYTES)),
    "link.json, digits": ("proof", lambda: _PROOF % (b"1" * (4 * MIB - 100))),
    "fingerprint.png, empty chunks": ("picture", lambda: _picture(8, 349_000)),
    "fingerprint.png, as large as inflates": ("picture", lambda: _picture(limits.MAX_PICTURE_SIDE, 0)),
    "zip, every member inflates to its limit": ("zip", _bomb),
    "commitments.bin of the largest size class": ("points", _points),
    "config.json, small objects": ("config", lambda: filled(b'{"x":[%s]}', b'{"":0},', limits.MAX_CONFIG_BYTES)),
    "tokenizer.json, small objects": (
        "tokenizer",
        lambda: filled(_TOKENS % b"[%s]", b'{"":0},', limits.MAX_TOKENIZER_BYTES, _PARTS),
    ),
    "tokenizer.json, numbers": (
        "tokenizer",
        lambda: filled(_TOKENS % b"[%s]", b"1e9,", limits.MAX_TOKENIZER_BYTES, _PARTS),
    ),
    "tokenizer.json, escapes": ("tokenizer", lambda: _TOKENS % (b'"' + b"\\n" * (24 * MIB - 40) + b'"')),
    "tokenizer.json, wide characters": ("tokenizer", lambda: _TOKENS % ('"𝟘' + "a" * (48 * MIB - 60) + '"').encode()),
    "tokenizer.json, one number": ("tokenizer", lambda: _TOKENS % (b"1." + b"3" * (48 * MIB - 60))),
    "tokenizer.json, brackets": ("tokenizer", lambda: _TOKENS % (b"[" * (48 * MIB - 60))),
    "tokenizer.json, the largest vocabulary": ("tokenizer", _vocabulary),
    "tokenizer.json, one large object": ("tokenizer", lambda: _TOKENS % _names(_PARTS // 2 - 20, "0")),
    "tokenizer.json, one large object and wide characters": (
        "tokenizer",
        lambda: _wide(_TOKENS, limits.MAX_TOKENIZER_BYTES),
    ),
    "model.safetensors, one large object and wide characters": (
        "safetensors",
        lambda: _prefixed(_wide(b'{"x":%s}', limits.MAX_HEADER_BYTES)),
    ),
    "index.json, most tensors": (
        "index",
        lambda: b'{"weight_map":%s}' % _names(_PARTS // 3 - 20, '"a.safetensors"'),
    ),
    "model.safetensors, most tensors": ("safetensors", _header),
    "model.safetensors, a header of spaces": (
        "safetensors",
        lambda: _prefixed(b" " * limits.MAX_HEADER_BYTES),
    ),
}
FILES = {"tokenizer": "tokenizer.json", "safetensors": "model.safetensors", "zip": "bundle.zip"}


def read(kind: str, folder: Path) -> object:
    """What the verifier does with such a file."""
    from verifier.fingerprint import artefact as bundle
    from verifier.fingerprint import image
    from verifier.formats import encoding, package
    from verifier.opening import checkpoint, model_config

    if kind == "tokenizer":
        return checkpoint.read_tokens(folder, limits.MAX_DIMENSION, 16, 4096)
    if kind == "safetensors":
        return checkpoint.Tensors(folder)
    if kind == "zip":
        return package.read_files(folder / "bundle.zip", bundle.BUNDLE)
    with (folder / "file").open("rb") as stream:
        data = stream.read(limits.MAX_COMMITMENTS_BYTES)
    if kind == "index":
        return checkpoint.parse_index(data, folder)
    if kind == "config":
        return model_config.describe(checkpoint.json_object(data, folder), folder)
    if kind == "picture":
        return image.read_picture(data, "p")
    if kind == "points":
        return encoding.split_points(data, 0, len(data) // 64, "commitments.bin")
    return bundle.read_proof(data, "link")


def measure(case: str, folder: Path) -> dict[str, Any]:
    """In this process: processor seconds and peak memory of reading what `make` left in `folder`."""
    from verifier.formats.errors import VerifierError

    kind = MAKE[case][0]
    file = folder / FILES.get(kind, "file")
    try:
        read(kind, folder)
        outcome = "accepted"
    except VerifierError as error:
        outcome = f"{type(error).__name__}: {error.message.replace(str(folder), '')[:120]}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took = time.process_time()
    slow, large = took > INPUT_LIMIT_S, peak > MEMORY_LIMIT_BYTES
    finding = [{"kind": "hang" if slow else "memory", "words": case}] if slow or large else []
    return {
        "case": case,
        "bytes": file.stat().st_size,
        "outcome": outcome,
        "cpu_s": round(took, 2),
        "peak_mb": round(peak / 1e6, 1),
        "findings": finding,
    }


def measure_all() -> list[dict[str, Any]]:
    """Every case, made by one process and read by another."""
    results = []
    for case, (kind, _) in MAKE.items():
        with tempfile.TemporaryDirectory(prefix="huref-fuzz-") as scratch:
            for verb in ("make", "read"):
                command = [sys.executable, "-m", "tests.fuzz.extremes", verb, case, scratch]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                if done.returncode:
                    break
        if done.returncode:
            lost = {"kind": f"process lost: {done.returncode}", "words": done.stderr[-300:]}
            results.append({"case": case, "findings": [lost], "kind": kind})
        else:
            results.append(json.loads(done.stdout))
        print(results[-1], flush=True)
    return results


if __name__ == "__main__":
    _, VERB, CASE, FOLDER = sys.argv
    if VERB == "make":
        KIND, MAKER = MAKE[CASE]
        (Path(FOLDER) / FILES.get(KIND, "file")).write_bytes(MAKER())
    else:
        print(json.dumps(measure(CASE, Path(FOLDER))))
