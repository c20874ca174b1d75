#include "residua/recipes/recipe.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/core/error.h"

namespace residua {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kSource = RESIDUA_SOURCE_DIR;
const std::string kFixture = kSource + "/tests/recipes/fixtures/shortcuts.toml";

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The fixture with `from` replaced by `to`, in a folder of its own.
class EditedRecipe {
 public:
  EditedRecipe(const std::string& from, const std::string& to) {
    std::string text = text_of(kFixture);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    fs::create_directories(folder_);
    std::ofstream(path()) << text;
  }
  ~EditedRecipe() { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/shortcuts.toml"; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_ = testing::TempDir() + "recipe-" + std::to_string(getpid());
};

void expect_refused(const std::string& from, const std::string& to, const std::string& where,
                    const std::string& words) {
  const EditedRecipe edited(from, to);
  try {
    read_recipe(edited.path());
    ADD_FAILURE() << "not refused: " << to;
  } catch (const Error& e) {
    EXPECT_NE(e.kind(), ErrorKind::internal) << e.what();
    EXPECT_THAT(e.text().where, HasSubstr(edited.path() + ": " + where)) << e.what();
    EXPECT_THAT(e.what(), HasSubstr(words));
  }
}

TEST(Recipe, reads_jobs_claims_and_scales) {
  const Recipe r = read_recipe(kFixture);
  EXPECT_EQ(r.slug, "shortcuts");
  ASSERT_EQ(r.jobs.size(), 3u);
  EXPECT_EQ(r.jobs[0].label, "x + f(x)");
  EXPECT_EQ(r.jobs[2].label, "scaled");
  EXPECT_EQ(r.jobs[2].source(), "identity");
  EXPECT_EQ(r.seeds_at(Scale::small), 2);
  EXPECT_EQ(r.seeds_at(Scale::full), 3);
  EXPECT_TRUE(r.claims[0].speaks_at(Scale::smoke));
  EXPECT_FALSE(r.claims[1].speaks_at(Scale::full));
}

TEST(Recipe, changes_of_a_scale_are_merged_over_the_configuration) {
  const Recipe r = read_recipe(kFixture);
  const Json smoke = r.jobs[1].settings(Scale::smoke), small = r.jobs[1].settings(Scale::small);
  EXPECT_EQ(smoke.at("epochs"), 2);
  EXPECT_EQ(small.at("epochs"), 4);
  EXPECT_EQ(smoke.at("model").at("depth"), 2);
  EXPECT_EQ(small.at("model").at("depth"), 3);
  EXPECT_EQ(smoke.at("model").at("connection"), "none");
}

TEST(Recipe, refuses_what_its_form_does_not_know) {
  expect_refused("year = 2015", "yeer = 2015", "yeer", "did you mean 'year'");
  expect_refused("year = 2015", "year = \"2015\"", "year", "cannot take");
  expect_refused("year = 2015", "", "year", "is missing");
  expect_refused("slug = \"shortcuts\"", "slug = \"other\"", "slug", "name of the file");
  expect_refused("kind = \"train\"", "kind = \"trian\"", "job.identity.kind", "'train'");
  expect_refused("label = \"x + f(x)\"", "lable = \"x\"", "job.identity.lable", "'label'");
  expect_refused("config = {", "config = 3 #", "job.identity.config", "must be a table");
  expect_refused("smoke = {seeds = 1}", "smoke = {seeds = 0}", "scale.smoke.seeds", "in [1, 1000]");
  expect_refused("smoke = {seeds = 1}", "tiny = {seeds = 1}", "scale.tiny", "is not an option");
}

TEST(Recipe, refuses_unknown_components_with_the_nearest_names) {
  expect_refused("connection/identity", "connection/identiy", "components: connection/identiy",
                 "did you mean 'identity'");
  expect_refused("connection/identity", "conection/identity", "components: conection/identity",
                 "did you mean 'connection'");
  expect_refused("connection = \"none\"", "connection = \"nun\"", "job.plain.smoke: nun",
                 "not the name of a connection");
  expect_refused("model = {name = \"mlp\", depth = 3", "model = {name = \"mlp\", deph = 3",
                 "job.identity.smoke: model.deph", "did you mean 'depth'");
  expect_refused("smoke = {epochs = 2", "small = {data = \"digts\"}\nsmoke = {epochs = 2",
                 "job.identity.small: digts", "'digits'");
}

TEST(Recipe, refuses_jobs_that_hang_in_the_air) {
  expect_refused("from = \"identity\"", "from = \"identty\"", "job.scaled.from", "'identity'");
  expect_refused("from = \"identity\"", "of = \"identity\"", "job.scaled.of", "is for probes");
  expect_refused("name = \"plain\"", "name = \"identity\"", "job.identity", "is there twice");
  expect_refused("name = \"plain\"", "name = \"Plain\"", "job.Plain.name", "small letters");
  expect_refused("name = \"identity\"\n", "name = \"identity\"\nscales = [\"small\"]\n",
                 "job.scaled.from", "does not run at the scale smoke");
  expect_refused("name = \"identity\"\n", "name = \"identity\"\nscales = [\"huge\"]\n",
                 "job.identity.scales", "Expected smoke, small, full");
}

TEST(Recipe, refuses_claims_over_what_there_is_not) {
  expect_refused("identity.test.top1", "identitty.test.top1", "claim.learns.value",
                 "did you mean 'identity'");
  expect_refused("identity.test.top1", "identity.secnds", "claim.learns.value",
                 "did you mean 'seconds'");
  expect_refused("identity.test.top1", "identity.test.top1 +", "claim.learns.value",
                 "is not an expression");
  expect_refused("identity.test.top1", "top1", "claim.learns.value", "without its job");
  expect_refused("at_least = 0.5", "", "claim.learns", "has no bound");
  expect_refused("name = \"plain\"\n", "name = \"plain\"\nscales = [\"small\", \"full\"]\n",
                 "claim.same_size", "speaks at the scale smoke of the job plain");
}

TEST(Recipe, a_malformed_file_leaves_the_others) {
  const EditedRecipe edited("year = 2015", "yeer = 2015");
  fs::copy_file(kFixture, edited.folder() + "/other.toml");
  std::ofstream(edited.folder() + "/broken.toml") << "slug = ";
  std::ofstream(edited.folder() + "/notes.txt") << "no recipe";
  const RecipeFolder all = read_recipes(edited.folder());
  EXPECT_TRUE(all.recipes.empty());  // `other` has another slug than its file
  ASSERT_EQ(all.malformed.size(), 3u);
  EXPECT_THAT(all.malformed[0].sentence, HasSubstr("not valid TOML"));
  EXPECT_EQ(all.malformed[0].family, "");
  EXPECT_EQ(all.malformed[2].family, "fixtures");
  EXPECT_EQ(read_recipes(kSource + "/tests/recipes/fixtures").recipes.size(), 1u);
  EXPECT_THROW(read_recipes(edited.folder() + "/none"), Error);
}

// Every recipe of the collection: its form, its components, its settings at every scale.
TEST(Papers, all_are_well_formed) {
  if (!fs::exists(kSource + "/papers")) GTEST_SKIP() << "there are no papers yet";
  const RecipeFolder papers = read_recipes(kSource + "/papers");
  for (const auto& malformed : papers.malformed) ADD_FAILURE() << malformed.sentence;
  for (const Recipe& r : papers.recipes) {
    EXPECT_FALSE(r.authors.empty()) << r.file;
    EXPECT_FALSE(r.claims.empty()) << r.file;
  }
}

}  // namespace
}  // namespace residua
