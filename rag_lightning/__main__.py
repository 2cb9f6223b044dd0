"""The program, `rag-lightning` or `python -m rag_lightning`; Ctrl-C ends its imports with one line, too."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; returns its exit code."""
    try:
        from rag_lightning import cli
    except KeyboardInterrupt:
        print("rag-lightning: interrupted; nothing was begun", file=sys.stderr, flush=True)
        os._exit(130)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
