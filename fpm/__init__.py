"""The fingerprinting model: terms -> encoder -> z -> generator -> picture. The only folder that uses torch.

latent.py     z-space: the sphere that the head maps to, and the names of its coordinates
synthetic.py  synthetic weights, their projected terms, noisy offspring
encoder.py    the network inside the circuit and the public head after it; train_encoder.py trains them
checkpoints   the small Llama models that the project ships
drawer.py     procedural dogs, a fixed smooth function of z
stylegan2.py  the generator and the discriminator; train_generator.py trains them on the drawer's pictures
export.py     ONNX and npz files, as circuits/ and the verifier read them
figures.py    `python -m fpm.figures`: every figure of docs/fpm.md, by evaluate.py (the published model), study.py,
              whitening.py and trade_off.py (alternatives), null.py and late_null.py; tables.py writes them down
train.py      `python -m fpm.train encoder|generator`
"""
