"""A folder of published bundles with an append-only log (docs/registry.md).

`merkle.py` is the hash tree of RFC 6962, `entry.py` a line of the log, `store.py` the folder and its lock, `index.py`
the SQLite index, `add.py` adds, `nearest.py` searches, `audit.py` finds tampering, `site.py` writes the gallery,
`cli.py` has the commands.
"""
