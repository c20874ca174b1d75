# Pages of web/: bundled with their packages into one HTML file each, compiled into a library as bytes.
# residua_add_page(<target> <function> <index>): web/<index> becomes `std::string_view residua::<function>()`.
# Where the index says {{include <file of web/>}}, that file is put in.
function(residua_add_page target function index)
  set(web ${PROJECT_SOURCE_DIR}/web)
  set(output ${CMAKE_BINARY_DIR}/generated/residua_${function}.cpp)
  set(script ${PROJECT_SOURCE_DIR}/cmake/bundle_page.cmake)
  file(READ ${web}/${index} page)
  string(REGEX MATCHALL "{{include [^}]+}}" includes "${page}")
  list(TRANSFORM includes REPLACE "{{include ([^}]+)}}" "${web}/\\1")
  foreach(include IN LISTS includes)
    if(NOT EXISTS ${include})
      message(FATAL_ERROR "${include} is missing: run scripts/setup, which fills web/node_modules with 'npm ci --prefix web'.")
    endif()
  endforeach()
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${web}/${index})
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DWEB=${web} -DINDEX=${index} -DFUNCTION=${function} -DOUTPUT=${output} -P ${script}
    DEPENDS ${web}/${index} ${includes} ${script}
    COMMENT "Bundling web/${index}" VERBATIM)
  set_source_files_properties(${output} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON SKIP_PRECOMPILE_HEADERS ON)
  target_sources(${target} PRIVATE ${output})
endfunction()
