#!/usr/bin/env bash
# Guess:   torch.onnx.export of a small model writes one file, and two models with other weights
#          differ in it.
# Happens: torch 2.13.0 puts the matrices of a model of 144 parameters into model.onnx.data beside
#          it (vectors stay inside). model.onnx holds graph, names and shapes: the same bytes for
#          both models. The older exporter (dynamo=False) writes one file.
# Matters: a digest or a signature of model.onnx alone says nothing of such weights; export with
#          external_data=False, or name both files.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip torch==2.13.0 onnx==1.23.2 onnxscript numpy==2.4.6

cat >"$dir/seen" <<'EOF'
torch 2.13.0, onnx 1.23.2
default: model.onnx model.onnx.data; model.onnx equal True, model.onnx.data equal False
external_data=False: model.onnx; model.onnx equal False
dynamo=False: model.onnx; model.onnx equal False
EOF
cat >"$dir/probe.py" <<'EOF'
import pathlib
import sys

import onnx
import torch

ways = {
    "default": {},
    "external_data=False": {"external_data": False},
    "dynamo=False": {"dynamo": False},
}
print(f"torch {torch.__version__.split('+')[0]}, onnx {onnx.__version__}")
for words, options in ways.items():
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(*size, bias=False) for size in ((8, 9), (9, 8))]
        folder = pathlib.Path(sys.argv[1]) / words / str(seed)
        folder.mkdir(parents=True)
        model, given = torch.nn.Sequential(*layers).eval(), (torch.zeros(2, 8),)
        torch.onnx.export(model, given, folder / "model.onnx", verbose=False, **options)
        folders.append(folder)
    names = sorted(path.name for path in folders[0].iterdir())
    same = [
        f"{name} equal {(folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()}"
        for name in names
    ]
    print(f"{words}: {' '.join(names)}; {', '.join(same)}")
EOF
"$dir/venv/bin/python" "$dir/probe.py" "$dir/out" 2>"$dir/err" | grep -v '^\[torch' |
  tee "$dir/now" || tail "$dir/err" >&2
diff "$dir/seen" "$dir/now" && echo "as seen"
