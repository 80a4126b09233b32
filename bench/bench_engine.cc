// bench/bench_engine.cc - the engine alone: fillseq, fillrandom, readrandom, readseq, seekrandom, reopen.
// Items a second are operations a second.
//
// Memory 384 MiB, 16-byte keys, 100-byte values, one thread, durable against the death of the process. The argument is the number
// of keys.
#include <benchmark/benchmark.h>

#include "bench_support.h"

#include <csignal>
#include <cstring>
#include <memory>
#include <random>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr uint64_t memory = 384u << 20;

void fill(varve_store *store, uint32_t keys, bool random) {
    varve_error err;
    std::vector<uint32_t> order = random ? bench::permutation(keys) : std::vector<uint32_t>();
    for (uint32_t i = 0; i < keys; i++) {
        uint32_t n = random ? order[i] : i;
        bench::require(varve_put(store, bench::Key(n).slice(), bench::value_of(n), &err), err);
    }
}

void fill_bench(benchmark::State &state, bool random) {
    auto keys = static_cast<uint32_t>(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        auto scratch = std::make_unique<bench::Scratch>();
        auto database = std::make_unique<bench::Database>(scratch->path("db"), memory);
        state.ResumeTiming();
        fill(database->store, keys, random);
        state.PauseTiming();
        database.reset();
        scratch.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * keys);
}

void fillseq(benchmark::State &state) {
    fill_bench(state, false);
}

void fillrandom(benchmark::State &state) {
    fill_bench(state, true);
}

// One filled and compacted database for the reads of a number of keys.
struct Filled {
    explicit Filled(uint32_t n) : keys(n), database(scratch.path("db"), memory) {
        varve_error err;
        fill(database.store, keys, true);
        bench::require(varve_wait_idle(database.db, 600000, &err), err);
    }
    uint32_t keys;
    bench::Scratch scratch;
    bench::Database database;
};

Filled &filled(uint32_t keys) {
    static std::unique_ptr<Filled> current;
    if (!current || current->keys != keys) {
        current.reset();
        current = std::make_unique<Filled>(keys);
    }
    return *current;
}

void readrandom(benchmark::State &state) {
    Filled &f = filled(static_cast<uint32_t>(state.range(0)));
    std::mt19937_64 random(7);
    varve_buffer value = {};
    varve_error err;
    for (auto _ : state) {
        uint64_t n = random() % f.keys;
        bench::require(varve_get(f.database.store, bench::Key(n).slice(), &value, &err), err);
        if (value.size != bench::value_bytes || std::memcmp(value.data, bench::value_of(n).data, value.size) != 0) {
            state.SkipWithError("a wrong value");
            break;
        }
    }
    varve_buffer_free(&value);
    state.SetItemsProcessed(state.iterations());
}

void readseq(benchmark::State &state) {
    Filled &f = filled(static_cast<uint32_t>(state.range(0)));
    varve_error err;
    for (auto _ : state) {
        varve_iterator *it = nullptr;
        uint64_t entries = 0;
        bench::require(varve_iterator_open(f.database.store, nullptr, &it, &err), err);
        while (varve_iterator_next(it) == VARVE_OK) {
            benchmark::DoNotOptimize(varve_iterator_value(it).data);
            entries++;
        }
        varve_iterator_close(it);
        if (entries != f.keys) state.SkipWithError("entries are missing");
    }
    state.SetItemsProcessed(state.iterations() * f.keys);
}

void seekrandom(benchmark::State &state) {
    Filled &f = filled(static_cast<uint32_t>(state.range(0)));
    std::mt19937_64 random(9);
    varve_error err;
    for (auto _ : state) {
        varve_iterator *it = nullptr;
        bench::require(varve_iterator_open(f.database.store, nullptr, &it, &err), err);
        varve_status status = varve_iterator_seek(it, bench::Key(random() % f.keys).slice());
        for (int i = 0; i < 11 && status == VARVE_OK; i++) {
            benchmark::DoNotOptimize(varve_iterator_value(it).data);
            status = varve_iterator_next(it);
        }
        varve_iterator_close(it);
    }
    state.SetItemsProcessed(state.iterations());
}

// Writes records in random order in a child that then kills itself: a WAL of some 256 MiB, none of it in tables.
void fill_and_die(const std::string &dir, const varve_options &options, uint32_t records) {
    pid_t child = fork();
    if (child == 0) {
        varve_error err;
        varve_db *db = nullptr;
        varve_store *store = nullptr;
        bench::require(varve_open(dir.c_str(), &options, &db, &err), err);
        bench::require(varve_store_open(db, "default", nullptr, &store, &err), err);
        fill(store, records, true);
        raise(SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) std::exit(1);
}

// Opening after kill -9, until reads and writes are possible. Bytes are those of the WAL.
void reopen(benchmark::State &state) {
    auto records = static_cast<uint32_t>(state.range(0));
    varve_options options = {};
    options.size = sizeof options;
    options.create = true;
    options.memory = 4ull << 30;
    options.memtable_bytes = 1ull << 30;
    int64_t bytes = 0;
    for (auto _ : state) {
        state.PauseTiming();
        auto scratch = std::make_unique<bench::Scratch>();
        fill_and_die(scratch->path("db"), options, records);
        varve_db *db = nullptr;
        varve_error err;
        varve_stats stats = {};
        stats.size = sizeof stats;
        state.ResumeTiming();
        bench::require(varve_open(scratch->path("db").c_str(), &options, &db, &err), err);
        state.PauseTiming();
        bench::require(varve_stats_get(db, &stats, &err), err);
        if (stats.recovered_records != records) state.SkipWithError("records are missing");
        bytes += static_cast<int64_t>(stats.wal_bytes);
        bench::require(varve_close(db, &err), err);
        scratch.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * records);
    state.SetBytesProcessed(bytes);
}

BENCHMARK(fillseq)->Arg(1000000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(fillrandom)->Arg(1000000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(readrandom)->Arg(1000000)->UseRealTime();
BENCHMARK(readseq)->Arg(1000000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(seekrandom)->Arg(1000000)->UseRealTime();
BENCHMARK(reopen)->Arg(1550000)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

} // namespace
