// bench/bench_support.cc - see bench_support.h.
#include "bench_support.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>

namespace bench {

void require(varve_status status, const varve_error &err) {
    if (status == VARVE_OK) return;
    std::fprintf(stderr, "bench: %s: %s\n", varve_status_name(status), err.message);
    std::exit(1);
}

Scratch::Scratch() {
    char name[] = "/tmp/varve-bench-XXXXXX";
    if (!mkdtemp(name)) {
        std::perror("bench: mkdtemp");
        std::exit(1);
    }
    dir = name;
}

Scratch::~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
}

std::string Scratch::path(const char *name) const {
    return dir + "/" + name;
}

Database::Database(const std::string &dir, uint64_t memory) {
    varve_error err;
    varve_options options = {};
    options.size = sizeof options;
    options.create = true;
    options.memory = memory;
    require(varve_open(dir.c_str(), &options, &db, &err), err);
    require(varve_store_open(db, "default", nullptr, &store, &err), err);
}

Database::~Database() {
    varve_error err;
    varve_store_close(store);
    require(varve_close(db, &err), err);
}

Key::Key(uint64_t n) {
    for (int i = 0; i < 8; i++) bytes[i] = static_cast<char>(n >> (56 - 8 * i));
    std::memset(bytes + 8, '0', 8);
}

varve_slice Key::slice() const {
    return varve_bytes(bytes, key_bytes);
}

varve_slice value_of(uint64_t n) {
    static const std::vector<char> pool = [] {
        std::mt19937_64 random(1);
        std::vector<char> made(1 << 20);
        for (size_t at = 0; at + value_bytes <= made.size(); at += value_bytes) {
            for (size_t i = 0; i < value_bytes / 2; i++)
                made[at + i] = made[at + value_bytes / 2 + i] = static_cast<char>(' ' + random() % 95);
        }
        return made;
    }();
    return varve_bytes(pool.data() + n % (pool.size() / value_bytes) * value_bytes, value_bytes);
}

std::vector<uint32_t> permutation(uint32_t n) {
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::mt19937_64 random(42);
    std::shuffle(order.begin(), order.end(), random);
    return order;
}

} // namespace bench
