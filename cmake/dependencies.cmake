# zstd and xxhash for the engine; librdkafka, as target varve_rdkafka, for the changelog.
#
# librdkafka is looked for in this order:
#   1. VARVE_RDKAFKA_ROOT, if set: a prefix that holds lib/pkgconfig/rdkafka.pc
#   2. the copy that scripts/setup built into the cache directory (version and digest from scripts/librdkafka.pin)
#   3. the system's, through pkg-config; 2.0.2 works, but has a defect in its idempotent producer, so configuring says so
#
# Of 1 and 2 the static archive is taken: libvarve_changelog.so and the command contain it, with its symbols hidden, so nothing that
# is installed depends on the cache directory. For users of libvarve_changelog.a the archive is installed beside it as
# libvarve_rdkafka.a, named in varve_changelog.pc (Libs.private) and in the CMake package. With 3 the shared library is required.
#
# Sets VARVE_RDKAFKA_VERSION, VARVE_RDKAFKA_ARCHIVE (empty with 3) and VARVE_RDKAFKA_SYSTEM_LIBS (what the archive needs, -l flags).

find_package(PkgConfig REQUIRED)
find_library(VARVE_ZSTD zstd REQUIRED)
find_library(VARVE_XXHASH xxhash REQUIRED)
find_path(VARVE_ZSTD_INCLUDE zstd.h REQUIRED)
find_path(VARVE_XXHASH_INCLUDE xxhash.h REQUIRED)

# Reads NAME=VALUE lines of scripts/librdkafka.pin into pin_NAME.
file(STRINGS ${PROJECT_SOURCE_DIR}/scripts/librdkafka.pin pin_lines REGEX "^[a-z0-9_]+=")
foreach(line ${pin_lines})
    string(REGEX REPLACE "^([a-z0-9_]+)='?([^']*)'?$" "\\1;\\2" pair "${line}")
    list(GET pair 0 name)
    list(GET pair 1 pin_${name})
endforeach()
string(SUBSTRING ${pin_sha256} 0 12 pin_hash)
if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(cache $ENV{XDG_CACHE_HOME})
else()
    set(cache $ENV{HOME}/.cache)
endif()

set(VARVE_RDKAFKA_ROOT "" CACHE PATH "Prefix of the librdkafka to use, instead of the cached or the system's")
set(VARVE_RDKAFKA_ARCHIVE "")
add_library(varve_rdkafka INTERFACE)
foreach(root ${VARVE_RDKAFKA_ROOT} ${cache}/varve/librdkafka-${pin_version}-${pin_hash})
    if(EXISTS ${root}/lib/librdkafka.a AND EXISTS ${root}/lib/pkgconfig/rdkafka.pc)
        set(VARVE_RDKAFKA_ARCHIVE ${root}/lib/librdkafka.a)
        file(READ ${root}/lib/pkgconfig/rdkafka.pc pc)
        string(REGEX MATCH "\nVersion: ([^\n]+)" ignored "${pc}")
        set(VARVE_RDKAFKA_VERSION ${CMAKE_MATCH_1})
        string(REGEX MATCH "\nLibs\\.private: ([^\n]+)" ignored "${pc}")
        separate_arguments(VARVE_RDKAFKA_SYSTEM_LIBS UNIX_COMMAND "${CMAKE_MATCH_1}")
        string(REGEX MATCH "\nRequires\\.private: ([^\n]+)" ignored "${pc}")
        separate_arguments(needs UNIX_COMMAND "${CMAKE_MATCH_1}")
        pkg_check_modules(VARVE_RDKAFKA_NEEDS REQUIRED ${needs})
        list(REVERSE VARVE_RDKAFKA_NEEDS_LIBRARIES) # ssl before crypto
        list(TRANSFORM VARVE_RDKAFKA_NEEDS_LIBRARIES PREPEND -l)
        list(APPEND VARVE_RDKAFKA_SYSTEM_LIBS ${VARVE_RDKAFKA_NEEDS_LIBRARIES})
        list(REMOVE_DUPLICATES VARVE_RDKAFKA_SYSTEM_LIBS)
        target_include_directories(varve_rdkafka SYSTEM INTERFACE ${root}/include)
        target_link_libraries(varve_rdkafka INTERFACE ${VARVE_RDKAFKA_ARCHIVE} ${VARVE_RDKAFKA_SYSTEM_LIBS})
        message(STATUS "librdkafka ${VARVE_RDKAFKA_VERSION}, static, from ${root}")
        break()
    endif()
endforeach()
if(NOT VARVE_RDKAFKA_ARCHIVE)
    pkg_check_modules(VARVE_SYSTEM_RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
    set(VARVE_RDKAFKA_VERSION ${VARVE_SYSTEM_RDKAFKA_VERSION})
    target_link_libraries(varve_rdkafka INTERFACE PkgConfig::VARVE_SYSTEM_RDKAFKA)
    message(STATUS "librdkafka ${VARVE_RDKAFKA_VERSION}, shared, the system's")
    if(VARVE_RDKAFKA_VERSION VERSION_LESS 2.3.0)
        message(WARNING "librdkafka ${VARVE_RDKAFKA_VERSION} can fail its idempotent producer after a lost connection "
            "(fixed in 2.3.0) and does not notice a truncated topic (2.1.0). "
            "Run scripts/setup build, with npm installed, to get ${pin_version}.")
    endif()
endif()
