"""What bytes may look like, and how an error says so. Imports no other room.

`errors` (the tree, and how an error becomes a verdict), `limits` (every MAX, with its reason), `strict_json`,
`encoding` (points, field elements, base64), `package` (a directory or zip), `proof_file`, `text` (made printable).

>>> from verifier.formats.encoding import u32be
>>> u32be(258).hex()
'00000102'
"""
