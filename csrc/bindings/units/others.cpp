// The module and the bindings of all other operations as one translation unit, like centroids.cpp.
#include "bindings/affine.cpp"
#include "bindings/bernoulli.cpp"
#include "bindings/covariance.cpp"
#include "bindings/denoise.cpp"
#include "bindings/em.cpp"
#include "bindings/group_norm.cpp"
#include "bindings/half_to_float.cpp"
#include "bindings/mapped.cpp"
#include "bindings/moments.cpp"
#include "bindings/noise.cpp"
#include "bindings/randn.cpp"

#include "bindings/module.cpp"
