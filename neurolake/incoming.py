"""Arrow data on its way in: what the engine cannot hold, or would change without a word, is refused by name.

>>> import pyarrow as pa
>>> Incoming(pa.table({"a": pa.array([1.5], pa.float16())}))
Traceback (most recent call last):
neurolake.errors.NotSupported: The column a is of type halffloat, which is not supported. Cast it to float32. [type]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from neurolake import errors
from neurolake.identifiers import fold

_UNHELD: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pat.is_float16, "Cast it to float32."),
    (pat.is_decimal256, "Cast it to decimal128."),
    (lambda kind: pat.is_fixed_size_list(kind) and kind.list_size == 0, "Make it a list of any length."),
    (lambda kind: pat.is_decimal(kind) and kind.scale < 0, "Cast it to a decimal whose scale is not negative."),
    (lambda kind: pat.is_union(kind) and kind.mode == "dense", "Make it a sparse union."),
)
_UNSEEN = {pa.lib.Type_INTERVAL_MONTHS, pa.lib.Type_INTERVAL_DAY_TIME}


class Incoming:
    """Data to be lent to the engine. A reader's batches are looked at as they come.

    Args:
        data: what is to be loaded or bound.
        names: whether its columns become those of a table.

    Attributes:
        data: what to lend.

    Raises:
        NotSupported: a column has a type that the engine cannot hold, or finer values than it can.
        InvalidRequest: two columns share a name, or one has none, or one that is no UTF-8.
    """

    def __init__(self, data: pa.Table | pa.RecordBatchReader, *, names: bool = True) -> None:
        check_schema(data.schema)
        if names:
            _check_names(data.schema, "The data")
        self._fine = [place for place, field in enumerate(data.schema) if _check_type(field, field.type)]
        self._problem: errors.NeuroLakeError | None = None
        if isinstance(data, pa.Table):
            for batch in data.to_batches() if self._fine else ():
                self._check_values(batch)
            self.data = pa.Table.from_batches([_rebased(batch) for batch in data.to_batches()], data.schema)
        else:
            self.data = pa.RecordBatchReader.from_batches(data.schema, self._watched(data))

    def blame(self, problem: errors.NeuroLakeError) -> errors.NeuroLakeError:
        """What went wrong: of an error that a reader raises, the engine keeps no more than a traceback's text."""
        return self._problem or problem

    def _watched(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            for batch in reader:
                self._check_values(batch)
                yield _rebased(batch)
        except errors.NeuroLakeError as problem:
            self._problem = problem
            raise
        except Exception as error:
            self._problem = errors.InvalidRequest(f"The data could not be read: {error}", code="not_loadable")
            raise

    def _check_values(self, batch: pa.RecordBatch) -> None:
        for place in self._fine:
            if _has_nanoseconds(batch.column(place)):
                raise errors.NotSupported(
                    f"The column {batch.schema.field(place).name} holds intervals finer than a microsecond.",
                    code="type",
                    next_step="Round them to microseconds.",
                )


def check_schema(schema: pa.Schema) -> None:
    """Refuse what cannot even be looked at: names and time zones that are no UTF-8, types that pyarrow does not know.

    Raises:
        InvalidRequest: there is such a name, at any depth.
        NotSupported: there is such a type.
    """
    try:
        for field in schema:
            _look_at(field)
    except UnicodeDecodeError:
        raise errors.InvalidRequest(
            "The data's schema holds a name that is not UTF-8.", code="column_names", next_step="Rename the column."
        ) from None


def _look_at(field: pa.Field) -> None:
    kind = field.type
    if kind.id in _UNSEEN:
        raise errors.NotSupported(
            f"The column {field.name} is of type {kind}, which is not supported.",
            code="type",
            next_step="Cast it to an interval of months, days and nanoseconds.",
        )
    if pat.is_fixed_size_list(kind) and pat.is_null(kind.value_type):
        raise errors.NotSupported(
            f"The column {field.name} holds lists of a fixed size of nothing but NULL, which are not supported.",
            code="type",
            next_step="Give the lists another type, or leave the column out.",
        )
    _ = field.name, kind.tz if pat.is_timestamp(kind) else None
    for place in range(kind.num_fields):
        _look_at(kind.field(place))


def _rebased(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A copy where nested columns are slices: the engine refuses a slice of structures in structures."""
    if not any(column.offset and pat.is_nested(column.type) for column in batch.columns):
        return batch
    sink = pa.BufferOutputStream()  # the one way to copy that knows every type
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch()


def _check_names(fields: Iterable[pa.Field], of: str) -> None:
    seen: set[str] = set()
    for field in fields:
        name = fold(field.name)
        if not name or name in seen:
            what = f"two columns named {field.name}" if name else "a column without a name"
            raise errors.InvalidRequest(
                f"{of} has {what}.", code="column_names", next_step="Give every column a name of its own."
            )
        seen.add(name)
        if pat.is_struct(field.type):
            _check_names(field.type, f"The structure {field.name}")


def _check_type(column: pa.Field, kind: pa.DataType) -> bool:
    """Whether its values may be finer than the engine's, once its type is one that the engine holds."""
    for is_unheld, instead in _UNHELD:
        if is_unheld(kind):
            raise errors.NotSupported(
                f"The column {column.name} is of type {kind}, which is not supported.", code="type", next_step=instead
            )
    inside = [_check_type(column, part) for part in _parts(kind)]
    return any(inside) or pat.is_interval(kind) or (pat.is_duration(kind) and kind.unit == "ns")


def _parts(kind: pa.DataType) -> list[pa.DataType]:
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pat.is_dictionary(kind):
        return [kind.value_type]
    return [kind.field(place).type for place in range(kind.num_fields)]


def _has_nanoseconds(array: pa.Array) -> bool:
    kind = array.type
    if pat.is_duration(kind):
        return kind.unit == "ns" and bool(pc.any(pc.not_equal(_rest(array.cast(pa.int64())), 0)).as_py())
    if pat.is_interval(kind):
        return any(value is not None and value.nanoseconds % 1000 for value in array.to_pylist())
    if pat.is_struct(kind):
        return any(map(_has_nanoseconds, array.flatten()))
    if pat.is_map(kind):
        return _has_nanoseconds(array.keys) or _has_nanoseconds(array.items)
    return pat.is_nested(kind) and not pat.is_union(kind) and _has_nanoseconds(array.flatten())


def _rest(values: pa.Array) -> pa.Array:
    """What is left of each after its whole thousands."""
    return pc.subtract(values, pc.multiply(pc.divide(values, 1000), 1000))
