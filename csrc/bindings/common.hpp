// What all bindings share: they convert, release the GIL and call. Shapes and types are checked by
// unsup_fast.kernels; the checks here keep a wrong call from touching foreign memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>

#include "gil.hpp"
#include "affine/affine.hpp"
#include "assign/assign.hpp"
#include "covariance/covariance.hpp"
#include "denoise/denoise.hpp"
#include "dispatch/level.hpp"
#include "em/em.hpp"
#include "group_norm/group_norm.hpp"
#include "half_to_float/half_to_float.hpp"
#include "kmeans_plusplus/kmeans_plusplus.hpp"
#include "memory/mapped.hpp"
#include "moments/moments.hpp"
#include "noise/noise.hpp"
#include "prune/prune.hpp"
#include "randn/randn.hpp"
#include "totals/totals.hpp"

namespace py = pybind11;

namespace unsup {

template <class T>
using In = py::array_t<T, py::array::c_style>;
template <class T>
using MaybeIn = std::optional<In<T>>;

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Throws OSError if the address lies in a watched map of a file that has shrunk.
inline void refuse_shrunk(const void* rows) {
    const std::string path = shrunk(rows);
    if (path.empty()) return;
    const std::string message =
        path + ": became shorter while it was read; leave it as it is while it is in use";
    PyErr_SetString(PyExc_OSError, message.c_str());
    throw py::error_already_set();
}

// Runs an operation without the GIL. `rows` is an address in what it reads: where that is a map of
// a file that has shrunk, the results are useless.
template <class F>
void run_free(int threads, const F& body, const void* rows = nullptr) {
    require(threads >= 1, "n_threads must be at least 1");
    const Run run{threads, interrupted};
    {
        const WithoutGil released;
        body(run);
    }
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    refuse_shrunk(rows);
}

template <class T>
const T* data_or_null(const MaybeIn<T>& a, py::ssize_t size, const char* message) {
    if (!a) return nullptr;
    require(a->size() == size, message);
    return a->data();
}

template <class T>
T* out_or_null(std::optional<In<T>>& a, py::ssize_t size, const char* message) {
    if (!a) return nullptr;
    require(a->size() == size, message);
    return a->mutable_data();
}

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

inline void require_labels(const In<int32_t>& labels, int64_t k) {
    const int32_t* label = labels.data();
    for (py::ssize_t i = 0; i < labels.size(); ++i)
        require(label[i] >= 0 && label[i] < k, "index out of range");
}

template <class T>
AssignIn<T> rows(const In<T>& x, const In<T>& centers, const In<T>& shift) {
    require(x.ndim() == 2 && centers.ndim() == 2 && x.shape(1) == centers.shape(1) &&
                x.shape(1) >= 1 && centers.shape(0) >= 1 && shift.size() == x.shape(1),
            "X, centers and shift must have equal numbers of columns");
    return {x.shape(0),     x.shape(1), centers.shape(0), x.data(),
            centers.data(), nullptr,    shift.data()};
}

void bind_affine(py::module_& m);
void bind_assign(py::module_& m);
void bind_covariance(py::module_& m);
void bind_denoise(py::module_& m);
void bind_em(py::module_& m);
void bind_group_norm(py::module_& m);
void bind_half_to_float(py::module_& m);
void bind_kmeans_plusplus(py::module_& m);
void bind_mapped(py::module_& m);
void bind_moments(py::module_& m);
void bind_noise(py::module_& m);
void bind_prune(py::module_& m);
void bind_randn(py::module_& m);
void bind_totals(py::module_& m);

}  // namespace unsup
