#include "parallel/pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>

namespace unsup {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread that waits looks for a change before it sleeps. To wake it takes some 50 us,
// in which an operation of 100 us would go without it.
constexpr std::chrono::microseconds kSpin{200};
constexpr size_t kStack = size_t(4) << 20;  // bytes; the default of some systems is a few KiB

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits until ready() or for kSpin.
template <class Ready>
bool spin(const Ready& ready) {
    const auto end = Clock::now() + kSpin;
    do {
        for (int i = 0; i < 32; ++i) {
            if (ready()) return true;
            relax();
        }
    } while (Clock::now() < end);
    return ready();
}

int positive(const char* name, int otherwise) {
    const char* text = std::getenv(name);
    if (text == nullptr) return otherwise;
    const long value = std::strtol(text, nullptr, 10);  // of a list, the first
    return value < 1 ? otherwise : int(std::min<long>(value, 1 << 20));
}

int cpus() { return std::max(1, int(std::thread::hardware_concurrency())); }

struct Job {
    Task task;
    const void* body;
    int threads;
    int next = 1;                        // the number of the next thread that joins
    std::atomic<int> running{0};         // workers that have joined and not ended
    std::exception_ptr error = nullptr;  // the first
    Job* after = nullptr;                // the next in the queue
};

class Pool {
  public:
    void run(Job& job) {
        const int generation = forks();
        enter(job);
        const std::exception_ptr error = call(job, 0);
        if (forks() != generation)  // a signal handler forked while this thread was in `task`
            throw std::runtime_error("the process was forked inside an operation");
        leave(job);
        if (error != nullptr) std::rethrow_exception(error);
        if (job.error != nullptr) std::rethrow_exception(job.error);
    }

  private:
    static std::exception_ptr call(const Job& job, int thread) {
        try {
            job.task(job.body, thread);
        } catch (...) {
            return std::current_exception();
        }
        return nullptr;
    }

    void enter(Job& job) {
        const int wanted = job.threads - 1;
        int asleep = 0;
        bool all = false;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            Job** last = &first_;
            while (*last != nullptr) last = &(*last)->after;
            *last = &job;
            while (workers_ < wanted && start_worker()) ++workers_;
            asleep = std::min(wanted, sleeping_);
            all = asleep == sleeping_;
        }
        open_.fetch_add(wanted);  // not before the mutex is free for those who look for it
        if (all)
            work_.notify_all();
        else
            for (int i = 0; i < asleep; ++i) work_.notify_one();
    }

    // Takes the job from the queue, and waits for the workers that have joined it.
    void leave(Job& job) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (job.next < job.threads) {
                open_.fetch_sub(job.threads - job.next, std::memory_order_relaxed);
                remove(job);
            }
        }
        const auto ended = [&] { return job.running.load(std::memory_order_acquire) == 0; };
        if (ended() || spin(ended)) return;
        std::unique_lock<std::mutex> lock(mutex_);
        ++waiting_;
        done_.wait(lock, ended);
        --waiting_;
    }

    void remove(Job& job) {
        Job** link = &first_;
        while (*link != &job) link = &(*link)->after;
        *link = job.after;
    }

    // Joins the first job of the queue; null if there is none.
    Job* join(int& thread) {
        Job* job = first_;
        if (job == nullptr) return nullptr;
        thread = job->next++;
        open_.fetch_sub(1, std::memory_order_relaxed);
        job->running.fetch_add(1, std::memory_order_relaxed);
        if (job->next == job->threads) remove(*job);
        return job;
    }

    [[noreturn]] void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            int thread = 0;
            Job* job = join(thread);
            if (job == nullptr) {
                const bool alone = workers_ < cpus_;
                lock.unlock();
                const bool any = alone && spin([&] { return open_.load() > 0; });
                lock.lock();
                if (any) continue;
                ++sleeping_;
                work_.wait(lock, [&] { return first_ != nullptr; });
                --sleeping_;
                continue;
            }
            lock.unlock();
            const std::exception_ptr error = call(*job, thread);
            lock.lock();
            if (error != nullptr && job->error == nullptr) job->error = error;
            // The job may be destroyed once nobody runs it.
            if (job->running.fetch_sub(1, std::memory_order_release) == 1 && waiting_ > 0)
                done_.notify_all();
        }
    }

    // Signals are left to the user's threads, but for those that tell of a fault.
    bool start_worker() {
        sigset_t all, before;
        sigfillset(&all);
        for (int fault : {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SIGABRT})
            sigdelset(&all, fault);
        pthread_attr_t attributes;
        if (pthread_attr_init(&attributes) != 0) return false;
        pthread_attr_setstacksize(&attributes, kStack);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread;
        const auto main = [](void* pool) -> void* { static_cast<Pool*>(pool)->work(); };
        const int refused = pthread_create(&thread, &attributes, main, this);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        pthread_attr_destroy(&attributes);
        return refused == 0;
    }

    const int cpus_ = cpus();
    std::mutex mutex_;
    std::condition_variable work_, done_;
    Job* first_ = nullptr;      // jobs that more threads may join
    std::atomic<int> open_{0};  // how many threads may
    int workers_ = 0, sleeping_ = 0, waiting_ = 0;
};

// Never destroyed, as workers use it to the last. After a fork its mutex may be held by a thread
// that the child does not have; the child makes it anew in the same memory.
alignas(Pool) unsigned char memory[sizeof(Pool)];
int fork_count = 0;
Pool* make_pool() { return new (memory) Pool; }
Pool* const pool = [] {
    pthread_atfork(nullptr, nullptr, [] {
        ++fork_count;
        make_pool();
    });
    return make_pool();
}();

const int most_threads = positive("OMP_THREAD_LIMIT", 1 << 20);
const int initial_threads = positive("OMP_NUM_THREADS", cpus());
thread_local int threads_of_caller = 0;

}  // namespace

int forks() { return fork_count; }

void run_in_pool(int threads, Task task, const void* body) {
    threads = std::min(threads, most_threads);
    if (threads <= 1) return task(body, 0);
    Job job{task, body, threads};
    pool->run(job);
}

int default_threads() {
    return std::min(threads_of_caller > 0 ? threads_of_caller : initial_threads, most_threads);
}
void set_default_threads(int threads) { threads_of_caller = std::max(1, threads); }

}  // namespace unsup

// For threadpoolctl.
extern "C" {
__attribute__((visibility("default"))) int unsup_fast_get_num_threads() {
    return unsup::default_threads();
}
__attribute__((visibility("default"))) void unsup_fast_set_num_threads(int threads) {
    unsup::set_default_threads(threads);
}
}
