# How our own code is compiled. The flags travel on the interface target varve_flags, never on what users link.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_EXECUTABLE_ENABLE_EXPORTS OFF)

# Our checks are VR_ASSERT, switched by VR_DEBUG; the C library's assert and NDEBUG play no part.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(varve_flags INTERFACE)
target_compile_options(varve_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wundef -Wpointer-arith
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<C_COMPILER_ID:Clang>:-Wthread-safety>
    $<$<BOOL:${VARVE_WERROR}>:-Werror>
    -fno-omit-frame-pointer)
target_compile_definitions(varve_flags INTERFACE $<$<BOOL:${VARVE_DEBUG}>:VR_DEBUG=1>)
if(VARVE_SANITIZE)
    target_compile_options(varve_flags INTERFACE -fsanitize=${VARVE_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${VARVE_SANITIZE})
endif()

# Edge coverage for libFuzzer, in the libraries above all: without it the fuzzer is blind.
if(VARVE_FUZZ)
    target_compile_options(varve_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Fat objects: the installed static archive must serve a user who links without LTO, or with another compiler.
set(VARVE_LTO_LINK -fno-lto)
if(VARVE_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(varve_flags INTERFACE -flto=auto -ffat-lto-objects)
    set(VARVE_LTO_LINK -flto=auto -O2)
endif()

# What a shared library of ours is: versioned, exporting varve_* and nothing else, complete in itself.
function(varve_shared target)
    set_target_properties(${target} PROPERTIES
        LINKER_LANGUAGE C
        VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}
        LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/varve.map)
    target_link_options(${target} PRIVATE ${VARVE_LTO_LINK} -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/varve.map)
    if(NOT VARVE_SANITIZE)
        target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
endfunction()
