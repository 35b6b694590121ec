"""Expected failures: one exception type that carries what the command line prints and returns."""

# Exit codes of npuport (design: 1 honest no, 2 bad input or usage, 3 environment, 4 bug).
NO, BAD_INPUT, ENVIRONMENT, BUG = 1, 2, 3, 4

# Codes shared with the C++ side (src/base/diag_codes.h): slug -> (id, exit code).
CODES = {
    "usage": ("NP0001", BAD_INPUT),
    "file-not-found": ("NP0101", BAD_INPUT),
    "not-readable": ("NP0102", ENVIRONMENT),
    "not-writable": ("NP0103", ENVIRONMENT),
    "tool-missing": ("NP0106", ENVIRONMENT),
    "unknown-format": ("NP0201", BAD_INPUT),
    "truncated-file": ("NP0202", BAD_INPUT),
    "corrupt-file": ("NP0203", BAD_INPUT),
    "unsafe-pickle": ("NP0205", BAD_INPUT),
    "shape-mismatch": ("NP0301", BAD_INPUT),
    "bad-input-data": ("NP0303", BAD_INPUT),
    "unsupported-feature": ("NP0402", NO),
    "data-dependent": ("NP0403", NO),
    "model-raised": ("NP0404", BAD_INPUT),
    "gate-failed": ("NP0601", NO),
    "internal": ("NP0902", BUG),
}


class HelperError(Exception):
    """A failure the user can act on: `slug` from CODES, a message, a hint, optional notes and structured details."""

    def __init__(self, slug, message, hint="", notes=(), **details):
        super().__init__(message)
        self.slug, self.message, self.hint = slug, message, hint
        self.notes, self.details = list(notes), details

    @property
    def exit_code(self):
        return CODES[self.slug][1]

    def as_json(self):
        code, exit_code = CODES[self.slug]
        return {"ok": False, "error": {"code": code, "slug": self.slug, "exit_code": exit_code, "message": self.message,
                                       "hint": self.hint, "notes": self.notes, **self.details}}

    def as_text(self):
        lines = [f"error[{CODES[self.slug][0]}]: {self.message}"]
        lines += ["  " + n for n in self.notes]
        if self.hint:
            lines.append("  hint: " + self.hint)
        return "\n".join(printable(line) for line in lines)


def printable(text):
    """Escapes control characters so that names from a model cannot drive the user's terminal."""
    return "".join(c if c.isprintable() else "\\x%02x" % ord(c) if ord(c) < 256 else "\\u%04x" % ord(c) for c in text)
