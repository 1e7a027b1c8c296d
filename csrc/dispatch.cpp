#include <cstdlib>
#include <stdexcept>

#include "isa.hpp"

namespace unsup {
namespace {

struct Candidate {
    const char* name;
    bool present;
    Level (*make)();
};

std::vector<Candidate> candidates() {
    std::vector<Candidate> all{{"base", true, level_base}};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
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

Level choose() {
    const char* wanted = std::getenv("UNSUP_FAST_SIMD");
    Level best = level_base();
    const bool automatic = wanted == nullptr || *wanted == '\0';
    for (const auto& candidate : candidates()) {
        if (!candidate.present) continue;
        if (automatic)
            best = candidate.make();
        else if (std::string(wanted) == candidate.name)
            return candidate.make();
    }
    if (automatic) return best;
    throw std::runtime_error("UNSUP_FAST_SIMD=" + std::string(wanted) +
                             " is not a level of this machine; it has " +
                             joined(available_levels()) + "; set one of these, or unset it");
}

}  // namespace

std::vector<std::string> available_levels() {
    std::vector<std::string> names;
    for (const auto& candidate : candidates())
        if (candidate.present) names.emplace_back(candidate.name);
    return names;
}

const Level& level() {
    static const Level chosen = choose();
    return chosen;
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
