#include "common/wire/message.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxName = 1024;        // hosts, phases, kinds
constexpr std::size_t kMaxText = 64u << 10;   // sentences for people
constexpr std::int64_t kMaxStep = 1ll << 53;  // what JSON readers elsewhere keep exactly
constexpr int kMaxRanks = 1 << 20;
constexpr std::size_t kHashDigits = 64;  // SHA-256
constexpr std::size_t kMaxHex = 4096;    // group, NCCL id

constexpr std::array<const char*, std::variant_size_v<Message>> kNames{
    "Hello",     "Welcome",    "Lease",  "Heartbeat", "StepDone",      "PartWritten",  "Committed",
    "Artifact",  "NcclId",     "Failed", "Finished",  "StatusRequest", "StatusReply",  "StopRequest",
    "StopReply", "Assignment", "Ready",  "Regroup",   "Dismissal",     "StacksRequest"};
constexpr std::array<const char*, 4> kArtifactKinds{"evaluation", "snapshot", "snapshot_part", "stacks"};

const char* role_name(Role role) { return role == Role::kWorker ? "worker" : "client"; }

/// "host:port", as one worker says where others reach it.
bool is_host_and_port(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const std::string_view port = std::string_view(text).substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Reads members of a payload. The first one that does not fit is kept as the error, and later reads do nothing.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  template <class Int>
  void number(const char* key, Int& value, Int least, Int most) {
    if (read(key, value) && (value < least || value > most)) refuse(key, "is out of range");
  }
  void step(const char* key, std::int64_t& value) { number<std::int64_t>(key, value, 0, kMaxStep); }
  /// A step, or -1 for none.
  void step_or_none(const char* key, std::int64_t& value) { number<std::int64_t>(key, value, -1, kMaxStep); }
  void generation(const char* key, Generation& value) {
    std::uint64_t number = 0;
    this->number<std::uint64_t>(key, number, 0, std::numeric_limits<std::uint64_t>::max());
    value = Generation(number);
  }
  void flag(const char* key, bool& value) { read(key, value); }
  void text(const char* key, std::string& value, std::size_t max_bytes) {
    if (read(key, value) && value.size() > max_bytes) refuse(key, "is too long");
  }
  void texts(const char* key, std::vector<std::string>& values, std::size_t most, std::size_t max_bytes) {
    if (!read(key, values)) return;
    const bool fits = values.size() <= most && std::all_of(values.begin(), values.end(), [&](const std::string& text) {
                        return text.size() <= max_bytes;
                      });
    if (!fits) refuse(key, "is too long");
  }
  void numbers(const char* key, std::vector<int>& values, std::size_t most, int largest) {
    if (!read(key, values)) return;
    const bool fits = values.size() <= most && std::all_of(values.begin(), values.end(),
                                                           [&](int value) { return value >= 0 && value <= largest; });
    if (!fits) refuse(key, "is out of range");
  }
  void seconds(const char* key, double& value) {
    if (read(key, value) && !(value >= 0 && value < 1e9)) refuse(key, "is out of range");
  }
  void hex(const char* key, std::string& value, std::size_t least, std::size_t most) {
    if (read(key, value) && !is_hex(value, least, most)) refuse(key, "is not hex of the right length");
  }
  void inner_path(const char* key, std::string& value) {
    if (read(key, value) && !is_inner_path(value)) refuse(key, "is not a path inside its folder");
  }
  template <class Names>
  void one_of(const char* key, std::string& value, const Names& names) {
    if (read(key, value) && std::find(names.begin(), names.end(), value) == names.end())
      refuse(key, "has a value that is not known");
  }
  void object(const char* key, Json& value) {
    if (read(key, value) && !value.is_object()) refuse(key, "is not an object");
  }
  void require(bool holds, const char* what) {
    if (!error_ && !holds) error_ = run_error(what, where_);
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  template <class T>
  bool read(const char* key, T& value) {
    if (error_) return false;
    auto member = json_get<T>(json_, key, where_);
    if (member.has_error())
      error_ = member.error();
    else
      value = std::move(member).value();
    return !error_;
  }
  void refuse(const char* key, const char* how) {
    error_ = run_error(std::string("the key \"") + key + "\" " + how, where_);
  }

  const Json& json_;
  std::string where_;
  std::optional<Error> error_;
};

// One pair a message: write() makes the payload, read() checks one.

Json write(const Hello& m) {
  return {{"role", role_name(m.role)},
          {"rank", m.rank},
          {"world", m.world},
          {"host", m.host},
          {"pid", m.pid},
          {"group", m.group},
          {"mesh", m.mesh},
          {"generation", m.generation.value()},
          {"fingerprint", m.fingerprint}};
}
void read(Fields& f, Hello& m) {
  std::string role;
  f.one_of("role", role, std::array{"worker", "client"});
  m.role = role == "client" ? Role::kClient : Role::kWorker;
  f.number("world", m.world, 0, kMaxRanks);
  f.number("rank", m.rank, 0, m.world > 0 ? m.world - 1 : kMaxRanks);
  f.text("host", m.host, kMaxName);
  f.number<std::int64_t>("pid", m.pid, 0, std::numeric_limits<std::int64_t>::max());
  f.hex("group", m.group, 0, kMaxHex);
  f.text("mesh", m.mesh, kMaxName);
  f.require(m.world > 0 || m.role == Role::kClient || is_host_and_port(m.mesh), "an elastic worker has no address");
  f.generation("generation", m.generation);
  f.text("fingerprint", m.fingerprint, kMaxName);
}

Json write(const Welcome& m) { return {{"generation", m.generation.value()}, {"under_way", m.under_way}}; }
void read(Fields& f, Welcome& m) {
  f.generation("generation", m.generation);
  f.flag("under_way", m.under_way);
}

Json write(const Lease& m) {
  return {{"id", m.id.value()},     {"first_step", m.first_step},
          {"end_step", m.end_step}, {"lane_begin", m.lane_begin},
          {"lane_end", m.lane_end}, {"last", m.last},
          {"stop", m.stop},         {"regroup", m.regroup}};
}
void read(Fields& f, Lease& m) {
  std::uint64_t id = 0;
  f.number<std::uint64_t>("id", id, 0, std::numeric_limits<std::uint64_t>::max());
  m.id = LeaseId(id);
  f.step("first_step", m.first_step);
  f.step("end_step", m.end_step);
  f.number("lane_begin", m.lane_begin, 0, kMaxRanks);
  f.number("lane_end", m.lane_end, 0, kMaxRanks);
  f.flag("last", m.last);
  f.flag("stop", m.stop);
  f.flag("regroup", m.regroup);
  f.require(m.first_step <= m.end_step, "the lease ends before its first step");
  f.require(m.lane_begin <= m.lane_end, "the lease's lanes end before they begin");
}

Json write(const Heartbeat& m) {
  return {{"step", m.step},
          {"phase", m.phase},
          {"work", m.work},
          {"calls", m.calls},
          {"waits_in", m.waits_in},
          {"waits_for", m.waits_for},
          {"lane_seconds", m.lane_seconds}};
}
void read(Fields& f, Heartbeat& m) {
  f.step("step", m.step);
  f.text("phase", m.phase, kMaxName);
  f.number<std::uint64_t>("work", m.work, 0, std::numeric_limits<std::uint64_t>::max());
  f.number<std::uint64_t>("calls", m.calls, 0, std::numeric_limits<std::uint64_t>::max());
  f.text("waits_in", m.waits_in, kMaxName);
  f.numbers("waits_for", m.waits_for, kMaxRanks, kMaxRanks);
  f.seconds("lane_seconds", m.lane_seconds);
}

Json write(const StepDone& m) { return {{"step", m.step}, {"metrics", m.metrics}}; }
void read(Fields& f, StepDone& m) {
  f.step("step", m.step);
  f.object("metrics", m.metrics);
}

Json write(const PartWritten& m) {
  return {{"step", m.step}, {"file", m.file}, {"bytes", m.bytes}, {"sha256", m.sha256}, {"parts", m.parts}};
}
void read(Fields& f, PartWritten& m) {
  f.step("step", m.step);
  f.inner_path("file", m.file);
  f.number<std::uint64_t>("bytes", m.bytes, 0, std::numeric_limits<std::uint64_t>::max());
  f.hex("sha256", m.sha256, kHashDigits, kHashDigits);
  f.number("parts", m.parts, 1, 10'000);
}

Json write(const Committed& m) { return {{"step", m.step}, {"weights_sha256", m.weights_sha256}}; }
void read(Fields& f, Committed& m) {
  f.step("step", m.step);
  f.hex("weights_sha256", m.weights_sha256, kHashDigits, kHashDigits);
}

Json write(const Artifact& m) { return {{"kind", m.kind}, {"step", m.step}, {"file", m.file}}; }
void read(Fields& f, Artifact& m) {
  f.one_of("kind", m.kind, kArtifactKinds);
  f.step("step", m.step);
  f.inner_path("file", m.file);
}

Json write(const NcclId& m) { return {{"id", m.id_hex}}; }
void read(Fields& f, NcclId& m) { f.hex("id", m.id_hex, 2, kMaxHex); }

/// A library's error can be pages long; its beginning says what happened.
std::string clipped(const std::string& text) { return text.substr(0, kMaxText); }

Json write(const Failed& m) {
  return {{"code", m.code}, {"message", clipped(m.message)}, {"where", clipped(m.where)}, {"hint", clipped(m.hint)}};
}
void read(Fields& f, Failed& m) {
  f.number("code", m.code, static_cast<int>(ErrorCode::kUsage), static_cast<int>(ErrorCode::kEnvironment));
  // Clipping may have cut a character in two, which then counts as U+FFFD (three bytes).
  f.text("message", m.message, kMaxText + 2);
  f.text("where", m.where, kMaxText + 2);
  f.text("hint", m.hint, kMaxText + 2);
}

Json write(const Finished& m) { return {{"step", m.step}}; }
void read(Fields& f, Finished& m) { f.step("step", m.step); }

Json write(const StatusRequest& m) { return {{"all", m.all}}; }
void read(Fields& f, StatusRequest& m) { f.flag("all", m.all); }

Json write(const StatusReply& m) { return {{"status", m.status}}; }
void read(Fields& f, StatusReply& m) { f.object("status", m.status); }

Json write(const StopRequest&) { return Json::object(); }
void read(Fields&, StopRequest&) {}

Json write(const StopReply& m) { return {{"message", clipped(m.message)}}; }
void read(Fields& f, StopReply& m) { f.text("message", m.message, kMaxText + 2); }

Json write(const Assignment& m) {
  return {{"generation", m.generation.value()},
          {"rank", m.rank},
          {"world", m.world},
          {"resume_from", m.resume_from},
          {"start_step", m.start_step},
          {"source", m.source},
          {"mesh", m.mesh},
          {"key", m.key},
          {"shares", m.shares},
          {"recorded", m.recorded},
          {"checkpointed", m.checkpointed},
          {"measured", m.measured},
          {"pictured", m.pictured},
          {"make_up", m.make_up}};
}
void read(Fields& f, Assignment& m) {
  f.generation("generation", m.generation);
  f.number("world", m.world, 1, kMaxRanks);
  f.number("rank", m.rank, 0, m.world - 1);
  f.text("resume_from", m.resume_from, kMaxName);
  if (!m.resume_from.empty()) f.inner_path("resume_from", m.resume_from);
  f.step("start_step", m.start_step);
  f.number("source", m.source, -1, m.world - 1);
  f.texts("mesh", m.mesh, kMaxRanks, kMaxName);
  f.require(m.mesh.empty() || std::ssize(m.mesh) == m.world, "the mesh has not one address a rank");
  f.require(std::all_of(m.mesh.begin(), m.mesh.end(), is_host_and_port), "the mesh has an address without a port");
  f.hex("key", m.key, 0, kHashDigits);
  f.numbers("shares", m.shares, kMaxRanks, kMaxRanks);
  f.require(m.shares.empty() || std::ssize(m.shares) == m.world, "not every rank has a share of the lanes");
  f.step_or_none("recorded", m.recorded);
  f.step_or_none("checkpointed", m.checkpointed);
  f.step_or_none("measured", m.measured);
  f.step_or_none("pictured", m.pictured);
  f.step_or_none("make_up", m.make_up);
}

Json write(const Ready& m) { return {{"step", m.step}, {"weights", m.weights}, {"unreached", m.unreached}}; }
void read(Fields& f, Ready& m) {
  f.step_or_none("step", m.step);
  f.hex("weights", m.weights, 0, kHashDigits);
  f.numbers("unreached", m.unreached, kMaxRanks, kMaxRanks);
  f.require((m.step < 0) == m.weights.empty(), "a state has a step and a digest, or neither");
}

Json write(const Regroup& m) { return {{"reason", clipped(m.reason)}}; }
void read(Fields& f, Regroup& m) { f.text("reason", m.reason, kMaxText + 2); }

Json write(const Dismissal&) { return Json::object(); }
void read(Fields&, Dismissal&) {}

Json write(const StacksRequest& m) { return {{"reason", clipped(m.reason)}}; }
void read(Fields& f, StacksRequest& m) { f.text("reason", m.reason, kMaxText + 2); }

template <std::size_t I>
Result<Message> parse(const Json& payload) {
  std::variant_alternative_t<I, Message> message;
  Fields fields(payload, std::string("control plane: ") + kNames[I]);
  read(fields, message);
  if (fields.error()) return *fields.error();
  return Message(std::in_place_index<I>, std::move(message));
}

using Parser = Result<Message> (*)(const Json&);
template <std::size_t... I>
constexpr std::array<Parser, sizeof...(I)> parsers(std::index_sequence<I...>) {
  return {&parse<I>...};
}
constexpr auto kParsers = parsers(std::make_index_sequence<std::variant_size_v<Message>>());

}  // namespace

Frame to_frame(const Message& message, Generation generation) {
  return {static_cast<std::uint16_t>(message.index() + 1), generation,
          to_line(std::visit([](const auto& m) { return write(m); }, message))};
}

Result<Message> from_frame(const Frame& frame) {
  if (frame.type == 0 || frame.type > kParsers.size())
    return run_error("a message of the unknown type " + std::to_string(frame.type), "control plane",
                     "Both ends must be the same version of Plumbline.");
  const std::size_t index = frame.type - 1u;
  auto payload = parse_json(frame.payload, std::string("control plane: ") + kNames[index]);
  auto message = payload.has_value() ? kParsers[index](payload.value()) : Result<Message>(payload.error());
  if (message.has_value()) return message;
  Error error = std::move(message).error();
  error.code = ErrorCode::kRun;  // a peer's fault is never the user's data
  return error;
}

std::string message_name(const Message& message) { return kNames[message.index()]; }

}  // namespace plumbline
