#include "residua/train/checkpoint.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/io/safetensors.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "residua checkpoint";
constexpr int kVersion = 1;
constexpr uint64_t kMaxManifestBytes = 64 << 20;

std::string manifest_path(const std::string& folder) { return folder + "/manifest.json"; }

// Of the manifest without its own checksum.
std::string manifest_sha256(Json manifest) {
  manifest.erase("sha256");
  const std::string text = manifest.dump();
  return sha256_hex(std::as_bytes(std::span(text)));
}

[[noreturn]] void corrupt_checkpoint(const std::string& path, const std::string& rule,
                                     const std::string& expected = {},
                                     const std::string& received = {}) {
  throw Error(ErrorKind::corrupt_file,
              {.where = path, .rule = rule, .expected = expected, .received = received});
}

Json read_manifest(const std::string& folder) {
  const std::string path = manifest_path(folder);
  const std::vector<std::byte> bytes = read_file(path, kMaxManifestBytes);
  Json manifest;
  try {
    manifest = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  } catch (const Error&) {
    corrupt_checkpoint(path, "the manifest is damaged: it is not JSON");
  }
  if (!manifest.is_object() || manifest.value("format", Json()) != kFormat)
    corrupt_checkpoint(path, "is not the manifest of a checkpoint");
  const Json version = manifest.value("version", Json());
  if (!version.is_number_integer()) corrupt_checkpoint(path, "the manifest has no version");
  if (version > kVersion)
    throw Error(ErrorKind::unsupported, {.where = path,
                                         .rule = "the checkpoint was written by a newer release",
                                         .expected = fmt::format("version {} or older", kVersion),
                                         .received = version.dump()});
  if (manifest.value("sha256", Json()) != manifest_sha256(manifest))
    corrupt_checkpoint(path, "the manifest is damaged: its SHA-256 differs");
  return manifest;
}

void check_file(const std::string& path, const Json& expected) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  if (error) corrupt_checkpoint(path, "a file of the checkpoint is missing");
  const auto expected_bytes = expected.at("bytes").get<uint64_t>();
  if (bytes != expected_bytes)
    corrupt_checkpoint(path, "has another length than when it was saved",
                       fmt::format("{} bytes", expected_bytes), fmt::format("{} bytes", bytes));
  if (sha256_file(path) != expected.at("sha256").get<std::string>())
    corrupt_checkpoint(path, "has changed since it was saved: its SHA-256 differs");
}

// Writes one file and notes it in the manifest.
void write_part(const std::string& folder, const std::string& name, const NamedTensors& tensors,
                Json& manifest) {
  NamedTensors held;  // keeps copies alive while they are written
  std::vector<TensorView> views;
  held.reserve(tensors.size());
  for (const auto& [key, tensor] : tensors) {
    held.emplace_back(key, tensor.detach().to(at::kCPU).contiguous());
    views.push_back(to_view(key, held.back().second));
  }
  const std::string path = folder + "/" + name;
  write_safetensors(path, views, {{"format", "pt"}});
  manifest["files"][name] = {{"bytes", fs::file_size(path)}, {"sha256", sha256_file(path)}};
}

Json manifest_of(const CheckpointContent& content, const std::string& best) {
  return {{"format", kFormat},          {"version", kVersion},
          {"step", content.step},       {"best", best},
          {"metrics", content.metrics}, {"configuration", content.configuration},
          {"data", content.data},       {"state", content.state},
          {"files", Json::object()}};
}

}  // namespace

std::vector<std::string> checkpoint_extra_names() { return {"ema.updates"}; }

NamedTensors read_tensors(const TensorFile& file) {
  NamedTensors tensors;
  for (const TensorInfo& info : file.tensors())
    tensors.emplace_back(info.name, to_tensor(file.read(info.name)));
  return tensors;
}

bool is_checkpoint(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(manifest_path(path), error);
}

void save_checkpoint(const std::string& path, const CheckpointContent& content,
                     const std::string& best) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_io_error(path, "create the folder", error.value());
  try {
    Json manifest = manifest_of(content, best);
    write_part(path, "weights.safetensors", content.model, manifest);
    write_part(path, "optimizer.safetensors", content.optimizer, manifest);
    if (!content.ema.empty()) write_part(path, "ema.safetensors", content.ema, manifest);
    manifest["sha256"] = manifest_sha256(manifest);
    write_file_atomic(manifest_path(path), manifest.dump(1) + "\n");
  } catch (...) {
    fs::remove_all(path, error);
    throw;
  }
}

Checkpoint load_checkpoint(const std::string& path) try {
  if (!is_checkpoint(path))
    throw Error(ErrorKind::not_found, {.where = path,
                                       .rule = "is not a checkpoint",
                                       .expected = "a folder with a manifest.json"});
  Checkpoint checkpoint{
      .path = path, .manifest = read_manifest(path), .model = {}, .optimizer = {}, .ema = {}};
  const auto open = [&](const std::string& name) -> std::unique_ptr<TensorFile> {
    const Json& files = checkpoint.manifest.at("files");
    if (!files.contains(name)) return nullptr;
    check_file(path + "/" + name, files.at(name));
    return open_safetensors(path + "/" + name);
  };
  checkpoint.model = open("weights.safetensors");
  checkpoint.optimizer = open("optimizer.safetensors");
  checkpoint.ema = open("ema.safetensors");
  if (!checkpoint.model || !checkpoint.optimizer)
    corrupt_checkpoint(manifest_path(path), "names no weights or no optimizer state");
  return checkpoint;
} catch (const Json::exception&) {
  corrupt_checkpoint(manifest_path(path), "the manifest lacks a part or has one of another type");
}

}  // namespace residua
