// `residua data`

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "app/commands.h"
#include "residua/core/error.h"
#include "residua/data/dataset.h"
#include "residua/data/download.h"
#include "residua/data/locate.h"
#include "residua/data/sources.h"
#include "residua/io/image.h"

namespace residua::app {

namespace {

bool is_published(const std::string& name) {
  for (const PublishedDataset& dataset : published_datasets())
    if (dataset.name == name) return true;
  return false;
}

int list_data(bool json) {
  Json list = Json::array();
  for (const std::string& name : datasets().list()) {
    const bool here = is_published(name) && std::filesystem::is_directory(downloaded_folder(name));
    const std::string& help = datasets().find(name).info.help;
    list.push_back(
        {{"name", name}, {"help", help}, {"published", is_published(name)}, {"downloaded", here}});
    if (!json)
      fmt::print("{:<16}{:<14}{}\n", name,
                 here                 ? "downloaded"
                 : is_published(name) ? "can be got"
                                      : "",
                 help);
  }
  if (json) fmt::print("{}\n", list.dump(1));
  return 0;
}

// One line that is written over on a terminal; elsewhere a line for each file when it is complete.
class ProgressLine {
 public:
  void operator()(const DownloadProgress& p) {
    const bool complete = p.total && p.bytes == *p.total;
    if (!on_terminal_ && !complete) return;
    const auto mega = [](double bytes) { return fmt::format("{:.1f} MB", bytes / 1e6); };
    std::string line = fmt::format("{}: {}", p.file, mega(static_cast<double>(p.bytes)));
    if (p.total) line += fmt::format(" of {}", mega(static_cast<double>(*p.total)));
    line += fmt::format(", {}/s", mega(p.bytes_per_second));
    if (p.seconds_left && !complete) line += fmt::format(", {:.0f} s left", *p.seconds_left);
    if (on_terminal_) line = "\r\033[K" + line;
    if (complete || !on_terminal_) line += "\n";
    fmt::print(stderr, "{}", line);
  }

 private:
  bool on_terminal_ = isatty(STDERR_FILENO) != 0;
};

int get_data(const DataArguments& a) {
  const std::string folder = get_dataset(a.name, {.progress = ProgressLine()}, a.out);
  if (a.json)
    fmt::print("{}\n", Json{{"name", a.name}, {"folder", folder}}.dump());
  else
    fmt::print("{}\n", folder);
  return 0;
}

int print_path(const DataArguments& a) {
  const std::string folder = downloaded_folder(find_published(a.name).name);
  if (a.json)
    fmt::print("{}\n", Json{{"name", a.name},
                            {"folder", folder},
                            {"exists", std::filesystem::is_directory(folder)}}
                           .dump());
  else
    fmt::print("{}\n", folder);
  return 0;
}

int write_sample(const DataArguments& a) {
  if (a.out.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "--out", .rule = "is needed", .expected = "the PNG file to write"});
  const auto test = datasets().create(a.name)->test;
  if (!test)
    throw Error(ErrorKind::unsupported, {.where = a.name, .rule = "is text and has no images"});
  if (a.index >= test->size())
    throw Error(ErrorKind::invalid_argument,
                {.where = "--index",
                 .rule = fmt::format("is beyond the test images of {}", a.name),
                 .expected = fmt::format("0 to {}", test->size() - 1),
                 .received = std::to_string(a.index)});
  const Sample sample = test->get(a.index);
  write_png(a.out, sample.image);
  const std::string label = test->info().classes.at(static_cast<size_t>(sample.label));
  if (a.json)
    fmt::print("{}\n", Json{{"file", a.out}, {"label", label}, {"index", a.index}}.dump());
  else
    fmt::print("{}: {}\n", a.out, label);
  return 0;
}

}  // namespace

int data(const DataArguments& a) {
  if (a.action == "list") return list_data(a.json);
  if (a.name.empty())
    throw Error(ErrorKind::invalid_argument, {.where = "residua data " + a.action,
                                              .rule = "needs the name of a data set",
                                              .hint = "`residua data list` shows them"});
  if (a.action == "get") return get_data(a);
  if (a.action == "path") return print_path(a);
  return write_sample(a);
}

}  // namespace residua::app
