"""What a procedure found, and how it is told: every kind of proof uses these.

`procedure` (steps in order, one report), `steps` (what each found), `verdict` (three of them, and exit codes),
`page_pieces` with `page.html` (self-contained pages), `files` (written whole or not at all).

>>> from verifier.results.steps import Steps
>>> steps = Steps({1: "format", 2: "statement"})
>>> steps.begin(1); steps.passed("five files")
>>> [(check.name, check.status.value) for check in steps.end(None)]
[('format', 'passed'), ('statement', 'not checked')]
"""
