// Loops over the threads of the pool.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "parallel/pool.hpp"

namespace unsup {

// Calls body(thread) in `threads` threads at most: in thread 0, which is the calling one, and in
// others that join before that call returns. So body(0) alone must be able to do all the work.
template <class Body>
void in_parallel(int threads, const Body& body) {
    if (threads <= 1) return body(0);
    const Task task = [](const void* shared, int thread) {
        (*static_cast<const Body*>(shared))(thread);
    };
    run_in_pool(threads, task, &body);
}

// Calls body(begin, end) for equal parts of [0, count), one for each thread, but each of at least
// `least`. Threads take them one by one, as fewer may join than were asked for.
template <class Body>
void in_parts(int threads, int64_t count, int64_t least, const Body& body) {
    const int parts = int(std::max<int64_t>(1, std::min<int64_t>(threads, count / least)));
    std::atomic<int> next{0};
    in_parallel(parts, [&](int) {
        for (int part; (part = next.fetch_add(1)) < parts;)
            body(part * count / parts, (part + 1) * count / parts);
    });
}

}  // namespace unsup
