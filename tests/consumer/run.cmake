# Installs the build into a fresh prefix, then configures, builds and runs an outside project against it, by CMake
# package, by pkg-config and as a subfolder.
#   cmake -DBUILD=... -DSOURCE=... -DWITH_TRAINING=ON|OFF -DCXX=... -DFLAGS=... -P run.cmake
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "exit status ${status}: ${command}")
  endif()
endfunction()

set(work ${BUILD}/consumer)
set(prefix ${work}/prefix)
file(REMOVE_RECURSE ${work})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

set(project ${SOURCE}/tests/consumer)
set(common -G Ninja -DCMAKE_CXX_COMPILER=${CXX} "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DCMAKE_EXE_LINKER_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} -S ${project} -B ${work}/found ${common} -DCMAKE_PREFIX_PATH=${prefix} -DWITH_TRAINING=${WITH_TRAINING})
run(${CMAKE_COMMAND} --build ${work}/found)
run(${work}/found/uses_runtime)
run(${work}/found/uses_plan)
if(WITH_TRAINING)
  run(${work}/found/uses_training)
endif()

set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
separate_arguments(flags UNIX_COMMAND "${FLAGS}")
function(build_by_pkg_config package source)
  execute_process(COMMAND pkg-config --cflags --libs ${package}
                  OUTPUT_VARIABLE words OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(words UNIX_COMMAND "${words}")
  run(${CXX} ${flags} ${project}/${source} -o ${work}/${package}_by_pkg_config ${words} -Wl,-rpath,${prefix}/lib)
  run(${work}/${package}_by_pkg_config)
endfunction()
build_by_pkg_config(residua_runtime uses_runtime.cpp)
if(WITH_TRAINING)
  build_by_pkg_config(residua uses_training.cpp)
endif()

# As a subfolder: configured only, building it would compile everything a second time.
run(${CMAKE_COMMAND} -S ${project} -B ${work}/subfolder ${common} -DRESIDUA_SOURCE=${SOURCE} -DWITH_TRAINING=OFF)

run(${prefix}/bin/residua --version)
run(${prefix}/bin/residua doctor)
foreach(file share/man/man1/residua.1 share/bash-completion/completions/residua share/zsh/site-functions/_residua)
  if(NOT EXISTS ${prefix}/${file})
    message(FATAL_ERROR "${file} was not installed")
  endif()
endforeach()
