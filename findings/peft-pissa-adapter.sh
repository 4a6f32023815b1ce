#!/usr/bin/env bash
# Guess:   a LoRA adapter's model is W + (alpha / r) B A, with W of the base model that
#          adapter_config.json names.
# Happens: with init_lora_weights "pissa" or "olora" that is off by more than half of W's norm, even
#          for an adapter that was never trained (the merged model is then W itself): peft takes the
#          adapter's first state out of W again when it loads. Nothing in the tensors tells.
# Matters: tools that merge adapters themselves must read init_lora_weights, and refuse these two
#          or compute their first state again; rank, alpha and target modules are not enough.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip peft==0.21.2 transformers==5.24.0 torch==2.13.0 safetensors==0.8.0

cat >"$dir/seen" <<'EOF'
peft 0.21.2, untrained adapters, distances over the norm of W
True        W + sBA to peft's merged: 0.00, merged to W: 0.00
gaussian    W + sBA to peft's merged: 0.00, merged to W: 0.00
orthogonal  W + sBA to peft's merged: 0.00, merged to W: 0.00
pissa       W + sBA to peft's merged: 0.62, merged to W: 0.00
olora       W + sBA to peft's merged: 1.01, merged to W: 0.00
EOF
cat >"$dir/probe.py" <<'EOF'
import sys
from importlib.metadata import version

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM


def base():
    torch.manual_seed(0)
    size = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**size, num_attention_heads=4))


def weight(model):
    return model.model.layers[0].self_attn.q_proj.weight.detach()


print(f"peft {version('peft')}, untrained adapters, distances over the norm of W")
for start in (True, "gaussian", "orthogonal", "pissa", "olora"):
    folder = f"{sys.argv[1]}/{start}"
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=start)
    get_peft_model(base(), config).save_pretrained(folder)
    merged = weight(PeftModel.from_pretrained(base(), folder).merge_and_unload())
    stored = load_file(f"{folder}/adapter_model.safetensors")
    a, b = (next(v for k, v in stored.items() if part in k) for part in ("lora_A", "lora_B"))
    plain = weight(base()) + 8 / 4 * b @ a
    far = [float((x - y).norm() / weight(base()).norm()) for x, y in
           ((plain, merged), (merged, weight(base())))]
    print(f"{start!s:11} W + sBA to peft's merged: {far[0]:.2f}, merged to W: {far[1]:.2f}")
EOF
"$dir/venv/bin/python" "$dir/probe.py" "$dir" 2>"$dir/err" | tee "$dir/now" || tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
