#!/usr/bin/env bash
# Guess:   the same tensors and the same metadata give the same safetensors bytes, so the SHA-256 of
#          a checkpoint that is made again is the same.
# Happens: each save draws the order of __metadata__ anew, also within one process. Tensors are in
#          one order always: by item size, the largest first, then by name, not as given.
# Matters: one metadata key ("format") is stable; two or more make a file's digest a coin toss.
#          Compare tensors, or keep the bytes that were published.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip numpy==2.4.6 safetensors==0.8.0

cat >"$dir/seen" <<'EOF'
numpy 2.4.6, safetensors 0.8.0
1 metadata key, 32 saves: one digest
8 metadata keys, 32 saves: several digests
the same tensor bytes behind the header: True
tensors given b (F16), c (F32), a (F16), d (F64), stored d c a b
EOF
"$dir/venv/bin/python" - <<'EOF' | tee "$dir/now"
import hashlib
import json
import struct

import numpy as np
import safetensors
from safetensors.numpy import save

print(f"numpy {np.__version__}, safetensors {safetensors.__version__}")
given = {"b": np.float16, "c": np.float32, "a": np.float16, "d": np.float64}
tensors = {name: np.ones(2, kind) for name, kind in given.items()}
keys = ["format", "base_model", "license", "author", "step", "tool", "revision", "dtype"]
saves = []
for count in (1, 8):
    saves = [save(tensors, {key: "x" for key in keys[:count]}) for _ in range(32)]
    digests = {hashlib.sha256(data).hexdigest() for data in saves}
    word = "one digest" if len(digests) == 1 else "several digests"
    print(f"{count} metadata key{'s' if count > 1 else ''}, 32 saves: {word}")
length = struct.unpack("<Q", saves[0][:8])[0]
print("the same tensor bytes behind the header:", len({data[8 + length :] for data in saves}) == 1)
header = json.loads(saves[0][8 : 8 + length])
stored = sorted(set(header) - {"__metadata__"}, key=lambda name: header[name]["data_offsets"])
print("tensors given b (F16), c (F32), a (F16), d (F64), stored", *stored)
EOF
diff "$dir/seen" "$dir/now" && echo "as seen"
