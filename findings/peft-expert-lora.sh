#!/usr/bin/env bash
# Guess:   a LoRA of rank 3 on the fused experts of a mixture (target_parameters) is stored under
#          the parameters' names, expert after expert: expert e has rows 3e to 3e + 2 of lora_A and
#          columns 3e to 3e + 2 of lora_B.
# Happens: the names do not say which parameter: one is "experts.lora_A", the other sits inside it
#          as "experts.base_layer.lora_A"; only shapes tell. lora_A goes expert by expert, lora_B
#          rank by rank: expert e has columns e, e + E, e + 2E.
# Matters: merging by the guess gives right shapes, no error and wrong experts.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip peft==0.21.2 transformers==5.24.0 torch==2.13.0 safetensors==0.8.0

cat >"$dir/seen" <<'EOF'
peft 0.21.2, transformers 5.24.0, Mixtral, 4 experts, rank 3
mlp.experts.base_layer.lora_A.weight [12, 32]
mlp.experts.base_layer.lora_B.weight [96, 12]
mlp.experts.lora_A.weight [12, 48]
mlp.experts.lora_B.weight [32, 12]
down_proj merged by peft against columns 3e ... 3e + 2: equal False
down_proj merged by peft against columns e, e + 4, e + 8: equal True
EOF
cat >"$dir/probe.py" <<'EOF'
import sys
from importlib.metadata import version

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import MixtralConfig, MixtralForCausalLM

EXPERTS, RANK = 4, 3
print(f"peft {version('peft')}, transformers {version('transformers')},", end=" ")
print(f"Mixtral, {EXPERTS} experts, rank {RANK}")
torch.manual_seed(0)
size = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
model = MixtralForCausalLM(MixtralConfig(**size, **heads, num_local_experts=EXPERTS))
before = model.model.layers[0].mlp.experts.down_proj.detach().clone()
adapter = LoraConfig(
    r=RANK,
    lora_alpha=RANK,  # a factor of 1
    target_modules=[],
    target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    init_lora_weights=False,  # random, so that there is something to merge
)
tuned = get_peft_model(model, adapter)
tuned.save_pretrained(sys.argv[1])
stored = load_file(f"{sys.argv[1]}/adapter_model.safetensors")
for name in sorted(stored):
    print("mlp." + name.split(".mlp.")[1], list(stored[name].shape))
after = tuned.merge_and_unload().model.layers[0].mlp.experts.down_proj.detach()
prefix = "base_model.model.model.layers.0.mlp.experts.lora_"
a, b = stored[prefix + "A.weight"], stored[prefix + "B.weight"]
rows = a.reshape(EXPERTS, RANK, -1)
guess = b.reshape(-1, EXPERTS, RANK).permute(1, 0, 2) @ rows
other = b.reshape(-1, RANK, EXPERTS).permute(2, 0, 1) @ rows
for words, delta in (("3e ... 3e + 2", guess), ("e, e + 4, e + 8", other)):
    equal = torch.allclose(before + delta, after, atol=1e-5)
    print(f"down_proj merged by peft against columns {words}: equal {equal}")
EOF
"$dir/venv/bin/python" "$dir/probe.py" "$dir/adapter" 2>"$dir/err" | tee "$dir/now" ||
  tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
