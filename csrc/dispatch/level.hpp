// The table of operations that each instruction-set level fills, and the choice among the levels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/run.hpp"

namespace unsup {

// In <op>/<op>.hpp.
template <class T>
struct Affine;
template <class T>
struct AssignIn;
template <class T>
struct AssignOut;
template <class T>
struct Bounds;
template <class T>
struct Covariance;
template <class T>
struct Csr;
template <class T>
struct EmIn;
template <class T>
struct EmOut;
template <class T>
struct Encode;
template <class T>
struct KMeansPlusPlus;
template <class T>
struct KMeansPlusPlusRounds;
template <class T>
struct Means;
template <class T>
struct Moments;
template <class T>
struct NearestOut;
template <class T>
struct Project;
struct Bernoulli;
struct BernoulliLogProb;
struct BiasAct;
struct Denoise;
struct GroupNorm;
struct HalfToFloat;
struct Noise;
struct Randn;
struct Totals;

template <class T>
struct Ops {
    void (*assign)(const AssignIn<T>&, AssignOut<T>&, Totals*, const Run&);
    void (*assign_csr)(const AssignIn<T>&, const Csr<T>&, AssignOut<T>&, const Run&);
    void (*nearest)(const AssignIn<T>&, const NearestOut<T>&, const Run&);
    void (*prune)(const AssignIn<T>&, Bounds<T>&, int32_t*, int64_t*, Totals*, const Run&);
    void (*means)(const Means<T>&, const Totals&, const Run&);
    void (*project)(const Project<T>&, const Run&);
    void (*encode)(const Encode<T>&, const Run&);
    void (*moments)(Moments<T>&, const Run&);
    void (*covariance)(const Covariance<T>&, const Run&);
    void (*affine)(const Affine<T>&, const Run&);
    void (*kmeans_plusplus)(const KMeansPlusPlus<T>&, const Run&);
    void (*kmeans_plusplus_csr)(const KMeansPlusPlus<T>&, const Csr<T>&, const Run&);
    void (*kmeans_plusplus_rounds)(KMeansPlusPlusRounds<T>&, const Run&);
    void (*em)(const EmIn<T>&, EmOut<T>&, const Run&);
    T (*spread)(const T* x, int64_t n, int64_t d, int64_t origin, const Run&);
};

struct Level {
    const char* name;
    Ops<float> f32;
    Ops<double> f64;
    void (*half_to_float)(const HalfToFloat&);
    void (*randn)(const Randn&, const Run&);
    void (*noise)(const Noise&, const Run&);
    void (*denoise)(const Denoise&, const Run&);
    void (*group_norm)(const GroupNorm&, const Run&);
    void (*bernoulli)(const Bernoulli&, const Run&);
    void (*bernoulli_log_prob)(const BernoulliLogProb&, const Run&);
    void (*bias_act)(const BiasAct&, const Run&);
};

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
