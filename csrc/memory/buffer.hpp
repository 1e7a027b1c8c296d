// Cache-line aligned arrays, allocated before a parallel region so that a failure can be reported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace unsup {

template <class T>
T* allocate(int64_t count) {
    return static_cast<T*>(::operator new(size_t(count) * sizeof(T), std::align_val_t(64)));
}
struct Free {
    void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};
template <class T>
using Buffer = std::unique_ptr<T[], Free>;
template <class T>
Buffer<T> buffer(int64_t count, T value) {
    Buffer<T> b(allocate<T>(count));
    for (int64_t i = 0; i < count; ++i) b[size_t(i)] = value;
    return b;
}

}  // namespace unsup
