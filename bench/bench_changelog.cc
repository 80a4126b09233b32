// bench/bench_changelog.cc - the changelog against a real broker: ship (until acknowledged) and restore (until readable).
//
// The broker is VARVE_KAFKA_BOOTSTRAP, or one that scripts/kafka-start starts on loopback; without either the benches are skipped
// and say why. Records are 16-byte keys and 100-byte values, two to one compressible; the argument is their number.
#include <benchmark/benchmark.h>

#include "bench_support.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <unistd.h>

namespace {

constexpr uint64_t memory = 384u << 20;

// A broker for the length of the program.
class Broker {
  public:
    Broker() {
        if (const char *given = std::getenv("VARVE_KAFKA_BOOTSTRAP")) {
            bootstrap = given;
            return;
        }
        std::string start = std::string("scripts/kafka-start '") + scratch.path("broker") + "' >'" + scratch.path("out") + "' 2>&1";
        if (std::system(start.c_str()) != 0) return;
        started = true;
        std::ifstream(scratch.path("broker") + "/bootstrap") >> bootstrap;
    }
    ~Broker() {
        std::string stop = std::string("scripts/kafka-stop '") + scratch.path("broker") + "'";
        if (started && std::system(stop.c_str()) != 0) std::fprintf(stderr, "bench: the broker could not be stopped\n");
    }
    Broker(const Broker &) = delete;
    Broker &operator=(const Broker &) = delete;
    std::string bootstrap;

  private:
    bench::Scratch scratch;
    bool started = false;
};

Broker &broker() {
    static Broker one;
    return one;
}

std::string new_topic() {
    static std::atomic<int> number{0};
    return "bench-" + std::to_string(getpid()) + "-" + std::to_string(number++);
}

varve_changelog_options log_options(const std::string &topic) {
    varve_changelog_options options = {};
    options.size = sizeof options;
    options.brokers = broker().bootstrap.c_str();
    options.topic = topic.c_str();
    return options;
}

// Writes records while the changelog ships, and waits until the last one is acknowledged.
void write_and_flush(bench::Database &database, const std::string &topic, uint32_t records) {
    varve_error err;
    varve_changelog *changelog = nullptr;
    varve_changelog_options options = log_options(topic);
    bench::require(varve_changelog_open(database.store, &options, &changelog, &err), err);
    for (uint32_t n : bench::permutation(records)) {
        bench::require(varve_put(database.store, bench::Key(n).slice(), bench::value_of(n), &err), err);
    }
    bench::require(varve_changelog_flush(changelog, 600000, &err), err);
    bench::require(varve_changelog_close(changelog, &err), err);
}

bool have_broker(benchmark::State &state) {
    if (!broker().bootstrap.empty()) return true;
    state.SkipWithError("no broker: set VARVE_KAFKA_BOOTSTRAP, or let scripts/kafka-start find Java and Maven");
    return false;
}

void ship(benchmark::State &state) {
    if (!have_broker(state)) return;
    auto records = static_cast<uint32_t>(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        auto scratch = std::make_unique<bench::Scratch>();
        auto database = std::make_unique<bench::Database>(scratch->path("db"), memory);
        state.ResumeTiming();
        write_and_flush(*database, new_topic(), records);
        state.PauseTiming();
        database.reset();
        scratch.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * records);
}

void restore(benchmark::State &state) {
    if (!have_broker(state)) return;
    auto records = static_cast<uint32_t>(state.range(0));
    std::string topic = new_topic();
    {
        bench::Scratch scratch;
        bench::Database database(scratch.path("db"), memory);
        write_and_flush(database, topic, records);
    }
    for (auto _ : state) {
        state.PauseTiming();
        auto scratch = std::make_unique<bench::Scratch>();
        auto database = std::make_unique<bench::Database>(scratch->path("db"), memory);
        varve_restore_progress result = {};
        varve_changelog_options options = log_options(topic);
        varve_error err;
        state.ResumeTiming();
        bench::require(varve_changelog_restore(database->store, &options, &result, &err), err);
        varve_buffer value = {};
        bench::require(varve_get(database->store, bench::Key(0).slice(), &value, &err), err);
        varve_buffer_free(&value);
        if (result.records != records) state.SkipWithError("records are missing");
        state.PauseTiming();
        database.reset();
        scratch.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * records);
}

BENCHMARK(ship)->Arg(2000000)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK(restore)->Arg(2000000)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

} // namespace
