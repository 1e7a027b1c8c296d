// randn, and memory for it.
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <map>
#include <string>

#include "common.hpp"
#include "randn/randn.hpp"

namespace unsup {

void bind_randn(py::module_& m) {
    // The first touch of a page costs more than the numbers in it. The system may refuse.
    m.def(
        "use_huge_pages",
        [](py::array memory) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
            const auto page = uintptr_t(sysconf(_SC_PAGESIZE));
            const auto begin = reinterpret_cast<uintptr_t>(memory.mutable_data());
            const uintptr_t first = (begin + page - 1) / page * page;
            const uintptr_t last = (begin + uintptr_t(memory.nbytes())) / page * page;
            if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
            (void)memory;
#endif
        },
        py::kw_only(), py::arg("memory").noconvert());
    m.def(
        "randn",
        [](const In<uint64_t>& seeds, uint64_t stream, uint64_t first, const std::string& dtype,
           int64_t samples, int64_t channels, int64_t positions, py::array out, int threads) {
            const std::map<std::string, Number> numbers{{"float16", Number::float16},
                                                        {"bfloat16", Number::bfloat16},
                                                        {"float32", Number::float32},
                                                        {"float64", Number::float64}};
            const auto number = numbers.find(dtype);
            require(number != numbers.end(), "dtype: not one of randn's");
            const int64_t bytes = dtype == "float64" ? 8 : dtype == "float32" ? 4 : 2;
            require(out.itemsize() == bytes && out.size() == samples * channels * positions &&
                        (out.flags() & py::array::c_style) != 0,
                    "out: wrong size, type or layout");
            require(seeds.size() == 1 || seeds.size() == samples, "seeds: wrong length");
            const Randn randn{samples, channels, positions,      seeds.size() != 1, seeds.data(),
                              stream,  first,    number->second, out.mutable_data()};
            run_free(threads, [&](const Run& r) { level().randn(randn, r); });
        },
        py::kw_only(), py::arg("seeds").noconvert(), py::arg("stream"), py::arg("first"),
        py::arg("dtype"), py::arg("samples"), py::arg("channels"), py::arg("positions"),
        py::arg("out").noconvert(), py::arg("n_threads"));
}

}  // namespace unsup
