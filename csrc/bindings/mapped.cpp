// Maps of files that may shrink while they are read.
#include "common.hpp"

namespace unsup {

void bind_mapped(py::module_& m) {
    m.def(
        "watch",
        [](uintptr_t begin, size_t bytes, const std::string& path) {
            return watch(reinterpret_cast<const void*>(begin), bytes, path);
        },
        py::arg("begin"), py::arg("bytes"), py::arg("path"));
    m.def("unwatch", &unwatch, py::arg("number"));
    m.def(
        "refuse_shrunk",
        [](uintptr_t address) { refuse_shrunk(reinterpret_cast<const void*>(address)); },
        py::arg("address"));
}

}  // namespace unsup
