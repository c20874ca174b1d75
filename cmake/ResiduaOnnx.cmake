# C++ classes of the messages of an ONNX file, by protoc from the distribution's onnx.proto. They get a package of their own:
# libonnx, which libtorch loads, has classes of the same names, and two of one name in a process would be one.
function(residua_onnx_form target)
  set(folder ${PROJECT_BINARY_DIR}/generated/residua_onnx)
  file(READ ${ONNX_INCLUDE_DIR}/onnx/onnx.proto text)
  string(REPLACE "package onnx;" "package residua.onnx_form;" text "${text}")
  if(NOT text MATCHES "package residua.onnx_form;" OR NOT text MATCHES "LITE_RUNTIME")
    message(FATAL_ERROR "${ONNX_INCLUDE_DIR}/onnx/onnx.proto is not written as expected")
  endif()
  file(GENERATE OUTPUT ${folder}/onnx_form.proto CONTENT "${text}")
  add_custom_command(OUTPUT ${folder}/onnx_form.pb.cc ${folder}/onnx_form.pb.h
    COMMAND protobuf::protoc --cpp_out=${folder} --proto_path=${folder} onnx_form.proto
    DEPENDS ${folder}/onnx_form.proto VERBATIM)
  set_source_files_properties(${folder}/onnx_form.pb.cc PROPERTIES
    SKIP_UNITY_BUILD_INCLUSION ON COMPILE_OPTIONS "-w;-fvisibility=hidden;-O2")
  target_sources(${target} PRIVATE ${folder}/onnx_form.pb.cc)
endfunction()
