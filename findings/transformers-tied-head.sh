#!/usr/bin/env bash
# Guess:   with tie_word_embeddings true the head is the embedding, whatever else the file holds;
#          and a file of a tied model stores the embedding, not the head.
# Happens: if the file has another lm_head.weight too, transformers 5.24.0 does not tie (a warning
#          says so), 4.57.6 ties and drops it: one checkpoint, two models. safetensors' save_model
#          keeps the first name of the alphabet, lm_head.weight, and drops the embedding's; 5.24.0
#          loads such a file as the tied model that it was, 4.57.6 leaves its embedding without
#          values (on the meta device).
# Matters: a reader of embed_tokens.weight finds nothing in a valid file; config.json alone does not
#          say which head is served.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip transformers==5.24.0 torch==2.13.0 safetensors==0.8.0 requests
pip --no-deps --target "$dir/old" transformers==4.57.6 huggingface_hub==0.36.2 tokenizers==0.22.2

cat >"$dir/seen" <<'EOF'
safetensors 0.8.0: save_model keeps lm_head.weight, embedding False
transformers 5.24.0: both stored: head from the file True, is the embedding False
transformers 5.24.0: only the head stored: embedding as saved True
transformers 4.57.6: both stored: head from the file False, is the embedding True
transformers 4.57.6: only the head stored: embedding on meta
EOF
cat >"$dir/make.py" <<'EOF'
import shutil
import sys

import safetensors
import torch
from safetensors.torch import load_file, save_file, save_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
size = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
config = LlamaConfig(**size, num_attention_heads=4, tie_word_embeddings=True)
model = LlamaForCausalLM(config)
both, head = f"{sys.argv[1]}/both", f"{sys.argv[1]}/head"
model.save_pretrained(both)
shutil.copytree(both, head)
save_model(model, f"{head}/model.safetensors", metadata={"format": "pt"})
names = load_file(f"{head}/model.safetensors")
kept = [name for name in names if name == "lm_head.weight"]
print(f"safetensors {safetensors.__version__}: save_model keeps {kept[0]},", end=" ")
print("embedding", "model.embed_tokens.weight" in names)
tensors = load_file(f"{both}/model.safetensors")
tensors["lm_head.weight"] = torch.randn(64, 32)
save_file(tensors, f"{both}/model.safetensors", {"format": "pt"})
EOF
cat >"$dir/read.py" <<'EOF'
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

says = f"transformers {transformers.__version__}:"
both, head = f"{sys.argv[1]}/both", f"{sys.argv[1]}/head"
model, stored = LlamaForCausalLM.from_pretrained(both), load_file(f"{both}/model.safetensors")
used, embedding = model.lm_head.weight, model.model.embed_tokens.weight
print(says, "both stored: head from the file", torch.equal(used, stored["lm_head.weight"]), end="")
print(", is the embedding", torch.equal(used, embedding))
model, stored = LlamaForCausalLM.from_pretrained(head), load_file(f"{head}/model.safetensors")
embedding = model.model.embed_tokens.weight
same = embedding.device.type == "cpu" and torch.equal(embedding, stored["lm_head.weight"])
word = f"as saved {same}" if embedding.device.type == "cpu" else f"on {embedding.device.type}"
print(says, "only the head stored: embedding", word)
EOF
mkdir "$dir/models"
python=$dir/venv/bin/python
{
  "$python" "$dir/make.py" "$dir/models"
  "$python" "$dir/read.py" "$dir/models"
  PYTHONPATH=$dir/old "$python" "$dir/read.py" "$dir/models"
} 2>"$dir/err" | tee "$dir/now" || tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
