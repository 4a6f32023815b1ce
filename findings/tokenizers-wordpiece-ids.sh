#!/usr/bin/env bash
# Guess:   training a tokenizer draws nothing: the same text and settings give the same
#          tokenizer.json, as the BPE trainer's does.
# Happens: the WordPiece trainer gives other ids each time, also within one process: its one-letter
#          "##x" pieces are numbered anew. Ties between merges hang on ids, so a few strings differ.
# Matters: a tokenizer that is made again does not fit the embedding rows of the first one; lists
#          of token ids (not strings) of two such models line up nothing.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip tokenizers==0.23.3

cat >"$dir/seen" <<'EOF'
tokenizers 0.23.3, 8 trainings each
BPE:       one vocabulary
WordPiece: several vocabularies
WordPiece: a ... h have the same ids each time: True
WordPiece: ##a ... ##h have the same ids each time: False
EOF
"$dir/venv/bin/python" - <<'EOF' | tee "$dir/now"
import random

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

random.seed(0)
words = ["".join(random.choices("abcdefgh", k=random.randint(2, 9))) for _ in range(5000)]
text = [" ".join(words[at : at + 10]) for at in range(0, len(words), 10)]


def trained(model, trainer):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer.get_vocab()


print(f"tokenizers {tokenizers.__version__}, 8 trainings each")
quiet = {"vocab_size": 500, "show_progress": False}
special = {"special_tokens": ["[UNK]"]}
bpe = [trained(models.BPE(), trainers.BpeTrainer(**quiet)) for _ in range(8)]
pieces = [
    trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(**quiet, **special))
    for _ in range(8)
]
for name, runs in (("BPE:", bpe), ("WordPiece:", pieces)):
    several = len({tuple(sorted(vocab.items())) for vocab in runs}) > 1
    print(f"{name:10}", "several vocabularies" if several else "one vocabulary")
for sign in ("", "##"):
    ids = {tuple(vocab[sign + letter] for letter in "abcdefgh") for vocab in pieces}
    print(f"WordPiece: {sign}a ... {sign}h have the same ids each time:", len(ids) == 1)
EOF
diff "$dir/seen" "$dir/now" && echo "as seen"
