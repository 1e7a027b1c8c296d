// The threads that parallel operations share. They are started when first needed, sleep between
// operations, and do not survive a fork: a child starts its own.
#pragma once

namespace unsup {

using Task = void (*)(const void* body, int thread);

// Calls task(body, 0) in the calling thread and task(body, t), 0 < t < threads, each at most once
// in another thread. Calls that have not begun when task(body, 0) returns are dropped, so the
// calling thread alone must be able to do all the work. Any number of threads may call at once;
// they share the workers. Rethrows the first exception of a task, after all tasks have ended.
// Threads that the system refuses are done without.
void run_in_pool(int threads, Task task, const void* body);

// Threads that an operation of the calling thread uses by default: what
// set_default_threads set in this thread, else OMP_NUM_THREADS, else the CPUs of the process.
int default_threads();
void set_default_threads(int threads);

// The number of forks between the first process that loaded this and the present one.
int forks();

}  // namespace unsup
