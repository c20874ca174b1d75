# Every package the project uses, found in one place; scripts/setup installs them by name.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(Protobuf REQUIRED)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)

add_library(residua_io_dependencies INTERFACE)
target_link_libraries(residua_io_dependencies INTERFACE
  Threads::Threads ${CMAKE_DL_LIBS} tomlplusplus::tomlplusplus fmt::fmt spdlog::spdlog JPEG::JPEG PNG::PNG ZLIB::ZLIB
  OpenSSL::Crypto CURL::libcurl PkgConfig::libzip PkgConfig::hwy)

if(RESIDUA_TRAINING)
<<<<<<< HEAD
  find_package(Torch REQUIRED)
  find_package(OpenMP REQUIRED) # at::parallel_for is serial in files compiled without it
  add_library(residua_torch INTERFACE)
  target_link_libraries(residua_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(residua_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(residua_torch INTERFACE ${torch_flags})
=======
  include(ResiduaTorch)
>>>>>>> app
endif()
