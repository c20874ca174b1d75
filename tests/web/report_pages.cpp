// report_pages <folder>: writes the example reports as pages, for check_page.mjs to open.

#include <filesystem>

#include "report_examples.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  residua::write_report(folder / "typical.html", residua::typical_report());
  residua::write_report(folder / "bare.html", residua::bare_report());
  residua::write_report(folder / "hostile.html", residua::hostile_report());
  residua::write_report(folder / "huge.html", residua::huge_report());
}
