#pragma once
// The bundled page of web/gallery, made at build time (cmake/ResiduaWeb.cmake), with the marks
// {{title}} and {{data}}.

#include <string_view>

namespace residua {

std::string_view gallery_template();

}  // namespace residua
