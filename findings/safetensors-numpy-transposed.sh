#!/usr/bin/env bash
# Guess:   safetensors.numpy.save_file stores the values of the array that it is given, transposed
#          or not, as 0.7.0 did; or it refuses, as safetensors.torch does ("non contiguous").
# Happens: 0.8.0 stores the memory behind the array, in its old order, under the new shape. No
#          error: W.T comes back as other numbers. The docstring asks for contiguous arrays only.
# Matters: GGUF, Conv1D and JAX weights are stored transposed, so converters write W.T.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip numpy==2.4.6 safetensors==0.8.0
pip --no-deps --target "$dir/old" safetensors==0.7.0

cat >"$dir/seen" <<'EOF'
numpy 2.4.6
safetensors 0.7.0
  saved  [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
  loaded [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
safetensors 0.8.0
  saved  [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
  loaded [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
  ascontiguousarray first: equal True
EOF
cat >"$dir/probe.py" <<'EOF'
import numpy as np
import safetensors
from safetensors.numpy import load, save

weight = np.arange(6, dtype=np.float32).reshape(2, 3).T
print("safetensors", safetensors.__version__)
print("  saved ", weight.tolist())
print("  loaded", load(save({"w": weight}))["w"].tolist())
if safetensors.__version__ == "0.8.0":
    copied = load(save({"w": np.ascontiguousarray(weight)}))["w"]
    print("  ascontiguousarray first: equal", bool(np.array_equal(copied, weight)))
EOF
python=$dir/venv/bin/python
{
  "$python" -c 'import numpy; print("numpy", numpy.__version__)'
  PYTHONPATH=$dir/old "$python" "$dir/probe.py"
  "$python" "$dir/probe.py"
} | tee "$dir/now"
diff "$dir/seen" "$dir/now" && echo "as seen"
