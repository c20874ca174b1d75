// The toy of docs/recipes.md: its files run, and the page shows them as they are.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "examples/fading/fading.h"
#include "residua/recipes/gallery.h"
#include "residua/recipes/reproduce.h"

namespace residua {
namespace {

const std::string kExamples = std::string(RESIDUA_SOURCE_DIR) + "/examples/fading";

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Example, a_connection_and_a_recipe_are_all_it_takes) {
  if (!connections().contains("fading")) add_fading_connection(connections());
  const std::string folder = testing::TempDir() + "fading-" + std::to_string(getpid());
  const Recipe recipe = read_recipe(kExamples + "/fading.toml");
  ReproduceOptions options{.scale = Scale::smoke, .results = folder + "/results"};
  options.run.cache = folder + "/cache";
  const Reproduction found = reproduce({recipe}, options);
  EXPECT_TRUE(found.failures.empty()) << found.failures[0];
  EXPECT_EQ(found.results.at(0).at("verdict"), "held") << found.results.at(0).at("claims").dump(1);
  const Json diagrams = connection_diagrams(recipe);
  ASSERT_EQ(diagrams.size(), 1u);  // both rates describe themselves alike
  EXPECT_EQ(diagrams[0].at("merge"), "x + rate^t f(x)");
  std::filesystem::remove_all(folder);
}

TEST(Example, the_page_shows_the_files) {
  const std::string page = file_text(std::string(RESIDUA_SOURCE_DIR) + "/docs/recipes.md");
  for (const char* name : {"/fading.h", "/fading.toml"})
    EXPECT_THAT(page, testing::HasSubstr(file_text(kExamples + name))) << name;
}

}  // namespace
}  // namespace residua
