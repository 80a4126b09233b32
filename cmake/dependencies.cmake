# zstd and xxhash for the engine; librdkafka, as target varve_rdkafka, for the changelog.

find_package(PkgConfig REQUIRED)
find_library(VARVE_ZSTD zstd REQUIRED)
find_library(VARVE_XXHASH xxhash REQUIRED)
find_path(VARVE_ZSTD_INCLUDE zstd.h REQUIRED)
find_path(VARVE_XXHASH_INCLUDE xxhash.h REQUIRED)

pkg_check_modules(VARVE_DEBIAN_RDKAFKA rdkafka)
add_library(varve_rdkafka INTERFACE)
target_link_libraries(varve_rdkafka INTERFACE rdkafka)
