// Files mapped into memory, which others may shorten while they are read. A page beyond the new end
// cannot be read any more (SIGBUS). In a watched map it is replaced by zeros, so that the reader
// goes on until it can report that the file has shrunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace unsup {

// Watches a map of the file `path` until `unwatch`, which takes the number that is returned.
int64_t watch(const void* begin, size_t bytes, const std::string& path);
void unwatch(int64_t number);

// The path of the watched map that `address` lies in if its file has shrunk, else an empty string.
std::string shrunk(const void* address);

}  // namespace unsup
