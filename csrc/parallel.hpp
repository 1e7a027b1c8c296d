// Options of every parallel operation: how many threads to run and when to stop.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#include "pool.hpp"

namespace unsup {

struct Run {
    int threads;
    // Called now and then by the thread that called the operation; true asks it to stop.
    bool (*interrupted)();
};

// One operation's stop flag. Only thread 0 asks, because only it may talk to the interpreter.
class Stop {
  public:
    explicit Stop(const Run& run) : run_(run) {}
    bool poll(int thread) {
        if (thread == 0 && !flag_.load(std::memory_order_relaxed) && run_.interrupted())
            flag_.store(true, std::memory_order_relaxed);
        return requested();
    }
    // Ends the operation with an exception that one of its threads met.
    void fail(std::exception_ptr error) {
        const std::lock_guard<std::mutex> lock(mutex_);
        error_ = error;
        flag_.store(true, std::memory_order_relaxed);
    }
    void rethrow() const {
        if (error_ != nullptr) std::rethrow_exception(error_);
    }
    bool requested() const { return flag_.load(std::memory_order_relaxed); }

  private:
    const Run& run_;
    std::atomic<bool> flag_{false};
    std::mutex mutex_;
    std::exception_ptr error_;
};

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
