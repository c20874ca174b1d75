#include "app/bench_cold.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "residua/core/error.h"
#include "residua/core/log.h"

namespace residua::app {

namespace {

// What goes through the pipe: seconds, or nothing where the run failed.
using Seconds = std::array<double, 3>;

[[noreturn]] void run_child(int pipe, const BenchSource& source, const BenchRequest& request,
                            const BenchArguments& a) {
  set_log_sink({});  // the other process says the same again
  bool done = false;
  try {
    const BenchResult result = run_first(bench_variant(open_subject(source), request, a));
    const Seconds seconds{result.open_seconds, result.compile_seconds, result.first_seconds};
    done = write(pipe, seconds.data(), sizeof seconds) == sizeof seconds;
  } catch (...) {
  }
  _exit(done ? 0 : 1);
}

bool read_seconds(int pipe, Seconds& seconds) {
  auto* to = reinterpret_cast<char*>(seconds.data());
  size_t got = 0;
  while (got < sizeof seconds) {
    const ssize_t count = read(pipe, to + got, sizeof seconds - got);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    got += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

ColdStart measure_cold_start(const BenchSource& source, const BenchRequest& request,
                             const BenchArguments& a) {
  int ends[2];
  if (pipe(ends) != 0) throw_io_error("the first run", "make a pipe", errno);
  const pid_t child = fork();
  if (child < 0) throw_io_error("the first run", "make a process", errno);
  if (child == 0) run_child(ends[1], source, request, a);
  close(ends[1]);
  Seconds seconds{};
  const bool done = read_seconds(ends[0], seconds);
  close(ends[0]);
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
  }
  if (!done) {
    // The failure as this process meets it, with its sentence.
    run_first(bench_variant(open_subject(source), request, a));
    throw Error(ErrorKind::unsupported,
                {.where = source.path,
                 .rule = "its first run ended before it was done",
                 .received = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                                 : fmt::format("status {}", WEXITSTATUS(status)),
                 .hint = "there may be too little memory"});
  }
  return {seconds[0], seconds[1], seconds[2], int64_t{used.ru_maxrss} * 1024};
}

}  // namespace residua::app
