#include "residua/data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>

#include "residua/core/error.h"
#include "residua/data/digest.h"

namespace residua {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr long kHttpOk = 200, kHttpPartial = 206, kHttpNotFound = 404, kHttpGone = 410,
               kHttpBadRange = 416;

// One try of one file: appends to the partial file what the server sends.
class Transfer {
 public:
  Transfer(std::string url, std::string part, std::string file, const DownloadOptions& options)
      : url_(std::move(url)),
        part_(std::move(part)),
        file_(std::move(file)),
        options_(options),
        begun_(Clock::now()) {
    descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw_io_error(part_, "create", errno);
    present_ = ::lseek(descriptor_, 0, SEEK_END);
  }
  ~Transfer() { ::close(descriptor_); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // False: the server refused the range, and the partial file is empty now; try again.
  bool run();

 private:
  static size_t on_data(char* data, size_t, size_t size, void* self) {
    return static_cast<Transfer*>(self)->guarded([&](Transfer& t) { t.take(data, size); }) ? size
                                                                                           : 0;
  }
  static int on_progress(void* self, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(self)->guarded([&](Transfer& t) { t.report(total, false); }) ? 0
                                                                                               : 1;
  }
  // Exceptions must not pass through libcurl.
  template <class Action>
  bool guarded(Action&& action) {
    try {
      action(*this);
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

  void configure();
  void take(const char* data, size_t size);
  void begin_body();
  void restart();
  void report(int64_t body_total, bool last);
  void check_result(CURLcode result, const char* details);
  long status() const {
    long code = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  std::string url_, part_, file_;
  const DownloadOptions& options_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_{curl_easy_init(), curl_easy_cleanup};
  int descriptor_ = -1;
  int64_t present_ = 0, received_ = 0;
  bool body_begun_ = false, keep_body_ = false;
  Clock::time_point begun_, reported_{};
  std::exception_ptr failure_;
};

void Transfer::configure() {
  CURL* curl = curl_.get();
  curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "residua");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                   static_cast<long>(std::max(1.0, options_.stall_seconds)));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_data);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  if (present_ > 0) curl_easy_setopt(curl, CURLOPT_RANGE, fmt::format("{}-", present_).c_str());
}

bool Transfer::run() {
  if (!curl_)
    throw Error(ErrorKind::internal, {.where = url_, .rule = "libcurl could not be started"});
  char details[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl_.get(), CURLOPT_ERRORBUFFER, details);
  configure();
  const CURLcode result = curl_easy_perform(curl_.get());
  if (failure_) std::rethrow_exception(failure_);
  if (result == CURLE_OK && status() == kHttpBadRange && present_ > 0) {
    restart();
    return false;
  }
  check_result(result, details);
  begin_body();  // an empty body never came to take()
  if (::fsync(descriptor_) != 0) throw_io_error(part_, "sync", errno);
  report(received_, true);
  return true;
}

// What the status says about the bytes to come: a continuation, the whole file, or an error page.
void Transfer::begin_body() {
  if (body_begun_) return;
  body_begun_ = true;
  const long code = status();
  keep_body_ = code == kHttpOk || code == kHttpPartial;
  if (code == kHttpOk && present_ > 0) restart();
}

void Transfer::restart() {
  if (::ftruncate(descriptor_, 0) != 0) throw_io_error(part_, "truncate", errno);
  ::lseek(descriptor_, 0, SEEK_SET);
  present_ = 0;
}

void Transfer::take(const char* data, size_t size) {
  begin_body();
  if (!keep_body_) return;
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_io_error(part_, "write", errno);
    data += written;
    size -= static_cast<size_t>(written);
    received_ += written;
  }
}

void Transfer::report(int64_t body_total, bool last) {
  if (!options_.progress || (!body_begun_ && !last)) return;
  constexpr auto kInterval = std::chrono::milliseconds(100);
  const Clock::time_point now = Clock::now();
  if (!last && now - reported_ < kInterval) return;
  reported_ = now;
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  DownloadProgress progress{
      .file = file_, .bytes = present_ + received_, .total = {}, .seconds_left = {}};
  progress.bytes_per_second = seconds > 0 ? static_cast<double>(received_) / seconds : 0;
  if (body_total > 0 || last) progress.total = present_ + body_total;
  if (progress.total && progress.bytes_per_second > 0)
    progress.seconds_left =
        static_cast<double>(*progress.total - progress.bytes) / progress.bytes_per_second;
  options_.progress(progress);
}

void Transfer::check_result(CURLcode result, const char* details) {
  if (result != CURLE_OK)
    throw Error(ErrorKind::io, {.where = url_,
                                .rule = "could not be downloaded",
                                .received = *details ? details : curl_easy_strerror(result),
                                .hint = "the next try goes on where this one stopped"});
  const long code = status();
  if (code == kHttpOk || code == kHttpPartial) return;
  if (present_ == 0) ::unlink(part_.c_str());
  throw Error(code == kHttpNotFound || code == kHttpGone ? ErrorKind::not_found : ErrorKind::io,
              {.where = url_,
               .rule = "was not given by the server",
               .received = fmt::format("HTTP status {}", code)});
}

void start_libcurl_once() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

void rename_synced(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_io_error(to, "rename", errno);
  const int folder = ::open(fs::path(to).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

bool is_there(const std::string& path, DigestKind kind, const std::string& digest) {
  return fs::is_regular_file(path) && file_digest(path, kind) == digest;
}

}  // namespace

void download_file(const std::string& url, const std::string& path, DigestKind digest_kind,
                   const std::string& digest, const DownloadOptions& options) {
  if (is_there(path, digest_kind, digest)) return;
  start_libcurl_once();
  const std::string part = path + ".part";
  if (fs::path(path).has_parent_path()) {
    std::error_code failed;
    fs::create_directories(fs::path(path).parent_path(), failed);
    if (failed)
      throw_io_error(fs::path(path).parent_path().string(), "create folder", failed.value());
  }
  // A complete partial file, left when only the renaming was missed, needs no connection.
  if (!is_there(part, digest_kind, digest)) {
    const std::string name = fs::path(path).filename().string();
    if (!Transfer(url, part, name, options).run()) Transfer(url, part, name, options).run();
    const std::string received = file_digest(part, digest_kind);
    if (received != digest) {
      ::unlink(part.c_str());
      throw Error(ErrorKind::corrupt_file,
                  {.where = url,
                   .rule = fmt::format("does not have the published {}",
                                       digest_kind == DigestKind::md5 ? "MD5" : "SHA-256"),
                   .expected = digest,
                   .received = received});
    }
  }
  rename_synced(part, path);
}

}  // namespace residua
