#include <cstdlib>
#include <stdexcept>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "isa.hpp"

namespace unsup {
namespace {

struct Candidate {
    const char* name;
    bool present;
    Level (*make)();
};

#if defined(__x86_64__)
// Not every compiler's __builtin_cpu_supports knows this one.
bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

std::vector<Candidate> candidates() {
    std::vector<Candidate> all{{"base", true, level_base}};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && has_f16c();
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    all.push_back({"v3", v3, level_v3});
    all.push_back({"v4", v4, level_v4});
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
    Level best = level_base();
    for (const auto& candidate : candidates()) {
        if (!candidate.present) continue;
        if (wanted.empty())
            best = candidate.make();
        else if (wanted == candidate.name)
            return candidate.make();
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

bool has_byte_products() {
#if defined(__x86_64__)
    static const bool present = __builtin_cpu_supports("avx512vnni");
    return present && level().name == std::string("v4");
#else
    return false;
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
