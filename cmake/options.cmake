# What can be switched, with the defaults a plain `cmake -B build` gets. CMakePresets.json sets them for the six presets.

option(VARVE_DEBUG "Compile VR_ASSERT and the debug checks in (defines VR_DEBUG=1)" OFF)
option(VARVE_LTO "Link-time optimisation, with fat objects so that the static archives stay usable without it" OFF)
option(VARVE_WERROR "Treat warnings in our code as errors" ON)
option(VARVE_TESTS "Build the tests" ON)
option(VARVE_BENCH "Build the benchmarks" OFF)
option(VARVE_FUZZ "Build the fuzz targets against libFuzzer (clang only)" OFF)
option(VARVE_LAYER_CHECK "Link every engine layer with only the layers it may use" ON)
set(VARVE_SANITIZE "" CACHE STRING "Sanitizers, as after -fsanitize=, for example address,undefined")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
