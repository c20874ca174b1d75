#include "residua/core/error.h"

#include <cstring>
#include <numeric>

namespace residua {

namespace {

std::string compose(const ErrorText& text) {
  std::string message;
  const auto sentence = [&message](std::string_view lead, const std::string& words) {
    if (words.empty()) return;
    message.append(lead).append(words);
    if (words.back() != '.' && words.back() != '?') message += '.';
  };
  if (!text.where.empty()) message += "[" + text.where + "] ";
  sentence("", text.rule);
  sentence(" Expected ", text.expected);
  sentence(" Received ", text.received);
  sentence(" Hint: ", text.hint);
  return message;
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument: return "invalid argument";
    case ErrorKind::shape: return "shape";
    case ErrorKind::not_found: return "not found";
    case ErrorKind::corrupt_file: return "corrupt file";
    case ErrorKind::limit: return "limit";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::io: return "io";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

Error::Error(ErrorKind kind, const ErrorText& text)
    : std::runtime_error(compose(text)), kind_(kind), text_(text) {}

void throw_io_error(std::string_view path, std::string_view operation, int code) {
  throw Error(code == ENOENT ? ErrorKind::not_found : ErrorKind::io,
              {.where = std::string(path),
               .rule = "could not " + std::string(operation) + ": " + std::strerror(code)});
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

std::string format_nearest(std::vector<std::pair<size_t, std::string>> scored) {
  if (scored.empty()) return {};
  std::stable_sort(scored.begin(), scored.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (scored.size() > 3) scored.resize(3);
  std::string hint = "did you mean ";
  for (size_t i = 0; i < scored.size(); ++i) {
    if (i > 0) hint += i + 1 == scored.size() ? " or " : ", ";
    hint += "'" + scored[i].second + "'";
  }
  return hint + "?";
}

}  // namespace residua
