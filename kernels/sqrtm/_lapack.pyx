# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the square root's trace takes of LAPACK, from SciPy, without the GIL.

Matrices are C-contiguous: a triangle that LAPACK calls lower is the upper one of the rows here.
Passes over a and its transpose go by tiles of 64 x 64, which stay in cache.
"""

from libc.math cimport fabs, isfinite
from scipy.linalg.cython_blas cimport dtrmm
from scipy.linalg.cython_lapack cimport dgesdd, dpotrf, dpstrf, dsterf, dsygst, dsytrd

def inspect(const double[:, ::1] a, double[::1] extremes):
    """Largest magnitude, and largest |a_ij - a_ji|, of a [N, N] into extremes [2]; is a finite?"""
    cdef int n = a.shape[0], i, j, top, left
    cdef double largest = 0, skew = 0, total = 0
    with nogil:
        for top in range(0, n, 64):
            for left in range(top, n, 64):
                for i in range(top, min(top + 64, n)):
                    for j in range(max(left, i), min(left + 64, n)):
                        total += 0 * a[i, j] + 0 * a[j, i]
                        largest = max(largest, fabs(a[i, j]), fabs(a[j, i]))
                        skew = max(skew, fabs(a[i, j] - a[j, i]))
    extremes[0] = largest
    extremes[1] = skew
    return bool(isfinite(total))


def halve(const double[:, ::1] a, double scale, double[:, ::1] out):
    """out [N, N] = scale (a + a^T) / 2, which is a scale where a is exactly symmetric."""
    cdef int n = a.shape[0], i, j, top, left
    with nogil:
        for top in range(0, n, 64):
            for left in range(top, n, 64):
                for i in range(top, min(top + 64, n)):
                    for j in range(max(left, i), min(left + 64, n)):
                        out[i, j] = out[j, i] = 0.5 * (scale * a[i, j]) + 0.5 * (scale * a[j, i])


def cholesky(double[:, ::1] a):
    """a [N, N] = U^T U: U in the upper triangle in place, the other one as it was."""
    cdef int n = a.shape[0], info = 0
    with nogil:
        dpotrf(b"L", &n, &a[0, 0], &n, &info)
    return info


def pivoted(double[:, ::1] a, double tolerance, int[::1] pivots, double[::1] work):
    """P^T a P = U^T U for U [rank, N] in the upper triangle in place; pivots [N] count from 1."""
    cdef int n = a.shape[0], rank = 0, info = 0
    with nogil:
        dpstrf(b"L", &n, &a[0, 0], &n, &pivots[0], &rank, &tolerance, &work[0], &info)
    return rank if info >= 0 else info


def congruent(double[:, ::1] a, double[:, ::1] u):
    """a [N, N] = U a U^T in place, in the upper triangle."""
    cdef int n = a.shape[0], itype = 2, info = 0
    with nogil:
        dsygst(&itype, b"L", &n, &a[0, 0], &n, &u[0, 0], &n, &info)
    return info


def eigenvalues(double[:, ::1] a, double[::1] values, double[::1] off_diagonal, double[::1] tau,
                double[::1] work):
    """Eigenvalues [N], ascending, of a in whose upper triangle alone is read; overwrites it."""
    cdef int n = a.shape[0], lwork = work.shape[0], info = 0
    with nogil:
        dsytrd(b"L", &n, &a[0, 0], &n, &values[0], &off_diagonal[0], &tau[0], &work[0],
               &lwork, &info)
        if info == 0:
            dsterf(&n, &values[0], &off_diagonal[0], &info)
    return info


def triangular_product(double[:, ::1] u, double[:, ::1] v):
    """v [N, N] = V U^T in place, for upper triangular U and V; only v must be zero below."""
    cdef int n = u.shape[0]
    cdef double one = 1
    with nogil:
        dtrmm(b"L", b"L", b"T", b"N", &n, &n, &one, &u[0, 0], &n, &v[0, 0], &n)


def singular_values(double[:, ::1] a, double[::1] values, double[::1] work, int[::1] iwork):
    """Singular values [min(N, M)], descending, of a [N, M], which is overwritten."""
    cdef int m = a.shape[1], n = a.shape[0], one = 1, lwork = work.shape[0], info = 0
    cdef double unused = 0
    with nogil:
        dgesdd(b"N", &m, &n, &a[0, 0], &m, &values[0], &unused, &one, &unused, &one, &work[0],
               &lwork, &iwork[0], &info)
    return info
