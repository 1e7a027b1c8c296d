"""Places of the coefficients in a row of a sampler's table."""

GUIDANCE = 0
X0_X, X0_OUTPUT = 1, 2
CLIP = 3  # infinity: none
KEEP_X, KEEP_X0 = 4, 5
NEXT_X, NEXT_KEEP, NEXT_ANCHOR = 6, 7, 8
NEXT_HISTORY = 9  # and the next three
NEXT_NOISE = 13
ANCHOR_X, ANCHOR_KEEP, ANCHOR_ANCHOR = 14, 15, 16
ANCHOR_HISTORY = 17  # and the next three
N_HISTORY = 4
N_TERMS = 21
