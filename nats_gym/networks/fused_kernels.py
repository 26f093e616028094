"""Triton kernels of :mod:`nats_gym.networks.fused`: each serves all edges of all members at once.

Activations are flat, one network's after another's, channels last. A *unit* is a convolution of
one member: an edge of a cell, a convolution of a residual block, the stem. Units of one input and
kernel are a *bundle*, computed as one convolution: their outputs lie beside each other, pixel by
pixel. ``units`` and ``bundles`` have a row of :data:`COLUMNS` for each; ``chosen`` says which a
launch is for. Whatever differs from one to the next (widths, kernel, whether the input is
rectified) is read from there, so one launch serves 3×3 and 1×1 convolutions of any widths.

Batch norm's statistics are merged from tiles by Chan's formula, in a fixed order: the same bits
at every run.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import triton
import triton.language as tl

#: Of a unit or bundle: widths of its input and output; channels before its member's in the source
#: node, in the target node, and before its own among the convolutions' outputs; offset of its
#: weights; side of its kernel, and padding; whether its input is rectified; whether it has a batch
#: norm; whether its taps share one weight (a mean of pixels before a 1×1 convolution); its source;
#: channels before its bundle's, and the bundle's width.
COLUMNS = (
    *("ci", "co", "source_before", "target_before", "before", "weights"),
    *("side", "padding", "rectified", "normed", "shared", "source", "bundle_before", "pitch"),
)
_NUMBERS = {
    *("pixels", "pixels_in", "pixels_out", "size", "size_in", "size_out"),
    *("tiles", "programs", "per_program", "begin"),
}
_WIDTH = tl.constexpr(len(COLUMNS))


def _jit(kernel: Any) -> Any:
    """Compiled for no value of a number in particular: sizes differ from block to block."""
    return triton.jit(kernel, do_not_specialize=_NUMBERS & {*signature(kernel).parameters})


@triton.jit
def _rectified(place, rows, columns, floor):
    """Activations, none below ``floor``; zero where there are none, and as the next tap reads."""
    values = tl.load(place, mask=rows[:, None] & columns[None, :], other=0.0, cache_modifier=".ca")
    # Of bfloat16 the greater would be float32.
    return tl.maximum(values, floor, propagate_nan=tl.PropagateNan.ALL).to(values.dtype)


@_jit
def convolve(
    x,
    weights,
    z,
    tile_means,
    tile_squares,
    bundles,
    chosen,
    pixels_in,
    pixels_out,
    size_in,
    size_out,
    tiles,
    STRIDE: tl.constexpr,
    ALIGNED: tl.constexpr,
    TILE: tl.constexpr,
    CI: tl.constexpr,
    CO: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Convolutions of one source node, and of each tile of their outputs mean and squares.

    Grid: (programs, bundles). A program computes ``tiles`` tiles of TILE pixels.
    """
    program, programs = tl.program_id(0), tl.num_programs(0)
    row = bundles + tl.load(chosen + tl.program_id(1)) * _WIDTH
    ci = tl.multiple_of(tl.load(row), ALIGNED)
    co = tl.multiple_of(tl.load(row + 1), 8)
    x += tl.multiple_of(tl.load(row + 2), ALIGNED).to(tl.int64) * pixels_in
    z += tl.multiple_of(tl.load(row + 4), 8).to(tl.int64) * pixels_out
    weights += tl.multiple_of(tl.load(row + 5), 8)
    side, padding = tl.load(row + 6), tl.load(row + 7)
    rectified, shared = tl.load(row + 8), tl.load(row + 10)
    inputs, outputs = tl.arange(0, CI), tl.arange(0, CO)
    step = tl.where(shared == 1, 0, ci * co)
    factor = tl.where(shared == 1, 1.0 / (side * side), 1.0)
    floor = tl.where(rectified == 1, 0.0, float("-inf"))
    mean = tl.zeros((CO,), tl.float32)
    squares = tl.zeros((CO,), tl.float32)
    count = 0.0
    for tile in range(tiles):
        pixel = (program * tiles + tile) * TILE + tl.arange(0, TILE)
        inside = pixel < pixels_out
        line = pixel // size_out
        image = line // size_out
        top = (line - image * size_out) * STRIDE - padding
        left = (pixel - line * size_out) * STRIDE - padding
        total = tl.zeros((TILE, CO), tl.float32)
        for tap in range(side * side):
            y = top + tap // side
            across = left + tap % side
            there = inside & (y >= 0) & (y < size_in) & (across >= 0) & (across < size_in)
            place = ((image * size_in + y) * size_in + across) * ci
            values = _rectified(x + place[:, None] + inputs[None, :], there, inputs < ci, floor)
            kernel = tl.load(
                weights + tap * step + inputs[:, None] * co + outputs[None, :],
                mask=(inputs < ci)[:, None] & (outputs < co)[None, :],
                other=0.0,
            ).to(values.dtype)
            total = tl.dot(values, kernel, total, input_precision=PRECISION)
        total *= factor
        tl.store(
            z + pixel[:, None] * co + outputs[None, :],
            total.to(z.dtype.element_ty),
            mask=inside[:, None] & (outputs < co)[None, :],
        )
        # Pixels beyond the last are zeros: they count for nothing below.
        here = tl.sum(inside.to(tl.float32))
        own_mean = tl.sum(total, 0) / tl.maximum(here, 1.0)
        away = tl.where(inside[:, None], total - own_mean[None, :], 0.0)
        apart = own_mean - mean
        both = tl.maximum(count + here, 1.0)
        mean += apart * (here / both)
        squares += tl.sum(away * away, 0) + apart * apart * (count * here / both)
        count += here
    place = (tl.program_id(1) * programs + program) * CO + outputs
    tl.store(tile_means + place, mean)
    tl.store(tile_squares + place, squares)


@_jit
def finish_statistics(
    tile_means,
    tile_squares,
    gamma,
    beta,
    running_mean,
    running_var,
    means,
    deviations,
    scale,
    shift,
    bundles,
    chosen,
    pixels_out,
    programs,
    per_program,
    epsilon,
    momentum,
    CO: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Batch norm's statistics of whole batches from those of tiles; grid: (bundles,).

    ``scale`` and ``shift`` are what a convolution's output is to be multiplied by and added.
    """
    row = bundles + tl.load(chosen + tl.program_id(0)) * _WIDTH
    co, before, normed = tl.load(row + 1), tl.load(row + 4), tl.load(row + 9)
    outputs = tl.arange(0, CO)
    first = tl.program_id(0) * programs
    mean = tl.zeros((CO,), tl.float32)
    for start in range(0, programs, ROWS):
        program = start + tl.arange(0, ROWS)
        count = tl.minimum(tl.maximum(pixels_out - program * per_program, 0), per_program)
        own = tl.load(
            tile_means + (first + program)[:, None] * CO + outputs[None, :],
            mask=(program < programs)[:, None],
            other=0.0,
        )
        mean += tl.sum(own * count.to(tl.float32)[:, None], 0)
    mean /= pixels_out
    squares = tl.zeros((CO,), tl.float32)
    for start in range(0, programs, ROWS):
        program = start + tl.arange(0, ROWS)
        count = tl.minimum(tl.maximum(pixels_out - program * per_program, 0), per_program)
        place = (first + program)[:, None] * CO + outputs[None, :]
        there = (program < programs)[:, None]
        own = tl.load(tile_means + place, mask=there, other=0.0)
        within = tl.load(tile_squares + place, mask=there, other=0.0)
        apart = own - mean[None, :]
        squares += tl.sum(within + apart * apart * count.to(tl.float32)[:, None], 0)
    channel = before + outputs
    there = outputs < co
    if normed == 1:
        deviation = tl.rsqrt(squares / pixels_out + epsilon)
        weight = tl.load(gamma + channel, mask=there, other=0.0) * deviation
        tl.store(means + channel, mean, mask=there)
        tl.store(deviations + channel, deviation, mask=there)
        tl.store(scale + channel, weight, mask=there)
        bias = tl.load(beta + channel, mask=there, other=0.0)
        tl.store(shift + channel, bias - mean * weight, mask=there)
        old = tl.load(running_mean + channel, mask=there, other=0.0)
        tl.store(running_mean + channel, old + momentum * (mean - old), mask=there)
        old = tl.load(running_var + channel, mask=there, other=0.0)
        unbiased = squares / tl.maximum(pixels_out - 1, 1)
        tl.store(running_var + channel, old + momentum * (unbiased - old), mask=there)
    else:
        tl.store(scale + channel, tl.full((CO,), 1.0, tl.float32), mask=there)
        tl.store(shift + channel, tl.zeros((CO,), tl.float32), mask=there)


@triton.jit
def _begin(row, pixels):
    """Where a unit's outputs begin among those of all convolutions."""
    before = tl.multiple_of(tl.load(row + 12), 8)
    return before.to(tl.int64) * pixels + (tl.multiple_of(tl.load(row + 4), 8) - before)


@triton.jit
def _pooled(values, place, y, across, channels, c, there, size):
    """Mean of the 3×3 pixels around each, as far as they are in the image."""
    total = tl.zeros((place.shape[0], channels.shape[0]), tl.float32)
    for tap in range(9):
        down, right = tap // 3 - 1, tap % 3 - 1
        inside = there & (y + down >= 0) & (y + down < size) & (across + right >= 0)
        inside = inside & (across + right < size)
        near = place + (down * size + right) * c
        total += tl.load(
            values + near[:, None] + channels[None, :],
            mask=inside[:, None] & (channels < c)[None, :],
            other=0.0,
        ).to(tl.float32)
    rows = 3 - (y == 0).to(tl.int32) - (y == size - 1).to(tl.int32)
    columns = 3 - (across == 0).to(tl.int32) - (across == size - 1).to(tl.int32)
    return total / (rows * columns).to(tl.float32)[:, None]


@triton.jit
def _spread(gradient, place, y, across, channels, c, there, size):
    """The gradient of :func:`_pooled`: what each pixel gave to the means around it."""
    total = tl.zeros((place.shape[0], channels.shape[0]), tl.float32)
    for tap in range(9):
        down, right = tap // 3 - 1, tap % 3 - 1
        above, beside = y + down, across + right
        inside = there & (above >= 0) & (above < size) & (beside >= 0) & (beside < size)
        rows = 3 - (above == 0).to(tl.int32) - (above == size - 1).to(tl.int32)
        columns = 3 - (beside == 0).to(tl.int32) - (beside == size - 1).to(tl.int32)
        near = place + (down * size + right) * c
        share = tl.load(
            gradient + near[:, None] + channels[None, :],
            mask=inside[:, None] & (channels < c)[None, :],
            other=0.0,
        ).to(tl.float32)
        total += share / (rows * columns).to(tl.float32)[:, None]
    return total


@_jit
def assemble(
    node,
    z,
    scale,
    shift,
    source0,
    source1,
    source2,
    units,
    entering,
    nodes,
    pixels,
    size,
    TILE: tl.constexpr,
    C: tl.constexpr,
):
    """A node: the sum of its normalised convolutions, skips and pools; grid: (tiles, members).

    ``nodes`` has a row for each member: width, channels before its own in this node and in the
    block's input, first and last of its units in ``entering``, and two sets of sources as bits:
    those that are added as they are, and those that are pooled.
    """
    row = nodes + tl.program_id(1) * 7
    c = tl.multiple_of(tl.load(row), 8)
    before = tl.multiple_of(tl.load(row + 1), 8).to(tl.int64) * pixels
    input_before = tl.multiple_of(tl.load(row + 2), 8).to(tl.int64) * pixels
    skips, pools = tl.load(row + 5), tl.load(row + 6)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    channels = tl.arange(0, C)
    inside = pixel < pixels
    there = inside[:, None] & (channels < c)[None, :]
    place = pixel * c
    offset = place[:, None] + channels[None, :]
    total = tl.zeros((TILE, C), tl.float32)
    for entry in range(tl.load(row + 3), tl.load(row + 4)):
        unit = tl.load(entering + entry)
        first = tl.multiple_of(tl.load(units + unit * _WIDTH + 4), 8)
        convolved = z + _begin(units + unit * _WIDTH, pixels)
        pitch = tl.multiple_of(tl.load(units + unit * _WIDTH + 13), 8)
        values = tl.load(
            convolved + (pixel * pitch)[:, None] + channels[None, :], mask=there, other=0.0
        )
        weight = tl.load(scale + first + channels, mask=channels < c, other=0.0)
        bias = tl.load(shift + first + channels, mask=channels < c, other=0.0)
        total += values.to(tl.float32) * weight[None, :] + bias[None, :]
    if (skips | pools) > 0:
        y, across = pixel // size % size, pixel % size
        for number in range(3):
            source = source0 + input_before
            if number == 1:
                source = source1 + before
            if number == 2:
                source = source2 + before
            if (skips >> number) & 1 == 1:
                total += tl.load(source + offset, mask=there, other=0.0).to(tl.float32)
            if (pools >> number) & 1 == 1:
                total += _pooled(source, place, y, across, channels, c, inside, size)
    tl.store(node + before + offset, total.to(node.dtype.element_ty), mask=there)


@_jit
def reduce_gradients(
    gradient,
    z,
    means,
    deviations,
    tile_sums,
    tile_products,
    units,
    chosen,
    pixels,
    tiles,
    TILE: tl.constexpr,
    CO: tl.constexpr,
):
    """Sums of a node's gradient, and of it times each normalised convolution; grid as convolve."""
    program, programs = tl.program_id(0), tl.num_programs(0)
    row = units + tl.load(chosen + tl.program_id(1)) * _WIDTH
    co = tl.multiple_of(tl.load(row + 1), 8)
    gradient += tl.multiple_of(tl.load(row + 3), 8).to(tl.int64) * pixels
    before = tl.multiple_of(tl.load(row + 4), 8)
    z += _begin(row, pixels)
    pitch = tl.multiple_of(tl.load(row + 13), 8)
    outputs = tl.arange(0, CO)
    sums = tl.zeros((CO,), tl.float32)
    products = tl.zeros((CO,), tl.float32)
    if tl.load(row + 9) == 1:
        mean = tl.load(means + before + outputs, mask=outputs < co, other=0.0)
        deviation = tl.load(deviations + before + outputs, mask=outputs < co, other=0.0)
        for tile in range(tiles):
            pixel = (program * tiles + tile) * TILE + tl.arange(0, TILE)
            there = (pixel < pixels)[:, None] & (outputs < co)[None, :]
            offset = pixel[:, None] * co + outputs[None, :]
            own = tl.load(gradient + offset, mask=there, other=0.0).to(tl.float32)
            near = pixel[:, None] * pitch + outputs[None, :]
            values = tl.load(z + near, mask=there, other=0.0).to(tl.float32)
            sums += tl.sum(own, 0)
            products += tl.sum(own * (values - mean[None, :]), 0)
        products *= deviation
    place = (tl.program_id(1) * programs + program) * CO + outputs
    tl.store(tile_sums + place, sums)
    tl.store(tile_products + place, products)


@_jit
def finish_gradients(
    tile_sums,
    tile_products,
    gamma_gradient,
    beta_gradient,
    units,
    chosen,
    programs,
    CO: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Gradients of batch norm's parameters from sums of tiles; grid: (units,)."""
    row = units + tl.load(chosen + tl.program_id(0)) * _WIDTH
    co, before = tl.load(row + 1), tl.load(row + 4)
    outputs = tl.arange(0, CO)
    first = tl.program_id(0) * programs
    sums = tl.zeros((CO,), tl.float32)
    products = tl.zeros((CO,), tl.float32)
    for start in range(0, programs, ROWS):
        program = start + tl.arange(0, ROWS)
        place = (first + program)[:, None] * CO + outputs[None, :]
        there = (program < programs)[:, None]
        sums += tl.sum(tl.load(tile_sums + place, mask=there, other=0.0), 0)
        products += tl.sum(tl.load(tile_products + place, mask=there, other=0.0), 0)
    tl.store(gamma_gradient + before + outputs, products, mask=outputs < co)
    tl.store(beta_gradient + before + outputs, sums, mask=outputs < co)


@_jit
def undo_norm(
    gradient,
    z,
    means,
    deviations,
    scale,
    gamma_gradient,
    beta_gradient,
    units,
    chosen,
    pixels,
    TILE: tl.constexpr,
    CO: tl.constexpr,
):
    """The gradient of each convolution's output, in place of the output; grid: (tiles, units)."""
    row = units + tl.load(chosen + tl.program_id(1)) * _WIDTH
    co = tl.multiple_of(tl.load(row + 1), 8)
    gradient += tl.multiple_of(tl.load(row + 3), 8).to(tl.int64) * pixels
    before = tl.multiple_of(tl.load(row + 4), 8)
    z += _begin(row, pixels)
    pitch = tl.multiple_of(tl.load(row + 13), 8)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    outputs = tl.arange(0, CO)
    channel, known = before + outputs, outputs < co
    there = (pixel < pixels)[:, None] & known[None, :]
    offset = pixel[:, None] * co + outputs[None, :]
    place = pixel[:, None] * pitch + outputs[None, :]
    own = tl.load(gradient + offset, mask=there, other=0.0).to(tl.float32)
    if tl.load(row + 9) == 1:
        values = tl.load(z + place, mask=there, other=0.0).to(tl.float32)
        mean = tl.load(means + channel, mask=known, other=0.0)
        deviation = tl.load(deviations + channel, mask=known, other=0.0)
        weight = tl.load(scale + channel, mask=known, other=0.0)
        products = tl.load(gamma_gradient + channel, mask=known, other=0.0)
        sums = tl.load(beta_gradient + channel, mask=known, other=0.0)
        lean = deviation * products / pixels
        own -= (sums / pixels)[None, :] + (values - mean[None, :]) * lean[None, :]
        own *= weight[None, :]
    tl.store(z + place, own.to(z.dtype.element_ty), mask=there)


@triton.jit
def _transposed(
    total,
    entry,
    leaving,
    bundles,
    z,
    weights,
    pixels_out,
    image,
    y,
    across,
    inside,
    inputs,
    size_out,
    STRIDE: tl.constexpr,
    CO: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add what a convolution's gradient means for its input."""
    outputs = tl.arange(0, CO)
    row = bundles + tl.load(leaving + entry) * _WIDTH
    ci = tl.multiple_of(tl.load(row), 8)
    co = tl.multiple_of(tl.load(row + 1), 8)
    z += tl.multiple_of(tl.load(row + 4), 8).to(tl.int64) * pixels_out
    weights += tl.multiple_of(tl.load(row + 5), 8)
    side, padding, shared = tl.load(row + 6), tl.load(row + 7), tl.load(row + 10)
    step = tl.where(shared == 1, 0, ci * co)
    factor = tl.where(shared == 1, 1.0 / (side * side), 1.0)
    for tap in range(side * side):
        top = y + padding - tap // side
        left = across + padding - tap % side
        there = inside & (top >= 0) & (left >= 0)
        if STRIDE > 1:
            there = there & (top % STRIDE == 0) & (left % STRIDE == 0)
            top //= STRIDE
            left //= STRIDE
        there = there & (top < size_out) & (left < size_out)
        place = ((image * size_out + top) * size_out + left) * co
        gradient = tl.load(
            z + place[:, None] + outputs[None, :],
            mask=there[:, None] & (outputs < co)[None, :],
            other=0.0,
            cache_modifier=".ca",  # the next tap reads most of it again
        )
        kernel = tl.load(
            weights + tap * step + inputs[None, :] * co + outputs[:, None],
            mask=(inputs < ci)[None, :] & (outputs < co)[:, None],
            other=0.0,
        )
        kernel = (kernel * factor).to(gradient.dtype)
        total = tl.dot(gradient, kernel, total, input_precision=PRECISION)
    return total


@_jit
def differentiate_input(
    input_gradient,
    x,
    weights,
    z,
    gradient1,
    gradient2,
    gradient3,
    bundles,
    leaving,
    nodes,
    pixels_in,
    pixels_out,
    size_in,
    size_out,
    STRIDE: tl.constexpr,
    TILE: tl.constexpr,
    CI: tl.constexpr,
    CO: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The gradient of a source node from all that read it; grid: (tiles, members).

    ``nodes`` has a row for each member: width, channels before its own in this node and in the
    nodes after the input, first of its bundles in ``leaving``, end of those that rectify it, end of
    all, and the targets, as bits, that add it as it is, and those that pool it.
    """
    row = nodes + tl.program_id(1) * 8
    ci = tl.multiple_of(tl.load(row), 8)
    before = tl.multiple_of(tl.load(row + 1), 8).to(tl.int64) * pixels_in
    target_before = tl.multiple_of(tl.load(row + 2), 8).to(tl.int64) * pixels_out
    first, middle, last = tl.load(row + 3), tl.load(row + 4), tl.load(row + 5)
    skips, pools = tl.load(row + 6), tl.load(row + 7)
    pixel = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inputs = tl.arange(0, CI)
    inside = pixel < pixels_in
    there = inside[:, None] & (inputs < ci)[None, :]
    line = pixel // size_in
    image, across = line // size_in, pixel - line * size_in
    y = line - image * size_in
    place = pixel * ci
    offset = place[:, None] + inputs[None, :]
    total = tl.zeros((TILE, CI), tl.float32)
    for entry in range(first, middle):
        total = _transposed(
            total, entry, leaving, bundles, z, weights, pixels_out, image, y, across, inside,
            inputs, size_out, STRIDE, CO, PRECISION,
        )  # fmt: skip
    if middle > first:
        values = tl.load(x + before + offset, mask=there, other=0.0)
        total = tl.where(values > 0, total, 0.0)
    for entry in range(middle, last):
        total = _transposed(
            total, entry, leaving, bundles, z, weights, pixels_out, image, y, across, inside,
            inputs, size_out, STRIDE, CO, PRECISION,
        )  # fmt: skip
    if (skips | pools) > 0:
        for target in range(1, 4):
            gradient = gradient3 + target_before
            if target == 1:
                gradient = gradient1 + target_before
            if target == 2:
                gradient = gradient2 + target_before
            if (skips >> target) & 1 == 1:
                total += tl.load(gradient + offset, mask=there, other=0.0).to(tl.float32)
            if (pools >> target) & 1 == 1:
                total += _spread(gradient, place, y, across, inputs, ci, inside, size_in)
    tl.store(
        input_gradient + before + offset, total.to(input_gradient.dtype.element_ty), mask=there
    )


@triton.jit
def _shifted(x, image, top, left, inputs, ci, inside, floor, size_in):
    """Pixels of the input, rectified where it is to be: ``(TILE, CI)``."""
    there = inside & (top >= 0) & (top < size_in) & (left >= 0) & (left < size_in)
    place = ((image * size_in + top) * size_in + left) * ci
    return _rectified(x + place[:, None] + inputs[None, :], there, inputs < ci, floor)


@_jit
def differentiate_weights(
    partial,
    source0,
    source1,
    source2,
    z,
    bundles,
    chosen,
    begin,
    size,
    pixels_in,
    pixels_out,
    size_in,
    size_out,
    STRIDE: tl.constexpr,
    SIDE: tl.constexpr,
    ALIGNED: tl.constexpr,
    TILE: tl.constexpr,
    CI: tl.constexpr,
    CO: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of kernels of one side, of parts of the pixels; grid: (parts, bundles, rows).

    A program computes a row of the kernel, all taps that share one weight together. ``partial`` is
    ``(parts, size)``, its first weight number ``begin``.
    """
    part, parts = tl.program_id(0), tl.num_programs(0)
    line = tl.program_id(2)
    row = bundles + tl.load(chosen + tl.program_id(1)) * _WIDTH
    ci = tl.multiple_of(tl.load(row), ALIGNED)
    co = tl.multiple_of(tl.load(row + 1), 8)
    source = tl.load(row + 11)
    x = source0
    if source == 1:
        x = source1
    if source == 2:
        x = source2
    x += tl.multiple_of(tl.load(row + 2), ALIGNED).to(tl.int64) * pixels_in
    z += tl.multiple_of(tl.load(row + 4), 8).to(tl.int64) * pixels_out
    padding = tl.load(row + 7)
    floor = tl.where(tl.load(row + 8) == 1, 0.0, float("-inf"))
    inputs, outputs = tl.arange(0, CI), tl.arange(0, CO)
    left_total = tl.zeros((CI, CO), tl.float32)
    middle_total = tl.zeros((CI, CO), tl.float32)
    right_total = tl.zeros((CI, CO), tl.float32)
    tiles = tl.cdiv(pixels_out, TILE)
    for tile in range(part, tiles, parts):
        pixel = tile * TILE + tl.arange(0, TILE)
        inside = pixel < pixels_out
        above = pixel // size_out
        image = above // size_out
        top = (above - image * size_out) * STRIDE - padding + line
        left = (pixel - above * size_out) * STRIDE - padding
        gradient = tl.load(
            z + pixel[:, None] * co + outputs[None, :],
            mask=inside[:, None] & (outputs < co)[None, :],
            other=0.0,
        )
        values = _shifted(x, image, top, left, inputs, ci, inside, floor, size_in)
        if SIDE == 2:
            values += _shifted(x, image, top, left + 1, inputs, ci, inside, floor, size_in)
            values += _shifted(x, image, top + 1, left, inputs, ci, inside, floor, size_in)
            values += _shifted(x, image, top + 1, left + 1, inputs, ci, inside, floor, size_in)
            values = (values * 0.25).to(gradient.dtype)
        left_total = tl.dot(tl.trans(values), gradient, left_total, input_precision=PRECISION)
        if SIDE == 3:
            values = _shifted(x, image, top, left + 1, inputs, ci, inside, floor, size_in)
            middle_total = tl.dot(
                tl.trans(values), gradient, middle_total, input_precision=PRECISION
            )
            values = _shifted(x, image, top, left + 2, inputs, ci, inside, floor, size_in)
            right_total = tl.dot(tl.trans(values), gradient, right_total, input_precision=PRECISION)
    there = (inputs < ci)[:, None] & (outputs < co)[None, :]
    place = part.to(tl.int64) * size + tl.load(row + 5) - begin + line * SIDE * ci * co
    offset = inputs[:, None] * co + outputs[None, :]
    tl.store(partial + place + offset, left_total, mask=there)
    if SIDE == 3:
        tl.store(partial + place + ci * co + offset, middle_total, mask=there)
        tl.store(partial + place + 2 * ci * co + offset, right_total, mask=there)
