// Rows as operations on centroids take them, dense and CSR.
#pragma once

#include "common.hpp"
#include "assign/assign.hpp"

namespace unsup {

// A CSR matrix whose indices are known to lie inside it.
template <class T, class I>
Csr<T> csr(const In<T>& data, const In<I>& indices, const In<I>& indptr, int64_t columns) {
    require(indptr.size() >= 1 && indices.size() == data.size(), "malformed CSR matrix");
    const I* p = indptr.data();
    require(p[0] >= 0 && int64_t(p[indptr.size() - 1]) <= data.size(), "malformed CSR indptr");
    for (py::ssize_t i = 0; i + 1 < indptr.size(); ++i)
        require(p[i] <= p[i + 1], "malformed CSR indptr");
    const I* index = indices.data();
    for (py::ssize_t i = 0; i < indices.size(); ++i)
        require(index[i] >= 0 && int64_t(index[i]) < columns, "CSR column index out of range");
    Csr<T> out{data.data(), nullptr, nullptr, nullptr, nullptr};
    if constexpr (sizeof(I) == 4) {
        out.indices32 = index;
        out.indptr32 = p;
    } else {
        out.indices64 = index;
        out.indptr64 = p;
    }
    return out;
}

template <class T>
AssignIn<T> rows(const In<T>& x, const In<T>& centers, const In<T>& shift) {
    require(x.ndim() == 2 && centers.ndim() == 2 && x.shape(1) == centers.shape(1) &&
                x.shape(1) >= 1 && centers.shape(0) >= 1 && shift.size() == x.shape(1),
            "X, centers and shift must have equal numbers of columns");
    return {x.shape(0),     x.shape(1), centers.shape(0), x.data(),
            centers.data(), nullptr,    shift.data()};
}

}  // namespace unsup
