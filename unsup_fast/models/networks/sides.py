"""The sides of pictures at the resolutions of a network."""


def halved(sides: tuple[int, ...], largest: int) -> list[tuple[int, int]]:
    """Return (height, width) at each resolution: halved while even, until both are <= `largest`.

    Raises
    ------
    ValueError
        If the sides cannot be halved once.
    """
    height, width = sides
    levels = [(height, width)]
    while max(levels[-1]) > largest and not (levels[-1][0] % 2 or levels[-1][1] % 2):
        levels.append((levels[-1][0] // 2, levels[-1][1] // 2))
    if len(levels) == 1:
        raise ValueError(
            f"sides {height} x {width} cannot be halved, or are at most {largest} already; pass "
            f"pictures with even sides above {largest}"
        )
    return levels
