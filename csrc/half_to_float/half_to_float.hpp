// widen: float16 to float32, exactly (IEEE 754-2019, 3.4), also below the normal range.
//
// A NaN keeps sign and payload and comes out quiet, on every instruction set. One thread: the rows
// that are converted come from where reading is the limit, while others compute.
//
// Cost: one instruction for 8 or 16 values (F16C, AVX-512); about fifteen for 4 values without it.
#pragma once

#include <cstdint>

namespace unsup {

struct HalfToFloat {
    int64_t n;
    const uint16_t* x;  // IN [N]: bits of float16
    float* out;         // OUT [N]
};

}  // namespace unsup
