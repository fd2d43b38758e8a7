"""A tile of a matrix product in vector instructions: what numba makes of loops leaves half of the cores' multiplications unused."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from transcription_worker.engines.batched.kernels.numba_jit import jit

# Columns of a tile, and its most rows. Their sums fill 12 of the 16 vector registers that every CPU with AVX2 has; two hold
# weights, and one a number of the hidden state. An AMD EPYC with AVX-512 had nothing from larger tiles.
COLUMNS, MOST_ROWS = 16, 6
VECTOR_NUMBERS = 8
VECTORS = COLUMNS // VECTOR_NUMBERS
_FLOAT, _HALF, _BYTE, _INT32, _INT64 = ir.FloatType(), ir.HalfType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, VECTOR_NUMBERS)
_PREFETCH_TYPE = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), *[_INT32] * 3])


@jit
def multiply_tile(hidden: Any, row: int, rows: int, panel: Any, tile: Any) -> None:
    """Write hidden[row : row + rows] @ panel to the first rows of `tile`.

    hidden: (at least row + rows, width), float32. rows: 1 to MOST_ROWS. panel: (width, COLUMNS), float32 or the bits of float16;
    what follows it in memory is fetched meanwhile. tile: (MOST_ROWS, COLUMNS), float32. All are contiguous.
    """
    if rows == 6:
        _six_rows(hidden, row, panel, tile)
    elif rows == 5:
        _five_rows(hidden, row, panel, tile)
    elif rows == 4:
        _four_rows(hidden, row, panel, tile)
    elif rows == 3:
        _three_rows(hidden, row, panel, tile)
    elif rows == 2:
        _two_rows(hidden, row, panel, tile)
    else:
        _one_row(hidden, row, panel, tile)


def _tile_of(rows: int) -> Any:
    """Return multiply_tile for a fixed number of rows, without the argument `rows`."""

    def product(_: Any, hidden: Any, row: Any, panel: Any, tile: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = [context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (0, 2, 3)]
            number = _HALF if panel.dtype == types.uint16 else _FLOAT
            _generate_tile(builder, rows, arguments[1], number, *arrays)
            return context.get_dummy_value()

        return types.void(hidden, row, panel, tile), generate

    return intrinsic(product)


_one_row, _two_rows, _three_rows, _four_rows, _five_rows, _six_rows = (
    _tile_of(rows) for rows in range(1, MOST_ROWS + 1)
)


def _generate_tile(builder: Any, rows: int, row: Any, number: Any, hidden: Any, panel: Any, tile: Any) -> None:
    """Generate the loop over the width. number: the type of the panel's numbers."""
    width = builder.extract_value(hidden.shape, 1)
    weights = builder.bitcast(panel.data, number.as_pointer())
    first = builder.gep(hidden.data, [builder.mul(row, width)])
    zeros = ir.Constant(_VECTOR, [0.0] * VECTOR_NUMBERS)
    sums = [[cgutils.alloca_once_value(builder, zeros) for _ in range(VECTORS)] for _ in range(rows)]
    with cgutils.for_range(builder, width) as loop:
        at = builder.mul(loop.index, _INT64(COLUMNS))
        _prefetch(builder, weights, builder.add(at, builder.mul(width, _INT64(COLUMNS))))
        loaded = [
            _load_weights(builder, weights, builder.add(at, _INT64(vector * VECTOR_NUMBERS)), number)
            for vector in range(VECTORS)
        ]
        for line in range(rows):
            own = builder.add(builder.mul(width, _INT64(line)), loop.index)
            value = _broadcast(builder, builder.load(builder.gep(first, [own])))
            for total, weight in zip(sums[line], loaded, strict=True):
                product = builder.fmul(value, weight, flags=["contract"])
                builder.store(builder.fadd(builder.load(total), product, flags=["contract"]), total)
    for line in range(rows):
        for vector in range(VECTORS):
            place = builder.gep(tile.data, [_INT64(line * COLUMNS + vector * VECTOR_NUMBERS)])
            builder.store(builder.load(sums[line][vector]), builder.bitcast(place, _VECTOR.as_pointer()), align=4)


def _prefetch(builder: Any, data: Any, at: Any) -> None:
    """Fetch what lies at an index to the L2 cache; what is out of bounds is no fault."""
    fetch = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], _PREFETCH_TYPE)
    address = builder.bitcast(builder.gep(data, [at]), _BYTE.as_pointer())
    builder.call(fetch, [address, _INT32(0), _INT32(2), _INT32(1)])


def _load_weights(builder: Any, weights: Any, at: Any, number: Any) -> Any:
    vector = ir.VectorType(number, VECTOR_NUMBERS)
    place = builder.bitcast(builder.gep(weights, [at]), vector.as_pointer())
    loaded = builder.load(place, align=2 if number is _HALF else 4)
    return builder.fpext(loaded, _VECTOR) if number is _HALF else loaded


def _broadcast(builder: Any, value: Any) -> Any:
    """Return a vector whose numbers are all the value."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(nothing, value, _INT32(0))
    return builder.shuffle_vector(
        one, nothing, ir.Constant(ir.VectorType(_INT32, VECTOR_NUMBERS), [0] * VECTOR_NUMBERS)
    )
