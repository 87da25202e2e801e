#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tests/coordinator/serve/run_fixture.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CreateRunTest : public RunFixture {
 protected:
  /// The error, after a look that nothing was left behind.
  Error refused() {
    const Status made = create_run(layout, config);
    EXPECT_TRUE(made.has_error());
    EXPECT_FALSE(fs::exists(layout.root()));
    for (const auto& entry : fs::directory_iterator(folder.path())) EXPECT_EQ(entry.path().filename(), "data");
    return made.has_error() ? made.error() : Error{};
  }
};

TEST_F(CreateRunTest, MakesTheWholeDirectory) {
  create_run(layout, config).value();
  const RunConfig read = load_run_config(layout.config(), {}).value();
  EXPECT_EQ(read.data, config.data);
  EXPECT_EQ(read.train.steps, 12);
  EXPECT_EQ(read_secret(layout)->size(), 64u);
  struct stat status {};
  ASSERT_EQ(stat(layout.secret().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_TRUE(fs::is_directory(layout.logs()));
  const auto entries = read_journal(layout.journal()).value();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].event, "run_created");
  EXPECT_EQ(entries[0].data.at("dataset_hash"), Dataset::open(config.data)->content_hash());
  EXPECT_EQ(entries[0].data.at("seed"), 5);
}

TEST_F(CreateRunTest, PathsBecomeAbsolute) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  config.data = "data";
  const Status made = create_run(RunLayout("runs/one/"), config);
  fs::current_path(before);
  ASSERT_TRUE(made.has_value()) << to_string(made.error());
  EXPECT_EQ(load_run_config(folder.path() / "runs/one/config.yaml", {})->data, (folder.path() / "data").string());
}

TEST_F(CreateRunTest, AnEmptyDirectoryWillDo) {
  fs::create_directories(layout.root());
  EXPECT_TRUE(create_run(layout, config).has_value());
}

TEST_F(CreateRunTest, ARunIsNotOverwritten) {
  create_run(layout, config).value();
  const std::string before = read_file(layout.journal()).value();
  const Status again = create_run(layout, config);
  ASSERT_TRUE(again.has_error());
  EXPECT_EQ(again.error().code, ErrorCode::kUsage);
  EXPECT_THAT(again.error().hint, HasSubstr("plumbline resume"));
  EXPECT_EQ(read_file(layout.journal()).value(), before);
}

TEST_F(CreateRunTest, OtherPeoplesFilesAreLeftAlone) {
  fs::create_directories(layout.root());
  write_file_atomically(layout.root() / "thesis.tex", "years of work").value();
  EXPECT_EQ(create_run(layout, config).error().code, ErrorCode::kUsage);
  EXPECT_EQ(std::distance(fs::directory_iterator(layout.root()), fs::directory_iterator()), 1);
}

TEST_F(CreateRunTest, TheDatasetIsChecked) {
  const fs::path shard = folder.path() / "data" / "train-00000.h5";
  const std::string content = read_file(shard).value();
  write_file_atomically(shard, content.substr(0, content.size() - 200)).value();
  EXPECT_EQ(refused().code, ErrorCode::kData);
  EXPECT_THAT(to_string(refused()), HasSubstr("train-00000.h5"));
  config.data = (folder.path() / "elsewhere").string();
  EXPECT_EQ(refused().code, ErrorCode::kData);
}

TEST_F(CreateRunTest, ANormThatTheDatasetDoesNotHave) {
  config.norms["polte"] = {};
  const Error error = refused();
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_EQ(error.where, "norms.polte");
  EXPECT_THAT(error.hint, HasSubstr("polite"));
}

TEST_F(CreateRunTest, AModelThatCannotReadTheDataset) {
  config.model.vocab_size = 100;
  EXPECT_EQ(refused().where, "model.vocab_size");
}

TEST_F(CreateRunTest, AStartModelIsVerified) {
  const fs::path start = folder.path() / "data" / "start";
  config.model.init = start.string();
  EXPECT_EQ(refused().code, ErrorCode::kData) << "it is not there";
  fs::create_directories(start);
  write_file_atomically(start / "config.json", to_hf_config(ModelConfig()).dump()).value();
  write_file_atomically(start / "model.safetensors", "weights").value();
  CheckpointManifest manifest;
  for (const char* file : {"config.json", "model.safetensors"})
    manifest.files.push_back({file, fs::file_size(start / file), sha256_file(start / file).value()});
  write_manifest(start, manifest).value();
  write_file_atomically(start / "model.safetensors", "weighty").value();
  const Error error = refused();
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_THAT(error.where, HasSubstr("model.safetensors"));
  write_file_atomically(start / "model.safetensors", "weights").value();
  EXPECT_TRUE(create_run(layout, config).has_value());
}

TEST_F(CreateRunTest, MoreWorkersThanLanes) {
  config.workers.count = 13;
  EXPECT_THAT(to_string(refused()), HasSubstr("lanes"));
}

TEST_F(CreateRunTest, WithoutAWorkerProgram) {
  setenv("PLUMBLINE_WORKER_PROGRAM", "/nowhere/plumbline-worker", 1);
  EXPECT_EQ(refused().code, ErrorCode::kEnvironment);
}

TEST_F(CreateRunTest, AddressesThatDoNotDo) {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor busy(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
  config.control.port = busy.local_endpoint().port();
  EXPECT_EQ(refused().code, ErrorCode::kEnvironment);
  EXPECT_THAT(refused().message, HasSubstr(std::to_string(config.control.port)));
  config.control.port = 0;
  for (const char* bind : {"192.0.2.1", "not an address"}) {
    config.control.bind = bind;
    EXPECT_EQ(refused().where, "control.bind") << bind;
  }
}

TEST_F(CreateRunTest, EarlyStoppingNeedsExamplesOfItsOwn) {
  config.evaluate.every = 4, config.evaluate.judged = 2, config.evaluate.patience = 1;
  config.evaluate.generations = 1000;
  const Error error = refused();
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_EQ(error.where, "evaluate.judged");
  EXPECT_THAT(error.message, HasSubstr("no held-out example beyond the 1000"));
  config.evaluate.generations = 1;
  create_run(layout, config).value();
}

TEST_F(CreateRunTest, RunsToCompareWithAreFinishedAndAnsweredTheSameExamples) {
  const RunLayout other(fs::path(testing::TempDir()) / "plumbline_CreateRunTest_compared");
  fs::remove_all(other.root());
  fs::create_directories(other.evaluation());
  config.compare["continued"] = other.root().string();
  EXPECT_THAT(to_string(refused()), HasSubstr("compare.continued: there is no run at"));
  const Dataset dataset = Dataset::open(config.data).value();
  const auto answer = [&](const std::vector<std::int64_t>& numbers) {
    std::vector<EvaluationRow> rows;
    for (const std::int64_t number : numbers) {
      EvaluationRow row;
      row.row = number, row.output = "a";
      row.id = to_string(dataset.held_out().id(number));
      row.norm = dataset.info().norms[dataset.held_out().norm(number)].name;
      rows.push_back(row);
    }
    write_evaluation(other.evaluation_rows(Step(3)), rows).value();
  };
  {
    Journal journal = Journal::open(other).value();
    journal.append("run_created", Json::object()).value();
    journal.append("checkpoint_committed", {{"step", 3}, {"weights_sha256", "w"}}).value();
    answer({0});
    EXPECT_THAT(to_string(refused()), HasSubstr("is not finished"));
    journal.append("run_finished", {{"step", 3}}).value();
  }
  EXPECT_THAT(to_string(refused()), HasSubstr("did not answer"));
  auto rows = held_out_rows(dataset.held_out(), dataset.info().norms.size(), config.evaluate.generations, config.seed);
  std::sort(rows.begin(), rows.end());
  answer(rows);
  create_run(layout, config).value();
  EXPECT_EQ(load_run_config(layout.config(), {})->compare, config.compare);
}

}  // namespace
}  // namespace plumbline
