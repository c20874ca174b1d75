#pragma once
// The bundled page of web/report, made at build time (cmake/ResiduaWeb.cmake), with the marks
// {{title}} and {{data}}.

#include <string_view>

namespace residua {

std::string_view report_template();

}  // namespace residua
