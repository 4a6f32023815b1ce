"""What bytes look like: `canonical_json` (what is hashed and signed), `bounded_files` (others' files, within limits).

>>> from prover.formats.canonical_json import canonical
>>> canonical({"b": 1, "a": "x"})
b'{"a":"x","b":1}'
"""
