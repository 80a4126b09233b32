// bench/compare/compare_rocksdb_version.cc - RocksDB's version, which its headers tell to C++ only.
#ifdef VARVE_HAVE_ROCKSDB
#include <rocksdb/version.h>

#include <cstdio>

extern "C" void compare_rocksdb_version(char out[32]);

extern "C" void compare_rocksdb_version(char out[32]) {
    std::snprintf(out, 32, "%d.%d.%d", ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH);
}
#endif
