"""Numbers as people read them."""

import math


def count(value: float) -> str:
    """Return a whole number with separators: 60,000."""
    return f"{int(value):,}"


def counted(value: int, thing: str) -> str:
    """Return a number of things: 1 row, 60,000 rows."""
    return f"{count(value)} {thing}" if value == 1 else f"{count(value)} {thing}s"


def short(value: float, digits: int = 3) -> str:
    """Return a number in five characters or so: 950, 12.3k, 4.56M."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.{digits}g}{unit}"
    return f"{value:.{digits}g}"


def tick(value: float) -> str:
    """Return a round number on an axis: 0.05, 2,000, 12.5k, 2e9."""
    if 0 < abs(value) < 1e-3 or abs(value) >= 1e9:
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return short(value, 6) if abs(value) >= 1e4 else f"{value:,.6g}"


def real(value: float) -> str:
    """Return a measured number with five significant digits."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e7:
        digits = max(0, 4 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    mantissa, exponent = f"{value:.4e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """Return a share of one in percent, so that only 0 and 1 read as 0 % and 100 %."""
    if share in (0, 1):
        return f"{share:.0%}"[:-1] + " %"
    value = 100 * share
    if value < 0.01:
        return "< 0.01 %"
    if value > 99.99:
        return "> 99.99 %"
    return f"{value:.3g} %" if value < 99 else f"{value:.2f} %"


def seconds(value: float) -> str:
    """Return a time: 0.35 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if value < 9.95:
        return f"{value:.2g} s" if value >= 0.001 else "< 1 ms"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(n_bytes: float) -> str:
    """Return a number of bytes: 512 B, 1.5 MB."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{int(n_bytes)} B"
