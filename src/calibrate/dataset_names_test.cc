// Data sets by their names in the field, in a Hugging Face cache made for the test.
#include "calibrate/dataset_names.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::calibrate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;

class DatasetNames : public testing::Test {
 protected:
  void SetUp() override { ::setenv("HF_HUB_CACHE", cache_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("HF_HUB_CACHE"); }

  fs::path add(const std::string& folder, const std::string& file) const {
    fs::path path = cache_ / folder / "snapshots" / "abc" / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "x";
    return path;
  }

  checkpoint::TemporaryFolder cache_;
};

TEST_F(DatasetNames, ANameFindsTheSnapshotOfItsRepository) {
  add("datasets--HuggingFaceH4--ultrachat_200k", "train_gen.jsonl");
  add("datasets--org--mine", "train.jsonl");
  EXPECT_EQ(find_dataset("ultrachat_200k"),
            cache_ / "datasets--HuggingFaceH4--ultrachat_200k" / "snapshots" / "abc");
  EXPECT_EQ(find_dataset("org/mine"), cache_ / "datasets--org--mine" / "snapshots" / "abc");
}

TEST_F(DatasetNames, AKnownNameMeansItsTrainSplit) {
  const fs::path old = add("datasets--wikitext", "wikitext-2-raw-v1/train.txt");
  EXPECT_EQ(find_dataset("wikitext2"), old);
  add("datasets--Salesforce--wikitext", "wikitext-2-raw-v1/validation.jsonl");
  add("datasets--Salesforce--wikitext", "wikitext-103-v1/train.jsonl");
  const fs::path train = add("datasets--Salesforce--wikitext", "wikitext-2-raw-v1/train-0.parquet");
  EXPECT_EQ(find_dataset("wikitext2"), train);
  const fs::path exported = add("datasets--Salesforce--wikitext", "wikitext-2-raw-v1/train-0.parquet.jsonl");
  EXPECT_EQ(find_dataset("wikitext2"), exported);
}

TEST_F(DatasetNames, ASplitIsAFileOfTheSnapshot) {
  const fs::path second = add("datasets--org--snapshots", "validation-1.jsonl");
  const fs::path first = add("datasets--org--snapshots", "validation-0.jsonl");
  add("datasets--org--snapshots", "train.jsonl");
  EXPECT_EQ(find_dataset("org/snapshots:validation"), first);
  EXPECT_EQ(find_dataset("org/snapshots:validation-1"), second);
  // The names of the folders around it are no splits.
  expect_error(Code::kNotFound, {"split=snapshots", "abc"}, [] { find_dataset("org/snapshots:snapshots"); });
}

TEST_F(DatasetNames, WhatIsNotThereSaysWhatToDownloadAndWhereTo) {
  expect_error(
      Code::kNotFound,
      {"allenai/c4", (cache_ / "datasets--allenai--c4").string(), "en/c4-train.00000-of-01024.json.gz"},
      [] { find_dataset("c4"); });
  expect_error(Code::kNotFound, {"org/unseen", "datasets--org--unseen"}, [] { find_dataset("org/unseen"); });
}

// A mistyped path is no data set that could be downloaded.
TEST_F(DatasetNames, WordsThatAreNoDataSetListThoseThatAre) {
  for (const char* name :
       {"wikitext3", "", "./rows.jsonl", "/data/rows.jsonl", "data/rows.jsonl", "~/rows", "a/b/c"})
    expect_error(Code::kNotFound, {"no such calibration file", "wikitext2, c4, c4-new", name},
                 [&] { find_dataset(name); });
}

TEST(DatasetNamesCache, HomesAreTriedInTheFieldsOrder) {
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  expect_error(Code::kNotFound, {"/xdg/huggingface/hub/datasets--allenai--c4"}, [] { find_dataset("c4"); });
  ::setenv("HF_HOME", "/hf", 1);
  expect_error(Code::kNotFound, {"/hf/hub/datasets--allenai--c4"}, [] { find_dataset("c4"); });
  ::unsetenv("HF_HOME");
  ::unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace farthing::calibrate
