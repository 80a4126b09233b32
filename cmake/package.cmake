# cmake --install: headers, both libraries shared and static, pkg-config files, the CMake package `varve`, the command.
#
# The CMake package is written by hand (varveConfig.cmake.in) rather than exported, so that it is relocatable and names libraries
# as -lzstd, not by the paths of the machine that built them.

install(DIRECTORY include/varve DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS varve varve_changelog varve_static varve_changelog_static
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET varve_command)
    install(TARGETS varve_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# What a user of libvarve_changelog.a has to link besides, see dependencies.cmake.
if(VARVE_RDKAFKA_ARCHIVE)
    install(FILES ${VARVE_RDKAFKA_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libvarve_rdkafka.a)
    list(JOIN VARVE_RDKAFKA_SYSTEM_LIBS " " flags)
    set(VARVE_PC_CHANGELOG_LIBS "-lvarve_rdkafka ${flags}")
    set(VARVE_PC_CHANGELOG_REQUIRES "")
    set(VARVE_CONFIG_CHANGELOG_LIBS "\${varve_libdir}/libvarve_rdkafka.a;${VARVE_RDKAFKA_SYSTEM_LIBS}")
else()
    set(VARVE_PC_CHANGELOG_LIBS "")
    set(VARVE_PC_CHANGELOG_REQUIRES "rdkafka")
    set(VARVE_CONFIG_CHANGELOG_LIBS "rdkafka")
endif()

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/varve)
# Both kinds of file find the prefix from where they themselves are.
file(RELATIVE_PATH VARVE_PC_TO_PREFIX /${pkgconfig_dir} /)
file(RELATIVE_PATH VARVE_CONFIG_TO_PREFIX /${package_dir} /)
foreach(name varve varve_changelog)
    configure_file(cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/package/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/package/${name}.pc DESTINATION ${pkgconfig_dir})
endforeach()
include(CMakePackageConfigHelpers)
configure_file(cmake/varveConfig.cmake.in ${PROJECT_BINARY_DIR}/package/varveConfig.cmake @ONLY)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/varveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/varveConfig.cmake ${PROJECT_BINARY_DIR}/package/varveConfigVersion.cmake
    DESTINATION ${package_dir})
