#!/usr/bin/env bash
# Guess:   provenancekit, which compares weights by several signals, tells two models of one
#          architecture apart when their weights were drawn independently.
# Happens: equal sizes in config.json decide alone ("exact", 1.0): the answer is "Confirmed Match"
#          at 1.0, whatever the weights say. The signal of weight vectors is at most 0.05 here and
#          stands beside it in the JSON.
# Matters: its "Confirmed Match" of two models with one config.json is no evidence of a common base;
#          read signals.wvc and identity_score, not provenance_decision.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
new_enough='import sys; sys.exit(sys.version_info < (3, 12))' # the package asks for 3.12
python=
for name in "${PYTHON:-python3}" python3.13 python3.12; do
  if "$name" -c "$new_enough" 2>/dev/null; then python=$name && break; fi
done
[ "$python" ] || { echo "needs Python 3.12 or later: set PYTHON" >&2 && exit 2; }
"$python" -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip cisco-ai-provenance-kit==1.0.0 transformers==5.24.0 tokenizers==0.23.3 torch==2.13.0

cat >"$dir/seen" <<'EOF'
cisco-ai-provenance-kit 1.0.0, transformers 5.24.0, two seeds
same sizes:  Confirmed Match, pipeline_score 1.0, wvc below 0.05 True
other sizes: Not Matched
EOF
cat >"$dir/make.py" <<'EOF'
import sys
from importlib.metadata import version

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

kit = "cisco-ai-provenance-kit"
print(f"{kit} {version(kit)}, transformers {version('transformers')}, two seeds")
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
letters = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters, show_progress=False)
tokenizer.train_from_iterator(["the model reads the weights of all layers"] * 5, trainer)
for name, seed, width, layers in (("a", 0, 64, 4), ("b", 1, 64, 4), ("c", 2, 32, 2)):
    torch.manual_seed(seed)
    size = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 128}
    config = LlamaConfig(vocab_size=400, num_attention_heads=4, **size)
    LlamaForCausalLM(config).save_pretrained(f"{sys.argv[1]}/{name}")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(f"{sys.argv[1]}/{name}")
EOF
cat >"$dir/read.py" <<'EOF'
import json
import sys

same, other = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("b", "c"))
scores, wvc = same["scores"], same["signals"]["wvc"]
decision, score = scores["provenance_decision"], scores["pipeline_score"]
print(f"same sizes:  {decision}, pipeline_score {score}, wvc below 0.05 {wvc < 0.05}")
print("other sizes:", other["scores"]["provenance_decision"])
EOF
mkdir "$dir/m"
{
  "$dir/venv/bin/python" "$dir/make.py" "$dir/m"
  for other in b c; do
    "$dir/venv/bin/provenancekit" compare "$dir/m/a" "$dir/m/$other" --json --no-cache \
      --cache-dir "$dir/cache" >"$dir/m/$other.json"
  done
  "$dir/venv/bin/python" "$dir/read.py" "$dir/m"
} 2>"$dir/err" | tee "$dir/now" || tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
