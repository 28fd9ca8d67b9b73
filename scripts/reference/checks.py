"""Prints one line for every check; scripts/test-interop counts them."""

import sys


class Checks:
    """The checks of one program."""

    def __init__(self, subject):
        """Names what is checked."""
        self.subject = subject
        self.failed = 0

    def that(self, holds, name, detail=""):
        """Says whether a check holds."""
        self.failed += not holds
        said = f"{'ok' if holds else 'FAIL'} {self.subject}: {name}"
        print(f"{said} ({detail})" if detail else said, flush=True)

    def skip(self, name, missing):
        """Says that checks were not made, and what they need."""
        print(f"skip {self.subject}: {name} ({missing})", flush=True)

    def finish(self):
        """Ends the program, with an error if a check failed."""
        sys.exit(1 if self.failed else 0)
