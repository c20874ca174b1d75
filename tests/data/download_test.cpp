#include "residua/data/download.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <thread>

#include "residua/data/digest.h"
#include "residua/data/extract.h"
#include "residua/io/sha256.h"
#include "support.h"

namespace residua {
namespace {

using test::contains;
using test::error_of;
using test::read_text;
using test::TemporaryFolder;
using test::write_bytes;

// Serves what the test sets up on a free port of the loopback interface.
class LocalServer {
 public:
  LocalServer() {
    server.set_tcp_nodelay(true);
    port_ = server.bind_to_any_port("127.0.0.1");
  }
  ~LocalServer() {
    server.stop();
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    thread_ = std::thread([this] { server.listen_after_bind(); });
    while (!server.is_running()) std::this_thread::yield();
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

  httplib::Server server;

 private:
  int port_ = 0;
  std::thread thread_;
};

std::string some_bytes(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = 1;
  for (char& byte : bytes)
    byte = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  return bytes;
}

std::string digest_of_text(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

struct Download : ::testing::Test {
  LocalServer local;
  TemporaryFolder folder;
  const std::string bytes = some_bytes(300'000);
  const std::string target = folder / "deep/file.bin";
  const std::string part = target + ".part";
  std::string range;  // of the last request
  std::atomic<int> requests = 0;

  // httplib answers range requests for whole bodies by itself.
  void serve_whole() {
    local.server.Get("/file.bin",
                     [this](const httplib::Request& request, httplib::Response& response) {
                       ++requests;
                       range = request.get_header_value("Range");
                       response.set_content(bytes, "application/octet-stream");
                     });
    local.run();
  }
  void fetch(const DownloadOptions& options = {}) {
    download_file(local.url("/file.bin"), target, DigestKind::sha256, digest_of_text(bytes),
                  options);
  }
};

TEST_F(Download, FetchesAndReportsProgress) {
  serve_whole();
  std::vector<DownloadProgress> reports;
  fetch({.progress = [&](const DownloadProgress& p) { reports.push_back(p); }});
  EXPECT_EQ(read_text(target), bytes);
  EXPECT_FALSE(std::filesystem::exists(part));
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back().bytes, 300'000);
  EXPECT_EQ(reports.back().total, 300'000);
  EXPECT_EQ(reports.back().seconds_left, 0.0);
  EXPECT_EQ(reports.back().file, "file.bin");
  fetch();  // is there already
  EXPECT_EQ(requests, 1);
}

TEST_F(Download, ResumesAPartialFile) {
  serve_whole();
  write_bytes(part, bytes.substr(0, 123'456));
  std::vector<DownloadProgress> reports;
  fetch({.progress = [&](const DownloadProgress& p) { reports.push_back(p); }});
  EXPECT_EQ(range, "bytes=123456-");
  EXPECT_EQ(read_text(target), bytes);
  EXPECT_EQ(reports.back().bytes, 300'000);
}

TEST_F(Download, ACutConnectionLeavesThePartForTheNextTry) {
  local.server.Get(
      "/file.bin", [this](const httplib::Request& request, httplib::Response& response) {
        if (++requests > 1) {
          range = request.get_header_value("Range");
          response.set_content(bytes, "application/octet-stream");
          return;
        }
        response.set_content_provider(bytes.size(), "application/octet-stream",
                                      [this](size_t offset, size_t, httplib::DataSink& sink) {
                                        if (offset >= 100'000) return false;
                                        return sink.write(bytes.data() + offset, 50'000);
                                      });
      });
  local.run();
  const Error error = error_of([&] { fetch(); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_FALSE(std::filesystem::exists(target));
  EXPECT_EQ(read_text(part), bytes.substr(0, 100'000));
  fetch();
  EXPECT_EQ(range, "bytes=100000-");
  EXPECT_EQ(read_text(target), bytes);
}

TEST_F(Download, BeginsAgainWhereTheServerKnowsNoRanges) {
  local.server.Get("/file.bin",
                   [this](const httplib::Request& request, httplib::Response& response) {
                     const_cast<httplib::Request&>(request).ranges.clear();
                     response.set_content(bytes, "application/octet-stream");
                   });
  local.run();
  write_bytes(part, "something else entirely");
  fetch();
  EXPECT_EQ(read_text(target), bytes);
}

TEST_F(Download, BeginsAgainWhenThePartIsLongerThanTheFile) {
  local.server.Get("/file.bin",
                   [this](const httplib::Request& request, httplib::Response& response) {
                     if (request.has_header("Range")) {
                       const_cast<httplib::Request&>(request).ranges.clear();
                       response.status = 416;
                       return;
                     }
                     response.set_content(bytes, "application/octet-stream");
                   });
  local.run();
  write_bytes(part, bytes + "more");
  fetch();
  EXPECT_EQ(read_text(target), bytes);
}

TEST_F(Download, AWrongDigestLeavesNothing) {
  serve_whole();
  const Error error = error_of([&] {
    download_file(local.url("/file.bin"), target, DigestKind::sha256, digest_of_text("other"), {});
  });
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), digest_of_text(bytes))) << error.what();
  EXPECT_FALSE(std::filesystem::exists(target));
  EXPECT_FALSE(std::filesystem::exists(part));
}

TEST_F(Download, AMissingFileIsNotFound) {
  serve_whole();
  const Error error =
      error_of([&] { download_file(local.url("/none.bin"), target, DigestKind::md5, "0", {}); });
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_TRUE(contains(error.what(), "404")) << error.what();
  EXPECT_FALSE(std::filesystem::exists(part));
}

TEST_F(Download, NoServerIsAnError) {
  EXPECT_EQ(error_of([&] {
              download_file("http://127.0.0.1:1/x", target, DigestKind::md5, "0", {});
            }).kind(),
            ErrorKind::io);
  EXPECT_EQ(error_of([&] {
              download_file("file:///etc/hostname", target, DigestKind::md5, "0", {});
            }).kind(),
            ErrorKind::io);
}

TEST_F(Download, AnExceptionOfTheProgressEndsIt) {
  serve_whole();
  EXPECT_THROW(
      fetch({.progress = [](const DownloadProgress&) { throw std::runtime_error("stop"); }}),
      std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(target));
}

TEST(Digest, Md5AndSha256OfAKnownText) {
  const TemporaryFolder folder;
  write_bytes(folder / "abc", "abc");
  EXPECT_EQ(file_digest(folder / "abc", DigestKind::md5),
            "900150983cd24fb0d6963f7d28e17f72");  // RFC 1321
  EXPECT_EQ(file_digest(folder / "abc", DigestKind::sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
}

struct TarEntry {
  std::string name, content;
  unsigned type = AE_IFREG;
  std::string link = {};
};

void write_tar_gz(const std::string& path, const std::vector<TarEntry>& entries) {
  archive* writer = archive_write_new();
  archive_write_add_filter_gzip(writer);
  archive_write_set_format_ustar(writer);
  ASSERT_EQ(archive_write_open_filename(writer, path.c_str()), ARCHIVE_OK);
  for (const TarEntry& one : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, one.name.c_str());
    archive_entry_set_filetype(entry, one.type);
    archive_entry_set_perm(entry, 0755);
    archive_entry_set_size(entry, static_cast<int64_t>(one.content.size()));
    if (one.type == AE_IFLNK) archive_entry_set_symlink(entry, one.link.c_str());
    if (one.type == AE_IFREG && !one.link.empty())
      archive_entry_set_hardlink(entry, one.link.c_str());
    archive_write_header(writer, entry);
    archive_write_data(writer, one.content.data(), one.content.size());
    archive_entry_free(entry);
  }
  archive_write_free(writer);
}

TEST(Extract, UnpacksFilesAndFolders) {
  const TemporaryFolder folder;
  write_tar_gz(folder / "a.tar.gz",
               {{"top", "", AE_IFDIR}, {"top/x.bin", "xyz"}, {"./top/deep/y.bin", "12"}});
  write_bytes(folder / "out/kept", "old");
  write_bytes(folder / "out/top/gone", "old");
  extract_tar_gz(folder / "a.tar.gz", folder / "out");
  EXPECT_EQ(read_text(folder / "out/top/x.bin"), "xyz");
  EXPECT_EQ(read_text(folder / "out/top/deep/y.bin"), "12");
  EXPECT_EQ(read_text(folder / "out/kept"), "old");
  EXPECT_FALSE(std::filesystem::exists(folder / "out/top/gone"));
}

TEST(Extract, RefusesWhatLeadsOutOfTheFolderAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::vector<std::vector<TarEntry>> bad{
      {{"good", "1"}, {"../evil", "2"}},
      {{"good", "1"}, {"a/../../evil", "2"}},
      {{"good", "1"}, {(folder / "evil"), "2"}},
      {{"good", "1"}, {"link", "", AE_IFLNK, "/etc/passwd"}},
      {{"good", "1"}, {"hard", "", AE_IFREG, "good"}},
      {{"good", "1"}, {"pipe", "", AE_IFIFO}},
  };
  for (const auto& entries : bad) {
    write_tar_gz(folder / "bad.tar.gz", entries);
    const Error error = error_of([&] { extract_tar_gz(folder / "bad.tar.gz", folder / "out"); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file) << entries[1].name;
    EXPECT_TRUE(std::filesystem::is_empty(folder / "out")) << entries[1].name;
    EXPECT_FALSE(std::filesystem::exists(folder / "evil"));
  }
}

TEST(Extract, RefusesDamageAndTooMuch) {
  const TemporaryFolder folder;
  write_tar_gz(folder / "a.tar.gz", {{"x", some_bytes(100'000)}});
  EXPECT_EQ(error_of([&] { extract_tar_gz(folder / "a.tar.gz", folder / "out", 99'999); }).kind(),
            ErrorKind::limit);
  write_bytes(folder / "cut.tar.gz", read_text(folder / "a.tar.gz").substr(0, 50'000));
  EXPECT_EQ(error_of([&] { extract_tar_gz(folder / "cut.tar.gz", folder / "out"); }).kind(),
            ErrorKind::corrupt_file);
  write_bytes(folder / "text.tar.gz", "this is no archive");
  EXPECT_EQ(error_of([&] { extract_tar_gz(folder / "text.tar.gz", folder / "out"); }).kind(),
            ErrorKind::corrupt_file);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "out"));
}

TEST(GetDataset, DownloadsUnpacksAndIsThenDone) {
  const TemporaryFolder folder;
  write_tar_gz(folder / "set.tar.gz", {{"set/data.bin", "content"}});
  const std::string archive_bytes = read_text(folder / "set.tar.gz");
  LocalServer local;
  std::atomic<int> requests = 0;
  local.server.Get("/base/(.*)", [&](const httplib::Request& request, httplib::Response& response) {
    ++requests;
    response.set_content(request.matches[1] == "set.tar.gz" ? archive_bytes : "plain",
                         "application/octet-stream");
  });
  local.run();
  const PublishedDataset dataset{
      "set",
      local.url("/base/"),
      {{"set.tar.gz", DigestKind::sha256, digest_of_text(archive_bytes), true},
       {"plain.bin", DigestKind::sha256, digest_of_text("plain"), false}}};
  EXPECT_EQ(get_dataset(dataset, {}, folder / "data"), folder / "data");
  EXPECT_EQ(read_text(folder / "data/set/data.bin"), "content");
  EXPECT_EQ(read_text(folder / "data/plain.bin"), "plain");
  EXPECT_FALSE(std::filesystem::exists(folder / "data/set.tar.gz"));
  get_dataset(dataset, {}, folder / "data");
  EXPECT_EQ(requests, 2);
}

TEST(GetDataset, AnUnknownNameGetsTheNearest) {
  const Error error = error_of([] { get_dataset("cifar1"); });
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_TRUE(contains(error.what(), "cifar10")) << error.what();
}

TEST(GetDataset, ADigestThatDiffersFromThePublishedIsRefused) {
  const TemporaryFolder folder;
  LocalServer local;
  local.server.Get("/(.*)", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("not MNIST", "application/octet-stream");
  });
  local.run();
  EXPECT_EQ(error_of([&] { get_dataset("mnist", {}, folder / "m", local.url("")); }).kind(),
            ErrorKind::corrupt_file);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "m"));
}

}  // namespace
}  // namespace residua
