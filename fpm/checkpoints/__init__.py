"""The small Llama checkpoints that ship with the project: base, offspring (fine-tuned base), independent.

`python -m fpm.checkpoints` trains all three from nothing on the text of the Python standard library.

- `text`   docstrings and comments of the standard library, and a tokenizer for them
- `train`  training runs and their records
"""
