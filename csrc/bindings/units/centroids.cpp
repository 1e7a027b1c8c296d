// The bindings of operations on rows and centroids as one translation unit. To read pybind11 and
// to compile what it makes of any module takes more time than the bindings of several operations.
#include "bindings/assign.cpp"
#include "bindings/kmeans_plusplus.cpp"
#include "bindings/nearest.cpp"
#include "bindings/prune.cpp"
#include "bindings/totals.cpp"
