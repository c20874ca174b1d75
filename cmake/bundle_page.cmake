# cmake -DWEB=<folder> -DINDEX=<file> -DFUNCTION=<name> -DOUTPUT=<file.cpp> -P bundle_page.cmake
# Puts the files that the index includes into it and writes the page as a C++ byte array: a string literal would
# be longer than compilers must accept.
file(READ ${WEB}/${INDEX} page)
string(REGEX MATCHALL "{{include [^}]+}}" marks "${page}")
foreach(mark IN LISTS marks)
  string(REGEX REPLACE "{{include ([^}]+)}}" "\\1" name "${mark}")
  file(READ ${WEB}/${name} content)
  string(TOLOWER "${content}" lower)
  if(lower MATCHES "</(script|style)" OR lower MATCHES "{{(include|title|data)")
    message(FATAL_ERROR "web/${name} contains text that would break the page it is put into: ${CMAKE_MATCH_0}")
  endif()
  string(REPLACE "${mark}" "${content}" page "${page}")
endforeach()

string(HEX "${page}" bytes)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "// Made from web/${INDEX} by cmake/bundle_page.cmake.
#include <string_view>

namespace residua {

namespace {
constexpr unsigned char kPage[] = {
${bytes}
};
}  // namespace

std::string_view ${FUNCTION}() {
  return {reinterpret_cast<const char*>(kPage), sizeof(kPage)};
}

}  // namespace residua
")
