"""Hypothesis strategies: Arrow arrays of any type, sliced, with NULLs at every depth."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
from hypothesis import strategies as st

MARK = "Schlüssel-4711"
"""What tests hide in buffers, and look for in what is sent."""

SCALARS: dict[pa.DataType, st.SearchStrategy[object]] = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.decimal128(10, 2): st.decimals(-(10**7), 10**7, places=2),
    pa.decimal32(5, 1): st.decimals(-999, 999, places=1),
    pa.decimal256(50, 0): st.integers(-(10**40), 10**40).map(decimal.Decimal),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.duration("us"): st.timedeltas(dt.timedelta(-999), dt.timedelta(999)),
    pa.month_day_nano_interval(): st.tuples(*[st.integers(-9, 9)] * 3).map(pa.MonthDayNano),
    pa.string(): st.text(max_size=20),
    pa.large_string(): st.text(max_size=20),
    pa.binary(): st.binary(max_size=20),
    pa.binary(5): st.binary(min_size=5, max_size=5),
    pa.null(): st.none(),
}

VIEWS: dict[pa.DataType, st.SearchStrategy[object]] = {
    pa.string_view(): st.text(max_size=40),
    pa.binary_view(): st.binary(max_size=40),
}


def _nested(children: st.SearchStrategy[pa.DataType], *, views: bool) -> st.SearchStrategy[pa.DataType]:
    kinds = [
        children.map(pa.list_),
        children.map(pa.large_list),
        # Of nothing but NULL, pyarrow makes arrays that are broken.
        children.filter(lambda kind: not pa.types.is_null(kind)).map(lambda kind: pa.list_(kind, 2)),
        children.map(lambda kind: pa.map_(pa.string(), kind)),
        st.lists(children, min_size=1, max_size=3).map(
            lambda kinds: pa.struct([(f"f{index}", kind) for index, kind in enumerate(kinds)])
        ),
    ]
    if views:
        kinds += [children.map(pa.list_view), children.map(pa.large_list_view)]
    return st.one_of(kinds)


def types(*, views: bool = False) -> st.SearchStrategy[pa.DataType]:
    """Types up to a few levels deep, with views and dictionaries where asked for."""
    leaves = st.sampled_from([*SCALARS, *(VIEWS if views else ())])
    if views:
        leaves = leaves | st.just(pa.dictionary(pa.int8(), pa.string()))
    return st.recursive(leaves, lambda children: _nested(children, views=views), max_leaves=4)


def values(kind: pa.DataType) -> st.SearchStrategy[object]:
    """Values of a type, as Python has them, NULL among them."""
    strategy: st.SearchStrategy[object]
    if kind in SCALARS:
        strategy = SCALARS[kind]
    elif kind in VIEWS:
        strategy = VIEWS[kind]
    elif pa.types.is_dictionary(kind):
        strategy = st.sampled_from(["red", "green", "", "blue"])
    elif pa.types.is_struct(kind):
        strategy = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    elif pa.types.is_map(kind):
        strategy = st.lists(st.tuples(st.text(max_size=5), values(kind.item_type)), max_size=3)
    elif pa.types.is_fixed_size_list(kind):
        strategy = st.lists(values(kind.value_type), min_size=2, max_size=2)
    else:
        strategy = st.lists(values(kind.value_type), max_size=3)
    return st.none() | strategy


@st.composite
def arrays(draw: st.DrawFn, kinds: st.SearchStrategy[pa.DataType]) -> pa.Array:
    """Arrays, some of them slices of longer ones."""
    kind = draw(kinds)
    array = pa.array(draw(st.lists(values(kind), max_size=12)), kind)
    start = draw(st.integers(0, len(array)))
    return array.slice(start, draw(st.integers(0, len(array) - start)))
