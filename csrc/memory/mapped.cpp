#include "memory/mapped.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

namespace unsup {
namespace {

// Entries are used again but never freed, as the signal handler walks the list without a lock.
struct Map {
    std::atomic<uintptr_t> begin{0}, end{0};  // both 0 where the entry is free
    std::atomic<bool> lost{false};            // pages have been replaced
    std::string path;
    int file = -1;  // -1 where the size is unknown
    off_t size = 0;
    int64_t number = 0;
    Map* after = nullptr;

    bool holds(uintptr_t address) const { return begin <= address && address < end; }
};

std::atomic<Map*> maps{nullptr};
std::mutex mutex;  // of all but what the handler reads
struct sigaction before;
const auto page_bytes = uintptr_t(sysconf(_SC_PAGESIZE));

// Replaces with zeros all pages from the one that cannot be read to the end of the map.
bool replace_pages(uintptr_t address) {
    for (Map* map = maps; map != nullptr; map = map->after) {
        if (!map->holds(address)) continue;
        const uintptr_t first = address / page_bytes * page_bytes;
        const void* zeros = mmap(reinterpret_cast<void*>(first), map->end - first,
                                 PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANON, -1, 0);
        if (zeros == MAP_FAILED) return false;
        map->lost = true;
        return true;
    }
    return false;
}

void handle(int signal, siginfo_t* info, void*) {
    const int error = errno;
    const bool sent = info->si_code <= 0;  // by a process, not by a fault
    if (sent || !replace_pages(reinterpret_cast<uintptr_t>(info->si_addr))) {
        // A fault comes again, to the handler that was there before.
        sigaction(SIGBUS, &before, nullptr);
        if (sent) raise(signal);
    }
    errno = error;
}

// A child must not inherit the mutex locked by a thread that it does not have.
const int forking =
    pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });

void install() {
    struct sigaction ours = {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    struct sigaction current = {};
    sigaction(SIGBUS, nullptr, &current);
    if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == handle) return;
    before = current;
    sigaction(SIGBUS, &ours, nullptr);
}

Map* free_entry() {
    for (Map* map = maps; map != nullptr; map = map->after)
        if (map->end == 0) return map;
    Map* map = new Map;
    map->after = maps;
    maps = map;
    return map;
}

bool has_shrunk(const Map& map) {
    struct stat status = {};
    return map.lost ||
           (map.file >= 0 && fstat(map.file, &status) == 0 && status.st_size < map.size);
}

}  // namespace

int64_t watch(const void* begin, size_t bytes, const std::string& path) {
    static int64_t count = 0;
    const std::lock_guard<std::mutex> lock(mutex);
    install();
    Map* map = free_entry();
    map->path = path;
    map->file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status = {};
    map->size = map->file >= 0 && fstat(map->file, &status) == 0 ? status.st_size : 0;
    map->lost = false;
    map->begin = reinterpret_cast<uintptr_t>(begin);
    map->end = map->begin + (bytes + page_bytes - 1) / page_bytes * page_bytes;
    return map->number = ++count;
}

void unwatch(int64_t number) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (Map* map = maps; map != nullptr; map = map->after) {
        if (map->end == 0 || map->number != number) continue;
        map->end = 0;
        map->begin = 0;
        if (map->file >= 0) close(map->file);
    }
}

std::string shrunk(const void* address) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const std::lock_guard<std::mutex> lock(mutex);
    for (Map* map = maps; map != nullptr; map = map->after)
        if (map->holds(at)) return has_shrunk(*map) ? map->path : "";
    return "";
}

}  // namespace unsup
