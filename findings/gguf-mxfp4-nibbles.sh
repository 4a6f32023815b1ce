#!/usr/bin/env bash
# Guess:   MXFP4 is MXFP4: 32 values of four bits and one scale, so the bytes of a safetensors
#          release (two neighbouring values a byte, low half first) can be copied into a GGUF.
# Happens: a block of GGUF has 17 bytes, the scale first; byte j then holds values j and j + 16.
#          Neighbours never share a byte. The scale's byte is the same in both.
# Matters: hashes of packed bytes never match between a release and its GGUF though every value
#          does; a reader with one order for both has a cosine of about 0.06, and no error.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip numpy==2.4.6 gguf==0.19.0

cat >"$dir/seen" <<'EOF'
gguf 0.19.0, numpy 2.4.6
block of 32 values: 17 bytes, scale first
values 1 and 2 in one byte (0x42) land at places 0 and 16: [1.0, 2.0]
safetensors' order, copied: equal False, the same values sorted True
safetensors' order, repacked: equal True
cosine of 1,000 random blocks copied in the wrong order: 0.06
EOF
"$dir/venv/bin/python" - <<'EOF' | tee "$dir/now"
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

KIND = GGMLQuantizationType.MXFP4
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
TABLE = np.concatenate([E2M1, -E2M1])


def gguf_values(scale, packed):
    block = np.concatenate([[scale], packed]).astype(np.uint8)[None]
    return quants.dequantize(block, KIND)[0]


print(f"gguf {version('gguf')}, numpy {np.__version__}")
size, length = GGML_QUANT_SIZES[KIND]
print(f"block of {size} values: {length} bytes, scale first")
packed = np.zeros(16, np.uint8)
packed[0] = 0x42  # codes 2 (1.0) and 4 (2.0); a scale byte of 127 is a factor of 1
places = np.flatnonzero(gguf_values(127, packed))
values = gguf_values(127, packed)[places].tolist()
print(f"values 1 and 2 in one byte (0x42) land at places {places[0]} and {places[1]}: {values}")
draw = np.random.default_rng(0)
codes = draw.integers(0, 16, 32)
wanted = TABLE[codes]
pairs = (codes[0::2] | codes[1::2] << 4).astype(np.uint8)  # as gpt-oss' *_blocks tensors have it
copied = gguf_values(127, pairs)
same = sorted(copied.tolist()) == sorted(wanted.tolist())
equal = np.array_equal(copied, wanted)
print(f"safetensors' order, copied: equal {equal}, the same values sorted {same}")
repacked = (codes[:16] | codes[16:] << 4).astype(np.uint8)
print("safetensors' order, repacked: equal", np.array_equal(gguf_values(127, repacked), wanted))
many = draw.integers(0, 16, (1000, 32))
pairs = (many[:, 0::2] | many[:, 1::2] << 4).astype(np.uint8)
read = np.stack([gguf_values(127, block) for block in pairs])
cosine = (read * TABLE[many]).sum() / np.linalg.norm(read) / np.linalg.norm(TABLE[many])
print(f"cosine of 1,000 random blocks copied in the wrong order: {cosine:.2f}")
EOF
diff "$dir/seen" "$dir/now" && echo "as seen"
