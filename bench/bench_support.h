// bench/bench_support.h - what the suites share: scratch directories, keys and values, and failing loudly.
#ifndef VARVE_BENCH_SUPPORT_H
#define VARVE_BENCH_SUPPORT_H

#include <varve/changelog.h>
#include <varve/varve.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

constexpr size_t key_bytes = 16;
constexpr size_t value_bytes = 100;

// Exits with the message of an error that a benchmark has no use for.
void require(varve_status status, const varve_error &err);

// A directory of its own, removed at the end.
class Scratch {
  public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    std::string path(const char *name) const;

  private:
    std::string dir;
};

// A database with one store.
class Database {
  public:
    Database(const std::string &dir, uint64_t memory);
    ~Database();
    Database(const Database &) = delete;
    Database &operator=(const Database &) = delete;
    varve_db *db = nullptr;
    varve_store *store = nullptr;
};

// Key number n: eight big-endian bytes and eight '0'. Value of n: 100 bytes that compress two to one.
struct Key {
    explicit Key(uint64_t n);
    varve_slice slice() const;
    char bytes[key_bytes];
};
varve_slice value_of(uint64_t n);

// 0..n-1 in a random order that is the same every time.
std::vector<uint32_t> permutation(uint32_t n);

} // namespace bench

#endif
