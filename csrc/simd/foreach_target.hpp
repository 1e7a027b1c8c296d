// Compiles a file once for each instruction-set level of the architecture. The file begins with
//
//   #undef UNSUP_TARGET_INCLUDE
//   #define UNSUP_TARGET_INCLUDE "<path of the file>"
//   #include "simd/foreach_target.hpp"
//
// and is included here once for each level but the highest, for which the compiler then reads it to
// its end. What must stand in the program once goes between #if UNSUP_ONCE and #endif. An editor
// (clangd, by compile_flags.txt) cannot read a file that includes itself: it sees the lowest level.
#ifndef UNSUP_TARGET_INCLUDE
#error "UNSUP_TARGET_INCLUDE is the path of the file to compile for each level"
#endif

#ifndef UNSUP_SIMD_FOREACH_TARGET_HPP_
#define UNSUP_SIMD_FOREACH_TARGET_HPP_

#define UNSUP_ONCE 0

#if defined(__x86_64__) && !defined(UNSUP_EDITOR)
#define UNSUP_TARGET UNSUP_TARGET_BASE
#include UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_TOGGLE
#undef UNSUP_TARGET
#define UNSUP_TARGET UNSUP_TARGET_V3
#include UNSUP_TARGET_INCLUDE
#undef UNSUP_TARGET_TOGGLE
#undef UNSUP_TARGET
#define UNSUP_TARGET UNSUP_TARGET_V4
#endif

#undef UNSUP_ONCE
#define UNSUP_ONCE 1

#endif
