#include "worker/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <system_error>

#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "common/data/hdf5.hpp"
#include "common/data/plan.hpp"
#include "worker/share.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kReferenceVersion = 3;

/// The four lists, with the side that each is of.
struct List {
  Side side;
  const char* name;
  std::vector<float> RowLogProbs::*of_rows;
  std::vector<float> ReferenceLogProbs::*of_batch;
};
constexpr List kLists[] = {
    {Side::kDesired, "desired", &RowLogProbs::desired, &ReferenceLogProbs::desired},
    {Side::kUndesired, "undesired", &RowLogProbs::undesired, &ReferenceLogProbs::undesired},
    {Side::kDesired, "desired_differing", &RowLogProbs::desired_differing, &ReferenceLogProbs::desired_differing},
    {Side::kUndesired, "undesired_differing", &RowLogProbs::undesired_differing,
     &ReferenceLogProbs::undesired_differing}};

RowLogProbs unknown(const Split& split) {
  RowLogProbs values;
  for (const List& list : kLists)
    (values.*list.of_rows).assign(static_cast<std::size_t>(split.size()), std::numeric_limits<float>::quiet_NaN());
  values.mismatched = values.desired;
  return values;
}

/// Those of a batch's rows whose sources are also scored with another row's output.
std::vector<std::int64_t> mismatched_rows(const Split& split, const std::vector<std::int64_t>& batch,
                                          const ReferenceWork& work) {
  std::vector<std::int64_t> rows;
  for (const std::int64_t row : batch)
    if (!work.mismatched_norms.empty() && work.mismatched_norms.at(split.norm(row))) rows.push_back(row);
  return rows;
}

/// Scores `rows` of a split; the values land at their rows on every rank.
Result<RowLogProbs> score_rows(const T5& model, const Split& split, const std::vector<std::int64_t>& rows,
                               const ReferenceWork& work, Collective& collective) {
  RowLogProbs result = unknown(split);
  const auto batches = fixed_batches(split, rows, work.batch_rows);
  const at::Device device = model.parameters().flat().device();
  const bool any_mismatched =
      std::find(work.mismatched_norms.begin(), work.mismatched_norms.end(), true) != work.mismatched_norms.end();
  const auto partners = any_mismatched ? partners_of(split, work.mismatched_norms.size()) : std::vector<std::int64_t>();
  PLUMBLINE_ASSIGN(
      const auto scored, share_batches(collective, batches.size(), [&](std::size_t b) {
        const Batch batch = make_batch(split, batches[b], work.max_source_tokens, work.max_output_tokens, device);
        const ReferenceLogProbs values = score(model, batch);
        std::string bytes;
        for (const List& list : kLists) {
          const auto& numbers = values.*list.of_batch;
          bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
        }
        const auto mismatched = mismatched_rows(split, batches[b], work);
        if (!mismatched.empty()) {
          const auto numbers = score(model, make_mismatched_batch(split, mismatched, partners, work.max_source_tokens,
                                                                  work.max_output_tokens, device))
                                   .desired;
          bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
        }
        return Result<std::string>(std::move(bytes));
      }));
  for (std::size_t b = 0; b < batches.size(); ++b) {
    std::size_t at = 0;
    const auto take = [&](std::vector<float>& values, std::int64_t row) -> Status {
      if (scored[b].size() - at < sizeof(float)) return run_error("a worker's log-probs are cut short", "reference");
      std::memcpy(&values[static_cast<std::size_t>(row)], scored[b].data() + at, sizeof(float));
      at += sizeof(float);
      return {};
    };
    for (const List& list : kLists)
      for (const std::int64_t row : batches[b])
        if (split.length(row, list.side) > 0) PLUMBLINE_TRY(take(result.*list.of_rows, row));
    for (const std::int64_t row : mismatched_rows(split, batches[b], work)) PLUMBLINE_TRY(take(result.mismatched, row));
  }
  return result;
}

}  // namespace

ReferenceLogProbs RowLogProbs::of(const Batch& batch) const {
  ReferenceLogProbs values;
  for (const List& list : kLists)
    for (const std::int64_t b : (list.side == Side::kDesired ? batch.desired : batch.undesired).batch_row)
      (values.*list.of_batch)
          .push_back((this->*list.of_rows).at(static_cast<std::size_t>(batch.rows[static_cast<std::size_t>(b)])));
  return values;
}

std::string weights_hash(const T5& model) {
  const at::Tensor flat = model.parameters().flat().detach().to(at::kCPU).contiguous();
  return sha256_hex(std::span(static_cast<const std::byte*>(flat.const_data_ptr()), flat.nbytes()));
}

std::string reference_key(const T5& start, const ReferenceWork& work) {
  const auto hash_of = [](const std::vector<std::int64_t>& rows) { return sha256_hex(std::as_bytes(std::span(rows))); };
  const Json parts{{"version", kReferenceVersion},
                   {"weights", weights_hash(start)},
                   {"dataset", work.dataset->content_hash()},
                   {"train_rows", hash_of(work.train_rows)},
                   {"held_out_rows", hash_of(work.held_out_rows)},
                   {"max_source_tokens", work.max_source_tokens},
                   {"max_output_tokens", work.max_output_tokens},
                   {"mismatched_norms", work.mismatched_norms},
                   {"batch_rows", work.batch_rows},
                   {"fingerprint", work.fingerprint}};
  return sha256_hex(parts.dump());
}

Result<References> compute_references(const T5& start, const ReferenceWork& work, Collective& collective) {
  References references;
  PLUMBLINE_ASSIGN(references.train, score_rows(start, work.dataset->train(), work.train_rows, work, collective));
  PLUMBLINE_ASSIGN(references.held_out,
                   score_rows(start, work.dataset->held_out(), work.held_out_rows, work, collective));
  return references;
}

Status write_references(const fs::path& file, const References& references) {
  std::error_code ec;
  fs::create_directories(file.parent_path(), ec);
  if (ec) return run_error("the folder cannot be made: " + ec.message(), file.parent_path().string());
  fs::path partial = file;
  partial += ".partial";
  const auto write = [&]() -> Status {
    PLUMBLINE_ASSIGN(H5File out, H5File::create(partial));
    PLUMBLINE_TRY(out.write_attribute("version", kReferenceVersion));
    for (const List& list : kLists) {
      PLUMBLINE_TRY(out.write(std::string("train_") + list.name, references.train.*list.of_rows));
      PLUMBLINE_TRY(out.write(std::string("heldout_") + list.name, references.held_out.*list.of_rows));
    }
    PLUMBLINE_TRY(out.write("train_mismatched", references.train.mismatched));
    PLUMBLINE_TRY(out.write("heldout_mismatched", references.held_out.mismatched));
    PLUMBLINE_TRY(out.flush_and_close());
    return fsync_path(partial);
  };
  if (Status status = write(); status.has_error()) {
    fs::remove(partial, ec);
    return status;
  }
  fs::rename(partial, file, ec);
  if (ec) return run_error("the file cannot be put in place: " + ec.message(), file.string());
  return fsync_path(file.parent_path());
}

Result<References> read_references(const fs::path& file, const Dataset& dataset) {
  PLUMBLINE_ASSIGN(const H5File in, H5File::open(file));
  References references;
  for (const List& list : kLists) {
    PLUMBLINE_ASSIGN(references.train.*list.of_rows, in.read<float>(std::string("train_") + list.name));
    PLUMBLINE_ASSIGN(references.held_out.*list.of_rows, in.read<float>(std::string("heldout_") + list.name));
  }
  PLUMBLINE_ASSIGN(references.train.mismatched, in.read<float>("train_mismatched"));
  PLUMBLINE_ASSIGN(references.held_out.mismatched, in.read<float>("heldout_mismatched"));
  const auto fits = [](const RowLogProbs& values, const Split& split) {
    for (const List& list : kLists)
      if ((values.*list.of_rows).size() != static_cast<std::size_t>(split.size())) return false;
    return values.mismatched.size() == static_cast<std::size_t>(split.size());
  };
  if (!fits(references.train, dataset.train()) || !fits(references.held_out, dataset.held_out()))
    return data_error("the reference log-probs are not of this dataset", file.string(),
                      "Remove the file; it is computed again.");
  return references;
}

}  // namespace plumbline
