"""SQL text: names, statement kinds, procedure calls, dialects."""

import logging

# Its warnings quote the statement, and a statement may hold personal data; what it cannot read is handled here anyway.
logging.getLogger("sqlglot").setLevel(logging.ERROR)
