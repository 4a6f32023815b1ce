#!/usr/bin/env bash
# Guess:   AutoTokenizer encodes as the folder's tokenizer.json says; tokenizer_class in
#          tokenizer_config.json names a wrapper around it.
# Happens: transformers 5.24.0 takes vocabulary and merges from tokenizer.json and builds normalizer
#          and pre-tokenizer from the class' own code. Under Qwen2Tokenizer digits are split one by
#          one and text is NFC-normalised, whatever the file says; saving writes that into the file.
#          Under LlamaTokenizer and PreTrainedTokenizerFast the file is taken as it is.
# Matters: a tokenizer.json is not what decides ids; its digest changes by loading and saving.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
export HF_HUB_OFFLINE=1 HF_HOME=$dir/home TRANSFORMERS_VERBOSITY=error
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip transformers==5.24.0 tokenizers==0.23.3

cat >"$dir/seen" <<'EOF'
transformers 5.24.0, tokenizers 0.23.3
the file itself:         layers Ġ1234
PreTrainedTokenizerFast: layers Ġ1234 | saved normalizer None
LlamaTokenizer:          layers Ġ1234 | saved normalizer None
Qwen2Tokenizer:          layers Ġ 1 2 3 4 | saved normalizer NFC
EOF
cat >"$dir/probe.py" <<'EOF'
import json
import pathlib
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
text, root = "layers 1234", pathlib.Path(sys.argv[1])
made = Tokenizer(models.BPE())
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
letters = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=letters, show_progress=False)
made.train_from_iterator(["layers 1234"] * 9, trainer)
print(f"{'the file itself:':24}", *made.encode(text).tokens)
for name in ("PreTrainedTokenizerFast", "LlamaTokenizer", "Qwen2Tokenizer"):
    folder = root / name
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    loaded = AutoTokenizer.from_pretrained(folder)
    loaded.save_pretrained(folder / "saved")
    normalizer = json.loads((folder / "saved" / "tokenizer.json").read_text())["normalizer"]
    word = normalizer["type"] if normalizer else None
    print(f"{name + ':':24}", *loaded.tokenize(text), "| saved normalizer", word)
EOF
mkdir "$dir/models"
"$dir/venv/bin/python" "$dir/probe.py" "$dir/models" 2>/dev/null | tee "$dir/now"
diff "$dir/seen" "$dir/now" && echo "as seen"
