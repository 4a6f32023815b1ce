#!/usr/bin/env bash
# Guess:   a config.json that transformers 5 saves says the same to transformers 4, or is refused.
# Happens: 5.x writes rope_theta and the scaling into "rope_parameters" alone. 4.57.6 keeps that as
#          a field that nothing reads, says nothing, and has rope_theta 10000 and no scaling:
#          another model from the same weights.
# Matters: offspring tuned with 5.x answer differently where 4.x serves them. Whoever reads RoPE
#          from config.json must know both places.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=warning
for version in 5.24.0 4.57.6; do
  python3 -m venv "$dir/$version"
  "$dir/$version/bin/pip" install -q --no-compile "transformers==$version"
done

cat >"$dir/seen" <<'EOF'
transformers 5.24.0 reads its maker's config: 500000.0 llama3 x8.0
transformers 5.24.0 writes rope_theta False, rope_scaling False, rope_parameters True
transformers 4.57.6 reads that: rope_theta 10000.0, rope_scaling None
warnings of transformers 4.57.6 about it: 0
EOF
cat >"$dir/save.py" <<'EOF'
import json
import sys

import transformers
from transformers import LlamaConfig

original = {  # as Llama 3.1 publishes it
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
config = LlamaConfig(max_position_embeddings=131072, **original)
rope, says = config.rope_parameters, f"transformers {transformers.__version__}"
values = rope["rope_theta"], rope["rope_type"], f"x{rope['factor']}"
print(says, "reads its maker's config:", *values)
config.save_pretrained(sys.argv[1])
saved = json.load(open(f"{sys.argv[1]}/config.json"))
names = ("rope_theta", "rope_scaling", "rope_parameters")
print(says, "writes", ", ".join(f"{name} {name in saved}" for name in names))
EOF
cat >"$dir/read.py" <<'EOF'
import sys

import transformers

config = transformers.AutoConfig.from_pretrained(sys.argv[1])
print(f"transformers {transformers.__version__} reads that:", end=" ")
print(f"rope_theta {config.rope_theta}, rope_scaling {config.rope_scaling}")
EOF
{
  "$dir/5.24.0/bin/python" "$dir/save.py" "$dir/model" 2>/dev/null
  "$dir/4.57.6/bin/python" "$dir/read.py" "$dir/model" 2>"$dir/err"
  echo "warnings of transformers 4.57.6 about it: $(grep -ci rope "$dir/err" || true)"
} | tee "$dir/now"
diff "$dir/seen" "$dir/now" && echo "as seen"
