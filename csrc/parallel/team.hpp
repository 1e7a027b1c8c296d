// Threads for work in many short phases, such as the rounds of seed.
//
// A phase is a number of chunks that threads take one by one. It ends when all chunks are done, not
// when all threads have come by: a thread that other work keeps off its core holds up no more than
// the chunk it has taken, where a parallel region for each phase would wait for it each time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "parallel/parallel.hpp"

namespace unsup {

class Team {
  public:
    explicit Team(int64_t chunks) : chunks_(uint64_t(chunks)), ticket_(uint64_t(chunks)) {}

    // Runs body(kind, chunk, 0) for the chunks of one phase, with those that help; kind < 4.
    template <class Body>
    void run(int kind, const Body& body) {
        done_.store(0, std::memory_order_relaxed);
        ticket_.store((uint64_t(++phase_) << 2 | uint64_t(kind)) << 32, std::memory_order_release);
        while (take(body, 0)) {
        }
        for (int idle = 0; done_.load(std::memory_order_acquire) < chunks_;) wait(idle);
    }
    // Takes chunks of all phases until `close`.
    template <class Body>
    void help(const Body& body, int thread) {
        for (int idle = 0; !closed_.load(std::memory_order_acquire);)
            if (take(body, thread))
                idle = 0;
            else
                wait(idle);
    }
    void close() { closed_.store(true, std::memory_order_release); }

  private:
    // The ticket's upper half says which phase it is, the lower which chunk is next. A phase cannot
    // end while a chunk of it is taken, so a late thread works on what its ticket says.
    template <class Body>
    bool take(const Body& body, int thread) {
        constexpr uint64_t lower = 0xffffffff;
        if ((ticket_.load(std::memory_order_relaxed) & lower) >= chunks_) return false;
        const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
        if ((ticket & lower) >= chunks_) return false;
        body(int(ticket >> 32 & 3), int64_t(ticket & lower), thread);
        done_.fetch_add(1, std::memory_order_release);
        return true;
    }
    static void wait(int& idle) {
        if (++idle > 2000) std::this_thread::yield();
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }

    const uint64_t chunks_;
    uint32_t phase_ = 0;
    std::atomic<uint64_t> ticket_;
    std::atomic<uint64_t> done_{0};
    std::atomic<bool> closed_{false};
};

// Calls lead(run) in one thread, while the others help with the phases that run(kind) makes of
// body(kind, chunk, thread). Neither may throw.
template <class Body, class Lead>
void in_phases(int threads, int64_t chunks, const Body& body, const Lead& lead) {
    Team team(chunks);
    in_parallel(threads, [&](int thread) {
        if (thread > 0) return team.help(body, thread);
        lead([&](int kind) { team.run(kind, body); });
        team.close();
    });
}

}  // namespace unsup
