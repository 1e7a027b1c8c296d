// The table of each instruction-set level, filled in by <op>/<op>.cpp, and the choice among them.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "dispatch/level.cpp"
#include "simd/foreach_target.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "dispatch/level.hpp"
#include "prune/prune.hpp"
#include "simd/target-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_affine(Level& level);
void add_assign(Level& level);
void add_bernoulli(Level& level);
void add_bias_act(Level& level);
void add_covariance(Level& level);
void add_denoise(Level& level);
void add_em(Level& level);
void add_group_norm(Level& level);
void add_half_to_float(Level& level);
void add_kmeans_plusplus(Level& level);
void add_moments(Level& level);
void add_nearest(Level& level);
void add_noise(Level& level);
void add_prune(Level& level);
void add_randn(Level& level);
void add_totals(Level& level);

static Level all_operations(const char* name) {
    Level level{};
    level.name = name;
    add_affine(level);
    add_assign(level);
    add_bernoulli(level);
    add_bias_act(level);
    add_covariance(level);
    add_denoise(level);
    add_em(level);
    add_group_norm(level);
    add_half_to_float(level);
    add_kmeans_plusplus(level);
    add_moments(level);
    add_nearest(level);
    add_noise(level);
    add_prune(level);
    add_randn(level);
    add_totals(level);
    return level;
}

}  // namespace UNSUP_ISA
}  // namespace unsup

#if UNSUP_ONCE
namespace unsup {
namespace {

struct Candidate {
    const char* name;
    bool present;
    Level (*make)(const char* name);
};

#if UNSUP_TARGET == UNSUP_TARGET_V4  // the highest
// Not every compiler's __builtin_cpu_supports knows this one.
bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

#if defined(__x86_64__)
bool has_avx_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}
#endif

std::vector<Candidate> candidates() {
    std::vector<Candidate> all{{"base", true, base::all_operations}};
#if UNSUP_TARGET == UNSUP_TARGET_V4  // the highest
    __builtin_cpu_init();
    const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi2") && has_f16c();
    const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    all.push_back({"v3", has_v3, v3::all_operations});
    all.push_back({"v4", has_v4, v4::all_operations});
#endif
    return all;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

// The named level, or the highest present if the name is empty.
Level find(const std::string& wanted, const std::string& asked_by) {
    Level best = base::all_operations("base");
    for (const auto& candidate : candidates()) {
        if (!candidate.present) continue;
        if (wanted.empty())
            best = candidate.make(candidate.name);
        else if (wanted == candidate.name)
            return candidate.make(candidate.name);
    }
    if (wanted.empty()) return best;
    throw std::runtime_error(asked_by + "=" + wanted + " is not a level of this machine; it has " +
                             joined(available_levels()) + "; pass one of these, or none");
}

Level& chosen() {
    const char* wanted = std::getenv("UNSUP_FAST_SIMD");
    static Level level = find(wanted == nullptr ? "" : wanted, "UNSUP_FAST_SIMD");
    return level;
}

}  // namespace

std::vector<std::string> available_levels() {
    std::vector<std::string> names;
    for (const auto& candidate : candidates())
        if (candidate.present) names.emplace_back(candidate.name);
    return names;
}

const Level& level() { return chosen(); }

void use_level(const std::string& name) { chosen() = find(name, "level"); }

int byte_products() {
#if defined(__x86_64__)
    static const bool avx512 = __builtin_cpu_supports("avx512vnni"), avx = has_avx_vnni();
    const std::string name = level().name;
    if (name == "base") return 1;
    return (name == "v4" ? avx512 : avx) ? 4 : 2;
#elif defined(__linux__) && defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? 4 : 1;
#elif defined(__APPLE__) && defined(__aarch64__)
    return 4;  // all processors of this make
#else
    return 1;
#endif
}

template <>
const Ops<float>& ops() {
    return level().f32;
}
template <>
const Ops<double>& ops() {
    return level().f64;
}

}  // namespace unsup

#endif
