// What lies at a path, as one JSON object: a dataset folder, a shard, a checkpoint, an adapter, a snapshot or a run
// directory, told apart by content. Its member "kind" is "dataset", "shard", "checkpoint", "model", "adapter",
// "snapshot" or "run"; the others are listed at each function. Reads only; everything that has a checksum is checked,
// and what is damaged is a data error that names the file. Printing for a person is apart (text.hpp).
#pragma once
#include <filesystem>
#include <string>

#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/record/snapshot.hpp"

namespace plumbline {

/// Which sample rows of a dataset or shard are shown.
struct InspectOptions {
  int rows = 3;
  std::string norm;   ///< of this norm only; empty: of any
  std::string split;  ///< of this split only; empty: of any
};

/// A data error when there is nothing at `path` or nothing that can be inspected.
Result<Json> describe(const std::filesystem::path& path, const InspectOptions& options);

/// name, schema_version, tokenizer, sentencepiece (where that is it), vocab_size, content_hash, norms (with counts by
/// split), splits (with counts and lengths), attributes, shards, provenance, rows. A usage error for a norm or split
/// that the dataset has not.
Result<Json> describe_dataset(const Dataset& dataset, const InspectOptions& options);

/// tokenizer, vocab_size, split, bytes, counts, lengths, norms, attributes, listed, rows. Where the folder's
/// dataset.json lists the shard ("listed") its SHA-256 is checked and its norms have names; elsewhere they are numbers,
/// and so are tokens that need a file of the dataset to be text.
Result<Json> describe_shard(const std::filesystem::path& file, const InspectOptions& options);

/// step, seed, tokenizer, dataset_hash, fingerprint, weights_sha256, parameters, config, tensors, files; with LoRA
/// base_sha256 and adapter (what describe_adapter gives). A folder that
/// HF Transformers would load but that has no manifest is a "model": the same without what nothing vouches for.
Result<Json> describe_checkpoint(const std::filesystem::path& folder);

/// rank, alpha, dropout, targets, parameters, tensors of a LoRA adapter, Plumbline's or peft's.
Result<Json> describe_adapter(const std::filesystem::path& folder);

/// step, rows, dimension, pooling, norms, vector_length, attributes.
Json describe_snapshot(const Snapshot& snapshot);

/// name, state, generation, step, steps, config, fingerprint, events, last_event, committed, checkpoints, snapshots,
/// metrics, report. `state` is "open" (running, or cut off), "stopped", "finished" or "failed".
Result<Json> describe_run(const std::filesystem::path& folder);

}  // namespace plumbline
