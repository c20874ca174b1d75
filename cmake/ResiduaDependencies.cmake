# Every package the project uses, found in one place; scripts/setup installs them by name.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(Protobuf REQUIRED) # the form of ONNX files; protoc at build time, the lite library at run time
find_path(ONNX_INCLUDE_DIR onnx/onnx.proto REQUIRED)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(libarchive REQUIRED IMPORTED_TARGET libarchive)

add_library(residua_io_dependencies INTERFACE)
target_link_libraries(residua_io_dependencies INTERFACE
  Threads::Threads ${CMAKE_DL_LIBS} tomlplusplus::tomlplusplus fmt::fmt JPEG::JPEG PNG::PNG ZLIB::ZLIB
  OpenSSL::Crypto CURL::libcurl PkgConfig::hwy protobuf::libprotobuf-lite)

# What compiled plans compute with. oneDNN's own package file asks for OpenCL, which the CPU part does not need.
find_package(OpenMP REQUIRED) # also: at::parallel_for is serial in files compiled without it
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(residua_plan_dependencies INTERFACE)
target_link_libraries(residua_plan_dependencies INTERFACE ${DNNL_LIBRARY} $<LINK_ONLY:OpenMP::OpenMP_CXX>)

if(RESIDUA_TRAINING)
  find_package(muparser REQUIRED)
  include(ResiduaTorch)
endif()
if(RESIDUA_TRAINING AND RESIDUA_TESTS)
  pkg_check_modules(httplib REQUIRED cpp-httplib) # the server that downloads are tested against
endif()
