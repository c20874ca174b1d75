# residua_embed(target file symbol): the bytes of a file as `const unsigned char symbol[]` and `const size_t
# symbol_size` in namespace residua, written into a source file of the target at build time.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${input} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
  file(WRITE ${output} "#include <cstddef>\n\nnamespace residua {\nextern const unsigned char ${symbol}[];\n"
                       "extern const size_t ${symbol}_size;\nconst unsigned char ${symbol}[] = {\n${bytes}\n};\n"
                       "const size_t ${symbol}_size = ${size};\n}  // namespace residua\n")
  return()
endif()

set(RESIDUA_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(residua_embed target file symbol)
  set(input ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set(output ${CMAKE_BINARY_DIR}/embedded/${symbol}.cpp)
  add_custom_command(OUTPUT ${output} DEPENDS ${input} ${RESIDUA_EMBED_SCRIPT}
    COMMAND ${CMAKE_COMMAND} -Dinput=${input} -Doutput=${output} -Dsymbol=${symbol} -P ${RESIDUA_EMBED_SCRIPT}
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
  set_source_files_properties(${output} PROPERTIES SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
