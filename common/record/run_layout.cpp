#include "common/record/run_layout.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

constexpr std::uint64_t kMaxAddressBytes = 4096;
constexpr std::size_t kSecretBytes = 32;

std::string step_name(Step step) { return fmt::format("step-{:08}", step.value()); }

}  // namespace

std::filesystem::path RunLayout::worker_log(int rank) const { return logs() / fmt::format("worker-{:04}.log", rank); }
std::filesystem::path RunLayout::checkpoint(Step step) const { return checkpoints() / step_name(step); }
std::filesystem::path RunLayout::partial_checkpoint(Step step, Generation generation) const {
  return checkpoints() / fmt::format(".{}.generation-{}.partial", step_name(step), generation.value());
}
std::filesystem::path RunLayout::snapshot(Step step) const { return snapshots() / (step_name(step) + ".h5"); }
std::filesystem::path RunLayout::snapshot_part(Step step, int rank) const {
  return snapshots() / fmt::format(".{}.rank-{:04}.h5", step_name(step), rank);
}
std::filesystem::path RunLayout::evaluation_rows(Step step) const {
  return evaluation() / (step_name(step) + ".jsonl");
}

Status write_address(const RunLayout& layout, const CoordinatorAddress& address) {
  const Json json{{"host", address.host},
                  {"port", address.port},
                  {"generation", address.generation.value()},
                  {"pid", address.pid},
                  {"hostname", address.hostname}};
  return write_file_atomically(layout.coordinator(), to_line(json) + "\n");
}

Result<CoordinatorAddress> read_address(const RunLayout& layout) {
  const std::string where = layout.coordinator().string();
  PLUMBLINE_ASSIGN(const std::string text, read_file(layout.coordinator(), kMaxAddressBytes));
  PLUMBLINE_ASSIGN(const Json json, parse_json(text, where));
  return address_from_json(json, where);
}

Result<CoordinatorAddress> address_from_json(const Json& json, const std::string& where) {
  CoordinatorAddress address;
  PLUMBLINE_ASSIGN(address.host, json_get<std::string>(json, "host", where));
  PLUMBLINE_ASSIGN(address.port, json_get<int>(json, "port", where));
  PLUMBLINE_ASSIGN(const auto generation, json_get<std::uint64_t>(json, "generation", where));
  address.generation = Generation(generation);
  PLUMBLINE_ASSIGN(address.pid, json_get<std::int64_t>(json, "pid", where));
  PLUMBLINE_ASSIGN(address.hostname, json_get<std::string>(json, "hostname", where));
  if (address.host.empty() || address.host.find('\0') != std::string::npos)
    return data_error("the key \"host\" names no host", where);
  if (address.port < 1 || address.port > 65535) return data_error("the key \"port\" is not a port number", where);
  return address;
}

Status write_secret(const RunLayout& layout) {
  return write_private_file(layout.secret(), to_hex(random_bytes(kSecretBytes)) + "\n");
}

Result<std::string> read_secret(const RunLayout& layout) {
  const std::string where = layout.secret().string();
  struct stat status {};
  if (::stat(where.c_str(), &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return usage_error("the run's secret may be read by others", where, "Run: chmod 600 " + where);
  PLUMBLINE_ASSIGN(std::string secret, read_file(layout.secret(), kMaxAddressBytes));
  if (!secret.empty() && secret.back() == '\n') secret.pop_back();
  if (!is_hex(secret, 2 * kSecretBytes, 2 * kSecretBytes))
    return data_error("this is not a run's secret: " + std::to_string(2 * kSecretBytes) + " hex digits are expected",
                      where);
  return secret;
}

}  // namespace plumbline
