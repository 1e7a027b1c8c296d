# cython: language_level=3, boundscheck=False, wraparound=False
"""LAPACK's symmetric eigensolver in steps, from SciPy, without the GIL.

`dsyevr` decides what it computes before it starts. In steps, all eigenvalues are known before the
number of eigenvectors must be.
"""

from scipy.linalg.cython_lapack cimport dormtr, dstemr, dsterf, dsytrd


def tridiagonalise(double[:, ::1] a, double[::1] diagonal, double[::1] off_diagonal,
                   double[::1] tau, double[::1] work):
    """a [N, N] = Q T Q^T in place: Q as reflectors in a and tau [N], T as two diagonals [N]."""
    cdef int n = a.shape[0], lwork = work.shape[0], info = 0
    with nogil:
        dsytrd(b"L", &n, &a[0, 0], &n, &diagonal[0], &off_diagonal[0], &tau[0], &work[0],
               &lwork, &info)
    return info


def eigenvalues(double[::1] diagonal, double[::1] off_diagonal):
    """Eigenvalues of T, ascending, in place of the diagonal."""
    cdef int n = diagonal.shape[0], info = 0
    with nogil:
        dsterf(&n, &diagonal[0], &off_diagonal[0], &info)
    return info


def eigenvectors(double[:, ::1] a, double[::1] diagonal, double[::1] off_diagonal, double[::1] tau,
                 double[::1] values, double[:, ::1] vectors, int[::1] support, double[::1] work,
                 int[::1] iwork):
    """The last K eigenpairs: values [N], vectors [K, N] by rows, ascending; overwrites T."""
    cdef int n = a.shape[0], k = vectors.shape[0], first = n - k + 1, count = 0, info = 0
    cdef int lwork = work.shape[0], liwork = iwork.shape[0]
    cdef double unused = 0
    cdef bint tryrac = True
    with nogil:
        dstemr(b"V", b"I", &n, &diagonal[0], &off_diagonal[0], &unused, &unused, &first, &n, &count,
               &values[0], &vectors[0, 0], &n, &k, &support[0], &tryrac, &work[0], &lwork,
               &iwork[0], &liwork, &info)
        if info == 0 and count == k:
            dormtr(b"L", b"L", b"N", &n, &k, &a[0, 0], &n, &tau[0], &vectors[0, 0], &n, &work[0],
                   &lwork, &info)
    return info if count == k else -1
