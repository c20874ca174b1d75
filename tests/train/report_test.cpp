#include "residua/train/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>

#include "report_examples.h"
#include "residua/core/error.h"
#include "residua/core/random.h"
#include "residua/train/report_data.h"

namespace residua {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

// The element that the page's script reads, found as a browser does: it ends at the first
// "</script".
std::string data_text(const std::string& page) {
  const std::string opening = "<script id=\"data\" type=\"application/json\">";
  const size_t begin = page.find(opening) + opening.size();
  return page.substr(begin, page.find("</script", begin) - begin);
}

Json data_of(const Report& report) { return parse_json(data_text(render_report(report)), "page"); }

Image decode_data_url(const std::string& url) {
  const std::string head = "data:image/png;base64,";
  EXPECT_EQ(url.substr(0, head.size()), head);
  const std::string text = url.substr(head.size());
  std::vector<std::byte> bytes(text.size() / 4 * 3);
  EXPECT_EQ(EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                            reinterpret_cast<const unsigned char*>(text.data()),
                            static_cast<int>(text.size())),
            static_cast<int>(bytes.size()));
  bytes.resize(bytes.size() - std::count(text.begin(), text.end(), '='));
  return decode_image(bytes, "sample");
}

ErrorKind kind_of(const Report& report) {
  try {
    render_report(report);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::internal;
}

Image noise(int64_t side, Random& random) {
  Image image{.height = side, .width = side, .channels = 3};
  for (int64_t i = 0; i < side * side * 3; ++i)
    image.pixels.push_back(static_cast<uint8_t>(random.bits()));
  return image;
}

}  // namespace

TEST(Report, HoldsWhatItWasGiven) {
  const Report report = typical_report();
  const Json data = data_of(report);
  EXPECT_EQ(data["title"], report.title);
  EXPECT_EQ(data["classes"], Json(report.classes));
  EXPECT_EQ(data["summary"][0], Json({"Test accuracy", "98.6 %"}));
  EXPECT_EQ(data["environment"][2], Json({"cpu.model", "2 cores of a virtual machine"}));
  EXPECT_THAT(data["configuration"].get<std::string>(), testing::HasSubstr("momentum = 0.9"));
  ASSERT_EQ(data["series"].size(), report.series.size());
  EXPECT_EQ(data["series"][0]["x"].size(), report.series[0].x.size());
  for (size_t i = 0; i < report.series[0].y.size(); ++i)
    EXPECT_NEAR(data["series"][0]["y"][i].get<double>(), report.series[0].y[i], 1e-5);
  EXPECT_EQ(data["samples"]["total"], 12);
  EXPECT_EQ(data["samples"]["shown"].size(), 12u);
  EXPECT_EQ(data["texts"][0]["title"], "Prompt");
  EXPECT_EQ(data["texts"][0]["text"], "ROMEO:\n");
  EXPECT_EQ(data["most_confused"]["shown"][0]["label"], 8);
}

TEST(Report, HostileTextStaysText) {
  const Report report = hostile_report();
  const std::string page = render_report(report), plain = render_report(bare_report());
  for (const char* part : {"<script", "</script", "<img", "<!--"})
    EXPECT_EQ(count(page, part), count(plain, part)) << part;
  EXPECT_THAT(page, testing::HasSubstr("<title>&lt;/script&gt;&lt;img src=x onerror="));
  const std::string text = data_text(page);
  EXPECT_TRUE(std::all_of(text.begin(), text.end(),
                          [](char c) { return c >= ' ' && c < 127 && c != '<'; }));
  const Json data = parse_json(text, "page");
  EXPECT_EQ(data["title"], report.title);
  EXPECT_EQ(data["classes"][0], report.classes[0]);
  EXPECT_EQ(data["classes"][1], "line\u2028and\u2029paragraph & \"quotes\" \ufffd not UTF-8");
}

TEST(Report, LoadsNothing) {
  for (const Report& report : {typical_report(), bare_report()}) {
    const std::string page = render_report(report);
    const std::regex load(R"((?:\bsrc|\bhref)\s*=\s*["']([^"']*)|url\(\s*["']?([^"')]*)|(@import))",
                          std::regex::icase);
    const std::string head = page.substr(0, page.find("<script id=\"data\""));
    const std::string tail = page.substr(page.find("</script>"));
    for (const std::string& part : {head, tail})
      for (std::sregex_iterator it(part.begin(), part.end(), load), end; it != end; ++it)
        EXPECT_THAT((*it)[1].str() + (*it)[2].str(),
                    testing::AnyOf(testing::StartsWith("#"), testing::StartsWith("data:")))
            << it->str();
    EXPECT_EQ(count(page, "http://"), count(page, "http://www.w3.org/2000/svg"));  // a name
    EXPECT_EQ(count(page, "https://"), count(page, "/*! https://github.com/leeoniya/uPlot"));
    EXPECT_EQ(count(page, "default-src 'none'"), 1u);
    EXPECT_THAT(page, testing::HasSubstr("The MIT License"));
    EXPECT_EQ(count(page, "{{"), 0u);
  }
}

TEST(Report, PartsMayBeAbsent) {
  const Json data = data_of(bare_report());
  EXPECT_TRUE(data["series"].empty());
  EXPECT_EQ(data["confusion"]["size"], 0);
  EXPECT_EQ(data["samples"]["total"], 0);
  EXPECT_EQ(data["configuration"], "");
}

TEST(Report, StaysUnderFiveMegabytes) {
  Report report = huge_report();
  for (auto& row : report.confusion)
    for (int64_t& cell : row) cell += 1'000'000;
  Random random(3);
  for (auto* samples : {&report.samples, &report.most_confused})
    for (ReportSample& sample : *samples) sample.image = noise(112, random);
  for (int i = 0; i < 40; ++i) {
    ReportSeries series{"probe " + std::to_string(i) + "/norm", "step", {}, {}};
    for (int k = 0; k < 20'000; ++k) {
      series.x.push_back(1e6 + k);
      series.y.push_back(k % 3 == 0 ? kNan : random.normal() * 1e-7);
    }
    report.series.push_back(std::move(series));
  }
  const std::string page = render_report(report);
  EXPECT_LT(page.size(), 5'000'000u);
  const Json data = parse_json(data_text(page), "page");
  EXPECT_EQ(data["samples"]["total"], 200);
  EXPECT_LT(data["samples"]["shown"].size(), 200u);
  EXPECT_GT(data["samples"]["shown"].size(), 5u);
}

TEST(Report, MissingValuesAreGaps) {
  const Json data = report_series_data(
      {"a", "step", {1, 2, 3, kInfinity, 5}, {0.5, kNan, -kInfinity, 1, 2}}, 100);
  EXPECT_EQ(data["x"], Json({1, 2, 3, 5}));
  EXPECT_EQ(data["y"], Json({0.5, nullptr, nullptr, 2}));
  EXPECT_EQ(data["gaps"], 2);
}

TEST(Report, PointsAreOrderedByX) {
  const Json data = report_series_data({"a", "step", {3, 1, 2}, {30, 10, 20}}, 100);
  EXPECT_EQ(data["x"], Json({1, 2, 3}));
  EXPECT_EQ(data["y"], Json({10, 20, 30}));
}

TEST(Report, ThinningKeepsExtremesEndsAndGaps) {
  ReportSeries series{"a", "step", {}, {}};
  Random random(5);
  for (int i = 0; i < 100'000; ++i) {
    series.x.push_back(i);
    series.y.push_back(random.uniform());
  }
  series.y[31'417] = 50;
  series.y[31'418] = -50;
  series.y[77'777] = kNan;
  const Json data = report_series_data(series, 1000);
  EXPECT_EQ(data["points"], 100'000);
  EXPECT_LE(data["x"].size(), 1010u);
  const auto at = [&](int x) {
    const auto found = std::find(data["x"].begin(), data["x"].end(), Json(x));
    return found == data["x"].end() ? Json("absent") : data["y"][found - data["x"].begin()];
  };
  EXPECT_EQ(at(31'417), 50);
  EXPECT_EQ(at(31'418), -50);
  EXPECT_EQ(at(77'777), nullptr);
  EXPECT_EQ(data["x"].front(), 0);
  EXPECT_EQ(data["x"].back(), 99'999);
  for (size_t begin = 0; begin < 100'000;
       begin += 200) {  // each interval's extremes, by a plain scan
    size_t least = begin, greatest = begin;
    for (size_t i = begin; i < begin + 200; ++i) {
      if (series.y[i] < series.y[least]) least = i;
      if (series.y[i] > series.y[greatest]) greatest = i;
    }
    EXPECT_NE(at(static_cast<int>(least)), "absent");
    EXPECT_NE(at(static_cast<int>(greatest)), "absent");
  }
}

TEST(Report, ConfusionCounts) {
  const Json data = report_confusion_data({{5, 1, 0}, {2, 7, 0}, {0, 3, 0}}, 100);
  EXPECT_EQ(data["block"], 1);
  EXPECT_EQ(data["cells"], Json({0, 0, 5, 0, 1, 1, 1, 0, 2, 1, 1, 7, 2, 1, 3}));
  EXPECT_EQ(data["rows"], Json({6, 9, 3}));
  EXPECT_EQ(data["columns"], Json({7, 11, 0}));
  EXPECT_EQ(data["correct"], Json({5, 7, 0}));
  EXPECT_EQ(data["worst"], Json::parse("[[2,1,3],[1,0,2],[0,1,1]]"));
}

TEST(Report, ManyCellsAreSummedInBlocks) {
  Random random(2);
  std::vector<std::vector<int64_t>> confusion(50, std::vector<int64_t>(50));
  int64_t total = 0;
  for (auto& row : confusion)
    for (int64_t& cell : row) total += cell = random.integer(1, 9);
  const Json data = report_confusion_data(confusion, 200);
  EXPECT_EQ(data["block"], 4);  // 13 x 13 = 169 cells; 17 x 17 would be 289
  int64_t sum = 0;
  for (size_t k = 2; k < data["cells"].size(); k += 3) sum += data["cells"][k].get<int64_t>();
  EXPECT_EQ(sum, total);
  EXPECT_EQ(data["size"], 50);
  EXPECT_EQ(data["rows"].size(), 50u);
}

TEST(Report, ThumbnailsAreMeansOfPixels) {
  ReportSample sample{.image = {.height = 100, .width = 224, .channels = 3}};
  for (int y = 0; y < 100; ++y)
    for (int x = 0; x < 224; ++x)
      for (const int value : {x % 2 ? 200 : 100, 2 * y / 2 * 2, 7})
        sample.image.pixels.push_back(static_cast<uint8_t>(value));
  const Json shown = report_samples_data({sample}, 1'000'000)["shown"][0];
  EXPECT_EQ(shown["width"], 224);
  const Image small = decode_data_url(shown["image"]);
  ASSERT_EQ(small.width, 112);
  ASSERT_EQ(small.height, 50);
  ASSERT_EQ(small.channels, 3);
  for (int y = 0; y < 50; ++y)
    for (int x = 0; x < 112; ++x) {
      const uint8_t* pixel = &small.pixels[(y * 112 + x) * 3];
      EXPECT_EQ(pixel[0], 150);
      EXPECT_EQ(pixel[1], 4 * y + 1);  // rows 2y and 2y+1 hold 4y and 4y+2
      EXPECT_EQ(pixel[2], 7);
    }
}

TEST(Report, SmallPicturesAreUnchanged) {
  const Report report = typical_report();
  const Image decoded =
      decode_data_url(report_samples_data(report.samples, 1'000'000)["shown"][3]["image"]);
  EXPECT_EQ(decoded.pixels, report.samples[3].image.pixels);
}

TEST(Report, RefusesWhatDoesNotFit) {
  EXPECT_EQ(kind_of({.title = "x", .series = {{"a", "step", {1, 2}, {1}}}}), ErrorKind::shape);
  EXPECT_EQ(kind_of({.title = "x", .confusion = {{1, 2}, {3}}}), ErrorKind::shape);
  EXPECT_EQ(kind_of({.title = "x", .classes = {"one"}, .confusion = {{1, 2}, {3, 4}}}),
            ErrorKind::shape);
  EXPECT_EQ(kind_of({.title = "x", .confusion = {{1, -2}, {3, 4}}}), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({.title = "x", .configuration = Json::array({1})}),
            ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({.title = "x", .summary = "98 %"}), ErrorKind::invalid_argument);
  ReportSample sample{.image = {.height = 2, .width = 2, .channels = 3, .pixels = {1, 2, 3}}};
  EXPECT_EQ(kind_of({.title = "x", .samples = {sample}}), ErrorKind::shape);
}

TEST(Report, IsWrittenWhole) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "report_test";
  std::filesystem::create_directories(folder);
  write_report(folder / "report.html", typical_report());
  std::ostringstream text;
  text << std::ifstream(folder / "report.html", std::ios::binary).rdbuf();
  EXPECT_EQ(text.str(), render_report(typical_report()));
  std::filesystem::remove_all(folder);
  EXPECT_THROW(write_report(folder / "absent" / "report.html", bare_report()), Error);
}

}  // namespace residua
