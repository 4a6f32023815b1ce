"""Every read in verifier/ is known, with its bound: whoever adds one must say what bounds it (docs/fuzzing.md)."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from verifier.formats import limits

READERS = {
    *("read", "read1", "readall", "readinto", "readline", "readlines", "read_bytes", "read_text", "recv", "load"),
    *("open", "fdopen", "memmap", "mmap", "fromfile", "loadtxt", "genfromtxt", "ZipFile", "InferenceSession"),
    *("scandir", "listdir", "walk", "iterdir", "glob", "rglob", "extract", "extractall", "copyfileobj", "communicate"),
    *("check_output", "getoutput", "load_module", "frombuffer", "decompress"),
}
"""Names of calls that take bytes, or names of files, from outside."""

# module, function, call -> the limit (a name of verifier/formats/limits.py), or why none is needed
READS: dict[tuple[str, str, str], str] = {
    ("many/batch", "_ask", "answers.read"): "_MAX_ANSWER_BYTES",
    ("many/batch", "find_bundles", "os.walk"): "MAX_FOLDER_DEPTH, MAX_BUNDLES",
    ("many/child", "_end_with_parent", "os.read"): "1 byte",
    ("many/child", "decode", "np.frombuffer"): "_MAX_ANSWER_BYTES of batch",
    ("many/child", "main", "os.fdopen"): "written",
    ("many/child", "main", "sys.stdin.buffer.readline"): "written by batch, its parent",
    ("formats/package", "_check_directory_size", "stream.read"): "_ZIP_LOCATOR + _ZIP_END.size",
    (
        "formats/package",
        "_check_layout",
        "stream.read",
    ): "30 bytes, lengths of 16 bits; a packed size that met FILE_LIMITS",
    ("formats/package", "_is_all_of", "inflate.decompress"): "one byte more than the data, which met FILE_LIMITS",
    ("formats/package", "_read_directory", "os.scandir"): "MAX_ENTRIES",
    ("formats/package", "_read_member", "archive.open"): "the read below",
    ("formats/package", "_read_member", "stream.read"): "FILE_LIMITS",
    ("formats/package", "_read_plain_file", "os.fdopen"): "the read below",
    ("formats/package", "_read_plain_file", "os.open"): "the read below",
    ("formats/package", "_read_plain_file", "stream.read"): "FILE_LIMITS",
    ("formats/package", "_read_zip", "path.open"): "MAX_ZIP_BYTES",
    ("formats/package", "named_in", "mmap.mmap"): "MAX_ZIP_BYTES",
    ("formats/package", "named_in", "path.open"): "mapped, not read",
    ("formats/package", "read_zip", "zipfile.ZipFile"): "MAX_ZIP_DIRECTORY_BYTES, MAX_ENTRIES",
    ("opening/checkpoint", "Tensors.read", "np.memmap"): "mapped; the shape is the statement's",
    ("opening/checkpoint", "_open", "os.fdopen"): "the reads below",
    ("opening/checkpoint", "_open", "os.open"): "the reads below",
    ("opening/checkpoint", "_read_header", "stream.read"): "8 bytes, MAX_HEADER_BYTES",
    ("opening/checkpoint", "_refuse_other_weights", "folder.iterdir"): "names alone",
    (
        "opening/checkpoint",
        "read_file",
        "stream.read",
    ): "max_bytes: MAX_CONFIG_BYTES, MAX_INDEX_BYTES, MAX_TOKENIZER_BYTES, MAX_SECRET_BYTES",
    ("fingerprint/encoder", "_read_array", "archive.open"): "the read below",
    ("fingerprint/encoder", "_read_array", "np.frombuffer"): "MAX_HEAD_BYTES",
    ("fingerprint/encoder", "_read_array", "stream.read"): "MAX_HEAD_BYTES",
    ("fingerprint/encoder", "read_head", "zipfile.ZipFile"): "MAX_HEAD_BYTES",
    ("children/ezkl_child", "_commit", "open"): "written by workers, its parent",
    ("children/ezkl_child", "_commit", "stream.read"): "written by workers, its parent",
    ("children/ezkl_child", "main", "os.fdopen"): "written",
    ("children/ezkl_child", "main", "sys.stdin"): "written by workers, its parent",
    ("many/child", "main", "sys.stdin"): "written by batch, its parent",
    ("results/files", "write_atomically", "part.open"): "written",
    ("results/printing", "must_be_written", "open"): "written",
    ("results/files", "write_atomically", "path.open"): "written",
    ("fingerprint/z", "Fingerprint.from_json", "np.frombuffer"): "_MAX_ANSWER_BYTES of batch",
    ("opening/folding", "_Reader._get", "self._tensors.read"): "mapped; the shape is the statement's",
    ("signature/identity", "read_identity", "Path(text).open"): "the read below",
    ("signature/identity", "read_identity", "stream.read"): "MAX_KEY_FILE_BYTES",
    ("fingerprint/image", "read_picture", "Image.open"): "MAX_PICTURE_BYTES, MAX_PICTURE_SIDE",
    ("fingerprint/image", "read_picture", "inflate.decompress"): "MAX_PICTURE_SIDE",
    ("fingerprint/image", "render", "ort.InferenceSession"): "MAX_PROFILE_FILE_BYTES, pinned by digest",
    ("formats/package", "holds", "path.iterdir"): "MAX_ENTRIES",
    ("opening/check", "RowCommitter.commit", "np.frombuffer"): "salts made here",
    ("results/page_pieces", "document", "_TEMPLATE.open"): "the read below",
    ("results/page_pieces", "document", "stream.read"): "MAX_PAGE_BYTES",
    ("trust/profile", "read_trusted_file", "path.open"): "the read below",
    ("trust/profile", "read_trusted_file", "stream.read"): "max_bytes: MAX_PROFILE_BYTES, MAX_PROFILE_FILE_BYTES",
    ("trust/profile", "trusted_section", "path.open"): "the read below",
    ("trust/profile", "trusted_section", "stream.read"): "MAX_TRUST_BYTES",
    ("formats/strict_json", "Reader.array", "read"): "no read: what parses an item",
    ("children/workers", "Keys.check_settings", "self._settings.open"): "the read below",
    ("children/workers", "Keys.check_settings", "stream.read"): "MAX_PROFILE_FILE_BYTES",
    ("children/workers", "Lane._crashed", "log.read"): "MAX_CHILD_LOG_BYTES",
    ("children/workers", "Lane._crashed", "self._log.open"): "the read below",
    ("children/workers", "Lane._listen", "process.stdout.readline"): "MAX_CHILD_ANSWER_BYTES",
    ("children/workers", "Lane._start", "self._log.open"): "written",
}


class _Reads(ast.NodeVisitor):
    """Calls of readers, by the function they are in; those that say no size are in `unbounded`."""

    def __init__(self, module: str) -> None:
        self.found: Counter[tuple[str, str, str]] = Counter()
        self.unbounded: list[tuple[str, str, str]] = []
        self._module, self._place = module, []

    def _enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._place.append(node.name)
        self.generic_visit(node)
        self._place.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _enter

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in READERS:
            key = (self._module, ".".join(self._place), ast.unparse(node.func))
            self.found[key] += 1
            if name in ("read", "readline", "readall", "readlines", "read_bytes", "read_text") and not node.args:
                self.unbounded.append(key)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if ast.unparse(node) == "sys.stdin":  # read by iteration, too
            self.found[self._module, ".".join(self._place), "sys.stdin"] += 1
        self.generic_visit(node)


def reads_of(source: str, module: str) -> _Reads:
    visitor = _Reads(module)
    visitor.visit(ast.parse(source))
    return visitor


def _place(path: Path) -> str:
    """For example `formats/package`."""
    return path.relative_to(ROOT / "verifier").with_suffix("").as_posix()


def all_reads() -> list[_Reads]:
    return [reads_of(path.read_text(), _place(path)) for path in sorted((ROOT / "verifier").glob("**/*.py"))]


def test_every_read_is_on_the_list_and_the_list_is_no_longer():
    found = {key for reads in all_reads() for key in reads.found}
    assert found == set(READS), "say in READS and docs/fuzzing.md what bounds a new read"


def test_a_read_without_a_size_reads_what_the_verifier_wrote():
    unbounded = {key for reads in all_reads() for key in reads.unbounded}
    assert {READS[key] for key in unbounded} == {"written by batch, its parent", "written by workers, its parent"}


@pytest.mark.parametrize(
    "bound", sorted({word for text in READS.values() for word in text.split(", ") if "MAX" in word})
)
def test_the_limits_exist_and_are_used(bound):
    name = bound.split(": ")[-1].split(" of ")[0]
    sources = [path.read_text() for path in (ROOT / "verifier").rglob("*.py")]
    assert hasattr(limits, name) or name == "_MAX_ANSWER_BYTES"
    assert sum(source.count(name) for source in sources) >= 2


@pytest.mark.parametrize(
    "line",
    [
        "Path('x').read_bytes()",
        "open('x').read()",
        "path.open().readlines()",
        "np.load(path)",
        "subprocess.check_output(['x'])",
        "list(folder.rglob('*'))",
        "for line in sys.stdin: pass",
        "with zipfile.ZipFile(x) as z: z.extractall()",
    ],
)
def test_a_new_read_is_noticed(line):
    reads = reads_of(f"def f():\n    {line}\n", "new")
    assert set(reads.found) - set(READS)


def test_the_page_lists_them():
    page = (ROOT / "docs" / "fuzzing.md").read_text()
    for bound in READS.values():
        for name in bound.replace(":", ",").split(", "):
            if name.startswith("MAX_"):
                assert f"`{name}`" in page, name
    assert Path(ROOT, "tests", "fuzz", "record.json").name in page
