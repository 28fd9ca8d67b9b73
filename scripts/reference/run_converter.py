"""Runs one of llama.cpp's converters.

Usage: run_converter.py LLAMA_CPP PRE SCRIPT ARGUMENT...

LLAMA_CPP is the folder of llama.cpp. PRE, where it is not empty, names the tokenizer's rules for splitting text: by
itself the converter knows them only for tokenizers of the Hub, by a digest.
"""

import os
import runpy
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


def main(llama_cpp, pre, script, arguments):
    """Runs the script as if it had been called by its name."""
    sys.path.insert(0, str(llama_cpp))
    from conversion.base import TextModel

    if pre:
        TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    path = str(llama_cpp / script)
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: run_converter.py LLAMA_CPP PRE SCRIPT ARGUMENT...")
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
