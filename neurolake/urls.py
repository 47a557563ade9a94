"""What of a URL may be shown: a query may be a signature, and what stands before a host may be a password."""

from __future__ import annotations

import re

HIDDEN = "***"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,30})://(?P<rest>(?:[^\s'\"]|'')*)", re.IGNORECASE)
"""The length of the scheme is limited, so that a long text without a URL is read in time proportional to it."""
_USER = re.compile(r"[^/?#]*@")
_QUERY = {True: re.compile(r"\?.+", re.DOTALL), False: re.compile(r"\?[\w.-]+=.*", re.DOTALL)}
"""Of HTTP everything after a question mark; elsewhere that may be a pattern's, and only `?name=` begins a query."""


def hidden(text: str) -> str:
    """A text with `***` for the query, and for the user and password, of each URL in it.

    >>> hidden("FROM 'https://me:pw@host/x.parquet?X-Amz-Signature=abc' JOIN 's3://lake/part-?.parquet'")
    "FROM 'https://***@host/x.parquet?***' JOIN 's3://lake/part-?.parquet'"
    >>> hidden("sftp://keeper@host/x"), hidden("sftp://keeper:pw@host/x"), hidden("s3://lake/x?s3_session_token=abc")
    ('sftp://keeper@host/x', 'sftp://***@host/x', 's3://lake/x?***')
    """
    return _URL.sub(_hidden, text) if "://" in text else text


def _hidden(url: re.Match[str]) -> str:
    is_http = url["scheme"].lower().endswith(("http", "https"))  # what stands before it may be anything
    rest, user = url["rest"], _USER.match(url["rest"])
    if user is not None and (is_http or ":" in user[0]):
        rest = f"{HIDDEN}@{rest[user.end() :]}"
    return f"{url['scheme']}://{_QUERY[is_http].sub(f'?{HIDDEN}', rest)}"
