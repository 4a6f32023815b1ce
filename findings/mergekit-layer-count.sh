#!/usr/bin/env bash
# Guess:   a passthrough merge that stacks 9 layers out of a model of 6 writes a config.json for 9,
#          for any architecture that mergekit takes.
# Happens: Llama: 9. Qwen3: an error, since config.layer_types keeps its 6 entries. SmolLM3 and
#          OLMo 3: no error; 9 layers of weights under num_hidden_layers 6, so that transformers
#          leaves the last three out.
# Matters: such a file's weights and the model that is served are two things. Whoever counts blocks
#          by tensor names sees 9, whoever goes by config.json sees 6.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip mergekit==0.1.5 transformers==5.24.0 torch==2.13.0 safetensors==0.8.0

cat >"$dir/seen" <<'EOF'
mergekit 0.1.5, transformers 5.24.0
llama   config.json 9, stored 9, loaded 9
qwen3   ValueError: num_hidden_layers (9) must be equal to the number of layer_types (6)
smollm3 config.json 6, stored 9, loaded 6
olmo3   config.json 6, stored 9, loaded 6
EOF
cat >"$dir/probe.py" <<'EOF'
import json
import re
import sys
from importlib.metadata import version

import torch
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

print(f"mergekit {version('mergekit')}, transformers {version('transformers')}")
torch.manual_seed(0)
ids = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
size = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6}
heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
for kind in ("llama", "qwen3", "smollm3", "olmo3"):
    base, merged = f"{sys.argv[1]}/{kind}", f"{sys.argv[1]}/{kind}-merged"
    config = AutoConfig.for_model(kind, **size, **heads, **ids)
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    slices = [
        {"sources": [{"model": base, "layer_range": span}]} for span in ([0, 2], [4, 6], [1, 6])
    ]
    recipe = {"merge_method": "passthrough", "slices": slices, "dtype": "float32"}
    try:
        run_merge(
            MergeConfiguration.model_validate(recipe), merged, MergeOptions(copy_tokenizer=False)
        )
    except Exception as error:
        cause = re.search(r"ValueError: (.*)", str(error))
        print(f"{kind:7} ValueError: {cause[1].replace('`', '') if cause else error}")
        continue
    says = json.load(open(f"{merged}/config.json"))["num_hidden_layers"]
    with safe_open(f"{merged}/model.safetensors", "pt") as file:
        stored = {found[1] for name in file.keys() if (found := re.search(r"layers\.(\d+)", name))}
    loaded = len(AutoModelForCausalLM.from_pretrained(merged).model.layers)
    print(f"{kind:7} config.json {says}, stored {len(stored)}, loaded {loaded}")
EOF
mkdir "$dir/models"
"$dir/venv/bin/python" "$dir/probe.py" "$dir/models" 2>"$dir/err" | tee "$dir/now" ||
  tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
