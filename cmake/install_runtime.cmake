# Headers, libraries and the CMake package npuport_runtime: targets npuport::runtime and, where the executor was built,
# npuport::runtime_host.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(npuport_package ${CMAKE_INSTALL_LIBDIR}/cmake/npuport_runtime)
set(installed npuport_base npuport_runtime)
if(TARGET npuport_runtime_host)
  list(APPEND installed npuport_ir npuport_ops npuport_exec npuport_frontends npuport_runtime_host)
endif()
set_target_properties(npuport_runtime PROPERTIES EXPORT_NAME runtime)
target_include_directories(npuport_runtime INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/npuport>)
if(TARGET npuport_runtime_host)
  set_target_properties(npuport_runtime_host PROPERTIES EXPORT_NAME runtime_host)
endif()
install(TARGETS ${installed} EXPORT npuport_runtime-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/src/runtime/npuport_runtime.h ${PROJECT_SOURCE_DIR}/src/runtime/npuport_runtime.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/npuport COMPONENT runtime)
if(TARGET npuport_runtime_host)
  install(FILES ${PROJECT_SOURCE_DIR}/src/runtime/npuport_runtime_host.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/npuport COMPONENT runtime)
endif()
install(EXPORT npuport_runtime-targets NAMESPACE npuport:: DESTINATION ${npuport_package} COMPONENT runtime)
set(NPUPORT_PACKAGE_NEEDS "Threads")
if(TARGET npuport_runtime_host)
  list(APPEND NPUPORT_PACKAGE_NEEDS fmt ZLIB OpenSSL nlohmann_json FlatBuffers dnnl)
  if(OpenMP_CXX_FOUND)
    list(APPEND NPUPORT_PACKAGE_NEEDS OpenMP)
  endif()
endif()
configure_package_config_file(cmake/npuport_runtime-config.cmake.in ${CMAKE_BINARY_DIR}/npuport_runtime-config.cmake
  INSTALL_DESTINATION ${npuport_package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/npuport_runtime-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/npuport_runtime-config.cmake ${CMAKE_BINARY_DIR}/npuport_runtime-config-version.cmake
  DESTINATION ${npuport_package} COMPONENT runtime)
