// Batches of samples as the operations on images see them: B samples of C channels of P positions.
#pragma once

#include <cstdint>

namespace unsup {

enum class Element { float32, float64, bfloat16, float16 };

struct BFloat16 {
    uint16_t bits;
};
struct Float16 {
    uint16_t bits;
};

struct Grid {
    Element element;
    int64_t samples, channels, positions;
};

// Layout of the elements of a tensor. Within a sample they are dense: row-major, [C][P], or with
// the channels last, [P][C].
struct Samples {
    void* data;    // null: no such tensor
    int64_t step;  // elements from one sample to the next
    bool last;
};

// Normals drawn for a tensor in the order of its elements as if it were row-major.
struct Draw {
    const uint64_t* seeds;  // one, or [B] if `each`; null: nothing is drawn
    bool each;              // then the elements of each sample are counted from zero
    uint64_t stream;
};

}  // namespace unsup
