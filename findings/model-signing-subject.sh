#!/usr/bin/env bash
# Guess:   model-signing installs and imports; the digest of its statement's subject is one of names
#          and contents, so that it names a model.
# Happens: model-signing 1.1.1 with sigstore 4.5.1 does not import: it needs pyOpenSSL and does not
#          ask for it. The subject's digest is SHA-256 over the files' digests in the order of their
#          names; names are in the predicate only (and are checked there). A folder with a file
#          renamed has the same one. A hub cache's snapshot (links) is refused by default.
# Matters: use the subject's digest as a key for contents, not for a folder; compare the resources.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$dir/venv"
pip() { "$dir/venv/bin/pip" install -q --no-compile "$@"; }
pip model-signing==1.1.1 sigstore==4.5.1

cat >"$dir/seen" <<'EOF'
model-signing 1.1.1, sigstore 4.5.1
import: No module named 'OpenSSL'
config.json model.safetensors: 4295f72eeb1e3507b8461e24
config.json weights.safetensors: 4295f72eeb1e3507b8461e24
links: ValueError
EOF
mkdir "$dir/a" "$dir/b" "$dir/links"
printf 1 | tee "$dir/a/config.json" >"$dir/b/config.json"
printf 2 | tee "$dir/a/model.safetensors" >"$dir/b/weights.safetensors"
ln -s ../a/config.json "$dir/links/config.json"
cat >"$dir/versions.py" <<'EOF'
from importlib.metadata import version

print(f"model-signing {version('model-signing')}, sigstore {version('sigstore')}")
try:
    import model_signing  # noqa: F401
except ModuleNotFoundError as error:
    print("import:", error)
EOF
cat >"$dir/digests.py" <<'EOF'
import base64
import json
import pathlib
import sys

import model_signing
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

root = pathlib.Path(sys.argv[1])
key, signature = root / "key.pem", root / "model.sig"
private = ec.generate_private_key(ec.SECP256R1())
key.write_bytes(
    private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
)
signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=key)
for name in ("a", "b", "links"):
    try:
        signer.sign(root / name, signature)
    except ValueError:
        print(f"{name}: ValueError")
        continue
    payload = json.loads(signature.read_text())["dsseEnvelope"]["payload"]
    statement = json.loads(base64.b64decode(payload))
    files = [resource["name"] for resource in statement["predicate"]["resources"]]
    print(*files, end=f": {statement['subject'][0]['digest']['sha256'][:24]}\n")
EOF
{
  "$dir/venv/bin/python" "$dir/versions.py"
  pip pyopenssl==26.4.0 1>&2
  "$dir/venv/bin/python" "$dir/digests.py" "$dir"
} | tee "$dir/now"
diff "$dir/seen" "$dir/now" && echo "as seen"
