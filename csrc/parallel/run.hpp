// Options of every parallel operation: how many threads to run and when to stop.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>

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

}  // namespace unsup
