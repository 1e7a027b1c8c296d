// The lowest level with those operations that are linked, and products of bytes from the
// environment, where a build of all operations for an emulated processor would take too long.
#include <cstdlib>

#include "dispatch/level.hpp"
#include "prune/prune.hpp"

namespace unsup {

namespace base {
[[gnu::weak]] void add_assign(Level& level);
[[gnu::weak]] void add_bernoulli(Level& level);
[[gnu::weak]] void add_bias_act(Level& level);
[[gnu::weak]] void add_prune(Level& level);
}  // namespace base

const Level& level() {
    static const Level only = [] {
        Level filled{};
        filled.name = "base";
        for (const auto add :
             {base::add_assign, base::add_bernoulli, base::add_bias_act, base::add_prune})
            if (add != nullptr) add(filled);
        return filled;
    }();
    return only;
}

template <>
const Ops<float>& ops() {
    return level().f32;
}
template <>
const Ops<double>& ops() {
    return level().f64;
}

int byte_products() { return std::atoi(std::getenv("BYTE_PRODUCTS")); }

}  // namespace unsup
