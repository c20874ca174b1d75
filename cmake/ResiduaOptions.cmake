# Language, warnings, sanitizers and compiler cache, as one interface target.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};$ORIGIN")

add_library(residua_settings INTERFACE)
target_compile_features(residua_settings INTERFACE cxx_std_20)
target_include_directories(residua_settings INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}>
                                                      $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/generated>
                                                      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# Our warnings are errors for us, not for a project that adds this one as a folder.
add_library(residua_warnings INTERFACE)
target_compile_options(residua_warnings INTERFACE -Wall -Wextra -Werror
  # GCC 12 sees overlaps in std::string that are not there (its bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # What GCC 12 says of standard containers after inlining across the files of a unity build changes with which
  # files are joined, and is wrong; builds of single files keep these.
  "$<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${RESIDUA_UNITY}>>:-Wno-stringop-overflow;-Wno-maybe-uninitialized;-Wno-free-nonheap-object;-Wno-array-bounds>")
add_link_options(LINKER:--as-needed)
if(RESIDUA_SANITIZE)
  add_compile_options(-fsanitize=${RESIDUA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${RESIDUA_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached only when time macros and defines of the header are not compared.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()
