# libtorch as one target, for the build and for those who find the installed package. Any libtorch from 1.13 on: the
# distribution's, or the one named by CMAKE_PREFIX_PATH.
find_package(Torch REQUIRED)
add_library(residua_torch INTERFACE)
target_link_libraries(residua_torch INTERFACE ${TORCH_LIBRARIES})
target_include_directories(residua_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
separate_arguments(residua_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(residua_torch INTERFACE ${residua_torch_flags})
