"""The encoder's decisions inside a frame: levels, splits and modes at the least distortion + lambda * bits.

Bits are what the adaptive models would charge now (`learn` = 0), so the decisions follow what the decoder knows.
"""

from semjax.entropy import binary as eb
from semjax.texture.blocks import (
    code_mode,
    code_split,
    grade_prediction,
    predict_leaf,
    rebuild,
    transform,
)
from semjax.texture.residual import BRIGHT, NO, NO_LIMIT, YES, code_block, reach_of, surroundings

_BIT = 1.0 / 65536
_WORTH = 9.0, 4.0  # bits that taking one off a level can save at most: a level of 1, a larger one


@eb.call
def _price(
    pricer, buf, m, q, prev, other, energy, y0, y1, x0, x1, plane, kind, klass, small, scratch, spare, lam
):  # fmt: skip
    """Price of a leaf's levels in bits, or some number above spare / lam when that is what it exceeds."""
    pricer[1] = 0
    most = NO_LIMIT if spare > 1e200 else int(65536.0 * max(spare, 0.0) / lam)
    code_block(
        pricer, buf, m, 0, q, prev, other, scratch[1], energy, y0, y1, x0, x1, plane, kind, klass, small,
        scratch[7], most,
    )  # fmt: skip
    return pricer[1] * _BIT


@eb.call
def target(org, scratch, y0, y1, x0, x1):
    """Transform what a leaf should show into the scratch, once for all modes."""
    for y in range(y0, y1):
        for x in range(x0, x1):
            scratch[4, y - y0, x - x0] = org[y, x]
    transform(scratch[4], scratch[8], scratch[2], y1 - y0, x1 - x0)


@eb.call
def _quantise(q, scratch, offset, step, y0, y1, x0, x1):
    """Levels of a leaf, rounded with `offset`; returns (distortion when nothing is coded, with these levels)."""
    wanted, spectrum, coef = scratch[8], scratch[3], scratch[5]
    zero, d = 0.0, 0.0
    for y in range(y1 - y0):
        for x in range(x1 - x0):
            c = wanted[y, x] - spectrum[y, x]
            coef[y, x] = c
            v = (abs(c) + offset) // step
            zero += float(c) * c
            e = float(abs(c) - v * step)
            d += e * e
            q[y0 + y, x0 + x] = v if c >= 0 else -v
    return zero, d


@eb.call
def choose_leaf(
    pricer, buf, m, plane, q, prev, other, rec, inter, mode, y0, y1, x0, x1, klass, small, step, lam, scratch,
    quick, limit,
):  # fmt: skip
    """Choose the levels of a leaf whose `target` is known; returns distortion + lam * bits, without the mode.

    `quick`: round towards zero a little, ask for one price only and do not rebuild; a cost above `limit` need not
    be exact.
    """
    bh, bw = y1 - y0, x1 - x0
    kind = 1 if mode == 0 else 0
    predict_leaf(scratch[0], rec, inter, mode, y0, y1, x0, x1)
    energy = grade_prediction(
        scratch[0], scratch[1], scratch[2], scratch[3], inter, mode, step, y0, y1, x0, x1
    )
    zero, d = _quantise(q, scratch, step * 3 // 10 if quick else step * 2 // 5, step, y0, y1, x0, x1)
    reach = reach_of(q, y0, y1, x0, x1)
    surroundings(scratch[7], q, prev, other, scratch[1], y0, y1, x0, x1, plane, reach)
    best = d + lam * _price(
        pricer,
        buf,
        m,
        q,
        prev,
        other,
        energy,
        y0,
        y1,
        x0,
        x1,
        plane,
        kind,
        klass,
        small,
        scratch,
        limit - d,
        lam,
    )
    if quick:
        return min(best, zero + lam) if reach >= 0 else best
    if reach >= 0:
        best = _thin_out(
            pricer, buf, m, plane, q, prev, other, energy, y0, y1, x0, x1, kind, klass, small, step, lam, scratch,
            best, d, reach,
        )  # fmt: skip
        # Nothing at all?
        keep = scratch[6]
        for y in range(bh):
            for x in range(bw):
                keep[y, x] = q[y0 + y, x0 + x]
                q[y0 + y, x0 + x] = 0
        j = zero + lam * _price(
            pricer,
            buf,
            m,
            q,
            prev,
            other,
            energy,
            y0,
            y1,
            x0,
            x1,
            plane,
            kind,
            klass,
            small,
            scratch,
            1e300,
            lam,
        )
        if j < best:
            best = j
        else:
            for y in range(bh):
                for x in range(bw):
                    q[y0 + y, x0 + x] = keep[y, x]
    rebuild(q, scratch[0], rec, scratch[3], scratch[2], scratch[4], step, y0, y1, x0, x1)
    return best


@eb.call
def _thin_out(
    pricer, buf, m, plane, q, prev, other, energy, y0, y1, x0, x1, kind, klass, small, step, lam, scratch, best, d,
    reach,
):  # fmt: skip
    """Walk from the highest frequency down and take one off a level wherever that pays; returns the cost."""
    coef = scratch[5]
    for s in range(reach, -1, -1):
        for y in range(min(s, y1 - y0 - 1), -1, -1):
            x = s - y
            if x >= x1 - x0:
                break
            v = q[y0 + y, x0 + x]
            while v:
                size = abs(v)
                a = float(abs(coef[y, x]))
                change = (a - (size - 1) * step) ** 2 - (a - size * step) ** 2
                if change > lam * (_WORTH[0] if size == 1 else _WORTH[1]):
                    break
                q[y0 + y, x0 + x] = v - 1 if v > 0 else v + 1
                j = (
                    d
                    + change
                    + lam
                    * _price(
                        pricer, buf, m, q, prev, other, energy, y0, y1, x0, x1, plane, kind, klass, small, scratch,
                        best - d - change, lam,
                    )
                )  # fmt: skip
                if j >= best:
                    q[y0 + y, x0 + x] = v
                    break
                best, d = j, d + change
                v = q[y0 + y, x0 + x]
    return best


@eb.call
def _save(q, rec, keep_q, keep_rec, y0, y1, x0, x1):
    for y in range(y0, y1):
        for x in range(x0, x1):
            keep_q[y - y0, x - x0] = q[y, x]
            keep_rec[y - y0, x - x0] = rec[y, x]


@eb.call
def _restore(q, rec, keep_q, keep_rec, y0, y1, x0, x1):
    for y in range(y0, y1):
        for x in range(x0, x1):
            q[y, x] = keep_q[y - y0, x - x0]
            rec[y, x] = keep_rec[y - y0, x - x0]


@eb.call
def _any(q, y0, y1, x0, x1):
    for y in range(y0, y1):
        for x in range(x0, x1):
            if q[y, x]:
                return True
    return False


@eb.call
def _choose_mode(
    pricer, buf, m, models, modes, i, j, q, prev, org, rec, inter, y0, y1, x0, x1, klass, small, step, lam, scratch
):  # fmt: skip
    """Choose mode and levels of brightness leaf (i, j); returns its cost with the mode's bits."""
    best, chosen, mode_bits = 1e300, 0, 0.0
    first = 1 if klass == 0 else 0
    target(org, scratch, y0, y1, x0, x1)
    for mode in range(first, 5):
        modes[i, j] = mode
        pricer[1] = 0
        code_mode(pricer, buf, models, 0, modes, i, j, klass, klass == 0)
        bits = pricer[1] * _BIT
        cost = lam * bits + choose_leaf(
            pricer, buf, m, BRIGHT, q, prev, q, rec, inter, mode, y0, y1, x0, x1, klass, small, step, lam, scratch,
            YES,
            best - lam * bits,
        )  # fmt: skip
        if cost < best:
            best, chosen, mode_bits = cost, mode, bits
        if mode == 0 and not _any(q, y0, y1, x0, x1):
            break  # motion leaves nothing to code: no other mode is worth trying
    modes[i, j] = chosen
    return lam * mode_bits + choose_leaf(
        pricer,
        buf,
        m,
        BRIGHT,
        q,
        prev,
        q,
        rec,
        inter,
        chosen,
        y0,
        y1,
        x0,
        x1,
        klass,
        small,
        step,
        lam,
        scratch,
        NO,
        1e300,
    )


@eb.call
def choose_square(
    pricer, buf, m, models, i, j, cuts_y, cuts_x, split, modes, q, prev, org, rec, inter, klass, step, lam,
    colour_lam, scratch,
):  # fmt: skip
    """Decide split, modes and levels of square (i, j) of all planes."""
    y0, y1, x0, x1 = cuts_y[i], cuts_y[i + 1], cuts_x[j], cuts_x[j + 1]
    split[i, j] = 0
    pricer[1] = 0
    code_split(pricer, buf, models, 0, split, i, j, klass)
    whole = lam * pricer[1] * _BIT
    split[i, j] = 1
    pricer[1] = 0
    code_split(pricer, buf, models, 0, split, i, j, klass)
    parted = lam * pricer[1] * _BIT
    whole += _choose_mode(
        pricer, buf, m, models, modes, 2 * i, 2 * j, q[0], prev[0], org[0], rec[0], inter[0], y0, y1, x0, x1,
        klass, NO, step, lam, scratch,
    )  # fmt: skip
    mode = modes[2 * i, 2 * j]
    split[i, j] = 0
    if _any(q[0], y0, y1, x0, x1) and y1 - y0 > 1 and x1 - x0 > 1:
        _save(q[0], rec[0], scratch[9], scratch[10], y0, y1, x0, x1)
        for y in range(y0, y1):
            for x in range(x0, x1):
                q[0][y, x] = 0
        for a in range(2):
            for b in range(2):
                ya, yb = y0 + (y1 - y0) * a // 2, y0 + (y1 - y0) * (a + 1) // 2
                xa, xb = x0 + (x1 - x0) * b // 2, x0 + (x1 - x0) * (b + 1) // 2
                parted += _choose_mode(
                    pricer, buf, m, models, modes, 2 * i + a, 2 * j + b, q[0], prev[0], org[0], rec[0], inter[0],
                    ya, yb, xa, xb, klass, YES, step, lam, scratch,
                )  # fmt: skip
                if parted >= whole:
                    break
            if parted >= whole:
                break
        if parted < whole:
            split[i, j] = 1
        else:
            _restore(q[0], rec[0], scratch[9], scratch[10], y0, y1, x0, x1)
    if not split[i, j]:
        for a in range(2):
            for b in range(2):
                modes[2 * i + a, 2 * j + b] = mode
    mode = modes[2 * i, 2 * j]
    y0, y1, x0, x1 = (y0 + 1) // 2, (y1 + 1) // 2, (x0 + 1) // 2, (x1 + 1) // 2
    if y1 > y0 and x1 > x0:
        for p in range(1, 3):
            target(org[p], scratch, y0, y1, x0, x1)
            choose_leaf(
                pricer, buf, m, p, q[p], prev[p], q[p - 1], rec[p], inter[p], mode, y0, y1, x0, x1, klass, NO, step,
                colour_lam, scratch, NO, 1e300,
            )  # fmt: skip
