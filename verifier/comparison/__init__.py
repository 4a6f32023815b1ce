"""Two bundles compared. By proof, under a projection drawn late (docs/comparison.md): `artefact`, `circuit`, `ics`,
`threshold`, `verify` (the ten steps, named in `steps`), `report`, `page`, `cli`. By their published z alone
(docs/compare.md): `published`, `published_page`, `published_cli`. `likeness`: where a p-value becomes a word.

>>> from verifier.comparison.steps import STEPS
>>> STEPS[6]
'similarity inputs'
"""
