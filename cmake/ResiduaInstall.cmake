# What `cmake --install` puts where: headers, both libraries, the command with its library, man page and completions,
# and a CMake package and a pkg-config file for each library.
include(CMakePackageConfigHelpers)

set(residua_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake)

function(residua_install_package name)
  install(EXPORT ${name}Targets NAMESPACE residua:: DESTINATION ${residua_package_folder}/${name})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/${name}Config.cmake.in ${PROJECT_BINARY_DIR}/${name}Config.cmake
                                INSTALL_DESTINATION ${residua_package_folder}/${name})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/${name}ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/${name}Config.cmake ${PROJECT_BINARY_DIR}/${name}ConfigVersion.cmake
          DESTINATION ${residua_package_folder}/${name})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

function(residua_install_headers)
  foreach(room IN LISTS ARGN)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/residua/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/residua
            FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp"
            REGEX "/graph/onnx/(form|import|export)\\.h$" EXCLUDE) # see generated classes, which are not installed
  endforeach()
endfunction()

set_target_properties(residua_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS residua_program DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS residua_settings residua_runtime EXPORT residua_runtimeTargets)
install(FILES ${PROJECT_BINARY_DIR}/manual/residua.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_BINARY_DIR}/manual/residua DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${PROJECT_BINARY_DIR}/manual/_residua DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
residua_install_headers(${RESIDUA_RUNTIME_ROOMS})
residua_install_package(residua_runtime)

if(RESIDUA_TRAINING)
  install(TARGETS residua EXPORT residuaTargets)
  install(TARGETS residua_commands DESTINATION ${CMAKE_INSTALL_LIBDIR}/residua)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/papers DESTINATION ${CMAKE_INSTALL_DATADIR}/residua FILES_MATCHING PATTERN "*.toml")
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/ResiduaTorch.cmake DESTINATION ${residua_package_folder}/residua)
  residua_install_headers(${RESIDUA_TRAINING_ROOMS})
  set(residua_torch_cflags ${TORCH_INCLUDE_DIRS})
  list(REMOVE_ITEM residua_torch_cflags /usr/include) # is searched anyway, and must stay the last
  list(TRANSFORM residua_torch_cflags PREPEND "-isystem ")
  list(JOIN residua_torch_cflags " " residua_torch_cflags)
  get_filename_component(residua_torch_folder "${TORCH_LIBRARY}" DIRECTORY)
  residua_install_package(residua)
endif()
