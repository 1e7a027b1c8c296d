// The table of operations that each instruction-set level fills, and the choice among the levels.
#pragma once

#include <string>
#include <vector>

#include "affine.hpp"
#include "assign.hpp"
#include "em.hpp"
#include "covariance.hpp"
#include "denoise.hpp"
#include "group_norm.hpp"
#include "moments.hpp"
#include "noise.hpp"
#include "prune.hpp"
#include "randn.hpp"
#include "seed.hpp"
#include "widen.hpp"

namespace unsup {

template <class T>
struct Ops {
    void (*assign)(const AssignIn<T>&, AssignOut<T>&, Totals*, const Run&);
    void (*assign_csr)(const AssignIn<T>&, const Csr<T>&, AssignOut<T>&, const Run&);
    void (*prune)(const AssignIn<T>&, Bounds<T>&, int32_t*, int64_t*, Totals*, const Run&);
    void (*means)(const Means<T>&, const Totals&, const Run&);
    void (*project)(const Project<T>&, const Run&);
    void (*encode)(const Encode<T>&, const Run&);
    void (*moments)(Moments<T>&, const Run&);
    void (*covariance)(const Covariance<T>&, const Run&);
    void (*affine)(const Affine<T>&, const Run&);
    void (*seed)(const Seed<T>&, const Run&);
    void (*seed_csr)(const Seed<T>&, const Csr<T>&, const Run&);
    void (*seed_rounds)(SeedRounds<T>&, const Run&);
    void (*em)(const EmIn<T>&, EmOut<T>&, const Run&);
    T (*spread)(const T* x, int64_t n, int64_t d, int64_t origin, const Run&);
};

struct Level {
    const char* name;
    Ops<float> f32;
    Ops<double> f64;
    void (*widen)(const Widen&);
    void (*randn)(const Randn&, const Run&);
    void (*noise)(const Noise&, const Run&);
    void (*denoise)(const Denoise&, const Run&);
    void (*group_norm)(const GroupNorm&, const Run&);
};

Level level_base();
Level level_v3();
Level level_v4();

// Names of the levels this machine has, lowest first.
std::vector<std::string> available_levels();

// The level in use: UNSUP_FAST_SIMD, or the highest that the machine has.
// Throws std::runtime_error if UNSUP_FAST_SIMD names an unknown or a missing level.
const Level& level();

// Switches to a named level, for tests and benchmarks; not while an operation runs.
void use_level(const std::string& name);

template <class T>
const Ops<T>& ops();

}  // namespace unsup
