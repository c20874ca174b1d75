#include "residua/recipes/job_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/io/atomic_file.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

constexpr size_t kKeyDigits = 16;

std::string hash_of(const Json& identity) {
  const std::string text = json_text(identity);
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace

JobSlot::JobSlot(const std::string& cache, const std::string& name, const Json& identity)
    : identity_{{"engine", kRecipeEngineVersion}, {"job", identity}},
      key_(hash_of(identity_)),
      folder_(cache + "/" + name + "-" + key_.substr(0, kKeyDigits)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw_io_error(folder_, "create the folder", error.value());
  const std::string path = folder_ + "/lock";
  descriptor_ = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw_io_error(path, "open the file", errno);
}

JobSlot::~JobSlot() { close(descriptor_); }

bool JobSlot::lock(const std::function<bool()>& stop) {
  bool told = false;
  while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw_io_error(folder_ + "/lock", "lock", errno);
    if (stop && stop()) return false;
    if (!std::exchange(told, true))
      log_message(LogLevel::info, "[" + folder_ + "] is run by another process; waiting for it");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return true;
}

std::optional<JobResult> JobSlot::load() const {
  const std::string path = folder_ + "/result.json";
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  try {
    const Json json = parse_json(text.str(), path);
    if (json.at("identity") == identity_) return job_result_from_json(json.at("result"));
    log_message(LogLevel::warning, "[" + path + "] is of another job, which is run again");
  } catch (const std::exception& e) {
    log_message(LogLevel::warning,
                "[" + path + "] cannot be read, so the job is run again: " + e.what());
  }
  return std::nullopt;
}

void JobSlot::store(const JobResult& result) {
  const Json json{{"identity", identity_}, {"result", job_result_to_json(result)}};
  write_file_atomic(folder_ + "/result.json", json.dump(1) + "\n");
}

void JobSlot::forget_before(const std::optional<fs::file_time_type>& since) {
  if (!since) return;
  std::error_code missing;
  const auto finished = fs::last_write_time(folder_ + "/result.json", missing);
  if (!missing && finished >= *since) return;
  for (const auto& entry : fs::directory_iterator(folder_))
    if (entry.path().filename() != "lock") fs::remove_all(entry.path());
}

}  // namespace residua
