#pragma once
// Every failure that Residua reports is one `residua::Error`: a kind, for programs, and one
// sentence, for people.
//
//   throw Error(ErrorKind::invalid_argument, {.where = "optim.lr", .rule = "must be positive",
//                                             .expected = "a number > 0", .received = "-0.1"});
//
// prints as
//
//   [optim.lr] must be positive. Expected a number > 0. Received -0.1.

#include <stdexcept>
#include <string>
#include <string_view>

namespace residua {

enum class ErrorKind {
  invalid_argument,  // an option or argument breaks its rule
  shape,             // tensor sizes do not fit together
  not_found,         // a name, file or key that does not exist
  corrupt_file,      // bytes that break their format
  limit,             // a format or resource limit is exceeded
  unsupported,       // valid, but this build or machine cannot do it
  io,                // the operating system refused
  internal,          // our own bug
};

std::string_view to_string(ErrorKind kind);

// The parts of a message; only `rule` is needed, the empty ones are left out.
struct ErrorText {
  std::string where = {};     // module path, option name, file name or `file: tensor`
  std::string rule = {};      // what must hold, or what went wrong
  std::string expected = {};  // what would be right
  std::string received = {};  // what was found
  std::string hint = {};      // what to do
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const ErrorText& text);

  ErrorKind kind() const { return kind_; }
  const ErrorText& text() const { return text_; }

  // Process exit status of the command: 70 for our own bug, 2 for everything the user can mend.
  int exit_code() const { return kind_ == ErrorKind::internal ? 70 : 2; }

 private:
  ErrorKind kind_;
  ErrorText text_;
};

// Throws ErrorKind::io with the sentence of `errno` (or of `code`) for a failed operation on
// `path`.
[[noreturn]] void throw_io_error(std::string_view path, std::string_view operation, int code);

// Of `candidates`, those close enough to `name` to be what was meant: nearest first, at most
// `most`. Used for "unknown key" and "unknown model" hints.
template <class Range>
std::string nearest_names_hint(std::string_view name, const Range& candidates);

// Levenshtein distance, counting a swap of neighbours as one edit.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace residua

#include "residua/core/error_hint.h"
