// Every header that the -inl.h bodies need, included before the instruction set is raised.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "buffer.hpp"
#include "isa.hpp"
#include "simd.hpp"
#include "team.hpp"
