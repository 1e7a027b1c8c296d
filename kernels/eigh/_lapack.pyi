"""LAPACK's symmetric eigensolver in steps; call it through `unsup_fast.kernels.eigh`."""

import numpy as np
import numpy.typing as npt

_Doubles = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int32]

def tridiagonalise(
    a: _Doubles, diagonal: _Doubles, off_diagonal: _Doubles, tau: _Doubles, work: _Doubles
) -> int: ...
def eigenvalues(diagonal: _Doubles, off_diagonal: _Doubles) -> int: ...
def eigenvectors(
    a: _Doubles,
    diagonal: _Doubles,
    off_diagonal: _Doubles,
    tau: _Doubles,
    values: _Doubles,
    vectors: _Doubles,
    support: _Ints,
    work: _Doubles,
    iwork: _Ints,
) -> int: ...
