"""What every writer is: something that takes the batches of one result, and completes its document or leaves it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pyarrow as pa

__all__ = ["Writer"]


class Writer:
    """Takes batches. Leaving its `with` block completes the document, or abandons it when the block failed."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Complete the document."""

    def abandon(self) -> None:
        """Write nothing more: a document that is not whole must not look so."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
