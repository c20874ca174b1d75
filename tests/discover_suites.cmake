# One ctest entry for each suite of a GoogleTest program, because a program that needs libtorch takes half a second to
# start: one start a suite, not one a test. Each suite writes what became of its tests to RESULTS/SUITE.xml.
#   cmake -DPROGRAM=... -DRESULTS=... -DOUT=... -P discover_suites.cmake
execute_process(COMMAND ${PROGRAM} --gtest_list_tests OUTPUT_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE " *#[^\n]*" "" listed "${listed}")            # values of parameters
string(REGEX REPLACE "\n  DISABLED_[^\n]*" "" listed "${listed}")
string(REGEX MATCHALL "[A-Za-z0-9_/]+\\.\n  " suites "${listed}")  # those that have a test left
if(NOT suites)
  message(FATAL_ERROR "${PROGRAM} lists no tests")
endif()
set(script)
foreach(suite IN LISTS suites)
  string(REGEX MATCH "[A-Za-z0-9_/]+" name "${suite}")
  string(REPLACE "/" "-" file "${name}")
  string(APPEND script "add_test([=[gtest:${name}]=] [=[${PROGRAM}]=] [=[--gtest_filter=${name}.*]=] "
                       "[=[--gtest_output=xml:${RESULTS}/${file}.xml]=])\n")
endforeach()
file(WRITE ${OUT} "${script}")
