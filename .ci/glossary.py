"""Refuse British spellings, words for which the field has its own, and docstrings that begin with "What".

    python .ci/glossary.py

Each is replaced by the standard term: again, fix, similarity, localizer, from random initialization, tuning split,
image, variant, pipeline, significance summary, significantly better, reported, saliency.
"""

import pathlib
import re
import subprocess
import sys

_WORDS = (
    r"anew|mend(?:ed|s|ing)?|likeness(?:es)?|from nothing|kept aside|(?:not )?at hand|shared machine|other work"
    r"|really (?:better|worse|above|below)|told|heat(?:s|ed)?|hottest|arms?|roads?|verdicts?|photographs?|pictures?"
)
_BRITISH = (
    r"\w*colour\w*|(?:un)?cent(?:red?|res|ring)|\w*neighbour\w*|behaviour\w*|favour\w*|modell\w+"
    r"|(?<!/)(?:un)?labell\w+(?![\w/])"  # but for the folder unlabelled/ of the real images
    r"|cancell(?:ed|ing)|grey\w*|analys(?:e[sd]?|ing)|artefacts?|catalogues?|whilst"
    r"|\w*(?:optim|normal|minim|maxim|initial|serial|local|organ|recogn|random|standard|general|regular|quant|summar"
    r"|visual|penal|discret|vector|parallel|synchron|categor|character|emphas|custom|final|special|stabil|memor)"
    r"is(?:e[sdr]?|ers|ing|ations?)"
)
_PATTERN = re.compile(rf"(?<![a-z])(?:{_WORDS}|{_BRITISH})(?![a-z])|\"\"\"What (?!do(?:es)? )", re.IGNORECASE)
_TEXT = {".cfg", ".ipynb", ".md", ".py", ".toml", ".txt", ".yaml", ".yml", ".html", ".css", ".j2", ""}
# The words themselves, and calls and results of an older interface.
_EXEMPT = {".ci/glossary.py", "studies/golden/baseline.py", "studies/golden/cases.py"}


def main() -> int:
    root = pathlib.Path(__file__).parents[1]
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    found = []
    for name in filter(None, listed):
        path = root / name
        if path.suffix in _TEXT and path.is_file() and name not in _EXEMPT:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if '"image/png": ' in line:
                    continue  # base64
                if name == "CHANGELOG.md":
                    line = re.sub("`[^`]*`", "", line)  # names before a renaming
                for match in _PATTERN.finditer(line):
                    found.append(f"{name}:{number}: {match.group()}")
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
