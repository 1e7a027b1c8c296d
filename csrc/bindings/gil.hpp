// The interpreter's lock (GIL), released while an operation runs.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <chrono>

#include "parallel/pool.hpp"

namespace unsup {

// Takes the GIL. A daemon thread never gets it while the interpreter ends: Python 3.14 lets the
// thread sleep; earlier versions call pthread_exit, whose unwinding through C++ destructors would
// abort the process, so the thread sleeps here.
inline void take_gil(PyThreadState* state) {
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        for (;;) pause();
    }
}

// Releases the GIL for as long as it lives.
class WithoutGil {
  public:
    WithoutGil() : outer_(state()) { state() = PyEval_SaveThread(); }
    ~WithoutGil() {
        take_gil(state());
        state() = outer_;
    }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    // The state of this thread, which has released the GIL.
    static PyThreadState*& state() {
        static thread_local PyThreadState* released = nullptr;
        return released;
    }

  private:
    PyThreadState* const outer_;
};

// Whether a signal handler of Python wants the operation to stop; it looks ten times a second.
inline bool interrupted() {
    static thread_local auto last = std::chrono::steady_clock::time_point();
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(100)) return false;
    last = now;
    PyThreadState* const released = WithoutGil::state();
    take_gil(released);
    const int generation = forks();
    bool stop = PyErr_CheckSignals() != 0;
    if (!stop && forks() != generation) {
        PyErr_SetString(PyExc_RuntimeError, "a signal handler forked inside an operation");
        stop = true;
    }
    PyEval_SaveThread();
    return stop;
}

}  // namespace unsup
