"""The laboratory behind docs/evidence.md: a zoo of trained models, attacks, and every method's score on them.

`huref evaluate` (or `python -m fpm.evidence`) rebuilds all of it; what is finished is kept in the cache directory.

- `recipes`  what is in the zoo, and how each checkpoint is made (`zoo` makes them)
- `scores`   every method on every pair; `report` writes tables and plots from the scores' JSON
"""
