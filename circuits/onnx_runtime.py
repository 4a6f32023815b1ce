"""onnxruntime, which reports to its maker unless it is told not to before it starts: import it from here only.

From 1.29 on its wheels send what is run, a hash of the graph included, and keep a device id in the user's cache. What a
maker proves, and that it does, is nobody's business. The verifier has its own line (`verifier/fingerprint/image.py`).
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
