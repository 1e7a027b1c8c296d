// What all bindings share: they convert, release the GIL and call. Shapes and types are checked by
// unsup_fast.kernels; the checks here keep a wrong call from touching foreign memory.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "gil.hpp"
#include "dispatch/level.hpp"
#include "memory/mapped.hpp"

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

inline void require_labels(const In<int32_t>& labels, int64_t k) {
    const int32_t* label = labels.data();
    for (py::ssize_t i = 0; i < labels.size(); ++i)
        require(label[i] >= 0 && label[i] < k, "index out of range");
}

void bind_affine(py::module_& m);
void bind_assign(py::module_& m);
void bind_bernoulli(py::module_& m);
void bind_bias_act(py::module_& m);
void bind_covariance(py::module_& m);
void bind_denoise(py::module_& m);
void bind_em(py::module_& m);
void bind_group_norm(py::module_& m);
void bind_half_to_float(py::module_& m);
void bind_kmeans_plusplus(py::module_& m);
void bind_mapped(py::module_& m);
void bind_moments(py::module_& m);
void bind_nearest(py::module_& m);
void bind_noise(py::module_& m);
void bind_prune(py::module_& m);
void bind_randn(py::module_& m);
void bind_totals(py::module_& m);

}  // namespace unsup
