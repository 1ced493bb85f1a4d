#include "checkpoint/staging.h"

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    names.push_back(entry.path().lexically_relative(folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(StagedDirectory, AppearsWholeOrNotAtAll) {
  TemporaryFolder folder;
  const fs::path out = folder / "a/b/out/";
  {
    StagedDirectory staged(out);
    EXPECT_EQ(staged.path().filename(), "out.partial");
    write_text_atomically(staged.path() / "config.json", "{}");
    EXPECT_FALSE(fs::exists(out));
    staged.commit();
  }
  EXPECT_EQ(names_in(folder / "a/b"), (std::vector<std::string>{"out", "out/config.json"}));
}

TEST(StagedDirectory, FillsAnEmptyFolderAndFollowsALink) {
  TemporaryFolder folder;
  fs::create_directories(folder / "real");
  fs::create_directory_symlink(folder / "real", folder / "link");
  StagedDirectory staged(folder / "link");
  write_text_atomically(staged.path() / "config.json", "{}");
  staged.commit();
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"link", "real", "real/config.json"}));
}

TEST(StagedDirectory, ReplacesOnlyWithOverwriteAndOnlyAtTheEnd) {
  TemporaryFolder folder;
  const fs::path out = folder / "out";
  fs::create_directories(out);
  write_text_atomically(out / "config.json", "old");
  expect_error(Code::kInvalidArgument, {"output folder exists", out.string(), "--overwrite"},
               [&] { StagedDirectory staged(out); });
  {
    StagedDirectory staged(out, {.overwrite = true});
    write_text_atomically(staged.path() / "config.json", "new");
    EXPECT_EQ(read_text(out / "config.json"), "old");
    staged.commit();
  }
  EXPECT_EQ(read_text(out / "config.json"), "new");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"out", "out/config.json"}));
}

TEST(StagedDirectory, DoesNotReplaceWhatIsNotAModel) {
  TemporaryFolder folder;
  fs::create_directories(folder / "papers");
  folder.write("papers/thesis.tex", "years of work");
  folder.write("file", "x");
  const auto with_overwrite = [](const fs::path& path) { StagedDirectory staged(path, {.overwrite = true}); };
  expect_error(Code::kInvalidArgument, {"does not hold a model"}, [&] { with_overwrite(folder / "papers"); });
  expect_error(Code::kInvalidArgument, {"not a folder"}, [&] { with_overwrite(folder / "file"); });
  expect_error(Code::kInvalidArgument, {"root folder"}, [&] { with_overwrite("/"); });
  expect_error(Code::kInvalidArgument, {"mount point"}, [&] { with_overwrite("/proc"); });
  EXPECT_TRUE(fs::exists(folder / "papers/thesis.tex"));
}

TEST(StagedDirectory, SaysWhenTheParentCannotBeWritten) {
  expect_error(Code::kIo, {"cannot create folder", "/proc/farthing/out.partial"},
               [] { StagedDirectory staged("/proc/farthing/out"); });
  TemporaryFolder folder;
  folder.write("file", "x");
  expect_error(Code::kIo, {"file/out"}, [&] { StagedDirectory staged(folder / "file/out"); });
}

TEST(StagedDirectory, ResumesOrStartsAgain) {
  TemporaryFolder folder;
  const fs::path out = folder / "out";
  {
    StagedDirectory killed(out);
    EXPECT_FALSE(killed.resumed());
    create_folders(killed.path() / "folder");
    write_text_atomically(killed.path() / "journal", "1");
  }
  {
    StagedDirectory staged(out, {.resume = true});
    EXPECT_TRUE(staged.resumed());
    EXPECT_EQ(read_text(staged.path() / "journal"), "1");
  }
  StagedDirectory staged(out);
  EXPECT_FALSE(staged.resumed());
  EXPECT_TRUE(names_in(staged.path()).empty());
  staged.discard();
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(StagedDirectory, OneRunAtATime) {
  TemporaryFolder folder;
  StagedDirectory first(folder / "out");
  expect_error(Code::kInvalidArgument, {"another run", "out.partial"},
               [&] { StagedDirectory second(folder / "out", {.resume = true}); });
}

TEST(SideFiles, CopyEverythingButWeights) {
  TemporaryFolder folder;
  fs::create_directories(folder / "from/additional_chat_templates");
  fs::create_directories(folder / "from/original");
  fs::create_directories(folder / "to");
  const std::vector<std::string> wanted = {
      "LICENSE",       "chat_template.jinja",      "generation_config.json", "merges.txt",
      "modeling_x.py", "preprocessor_config.json", "tokenizer.json",         "tokenizer.model"};
  for (const std::string& name : wanted) folder.write("from/" + name, name + std::string("\0\xff\r\n", 4));
  for (const char* name :
       {"config.json", "README.md", ".gitattributes", "model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json", "model.gguf", "tf_model.h5", "optimizer.pt"}) {
    folder.write(std::string("from/") + name, "x");
  }
  folder.write("from/additional_chat_templates/rag.jinja", "{{ x }}");
  folder.write("from/original/params.json", "{}");
  fs::permissions(folder / "from/LICENSE", fs::perms::owner_read);

  std::vector<std::string> expected = wanted;
  expected.insert(expected.begin() + 1, "additional_chat_templates");
  EXPECT_EQ(copy_side_files(folder / "from", folder / "to", {"config.json"}), expected);
  expected.insert(expected.begin() + 2, "additional_chat_templates/rag.jinja");
  EXPECT_EQ(names_in(folder / "to"), expected);
  for (const std::string& name : wanted)
    EXPECT_EQ(read_text(folder / ("to/" + name)), read_text(folder / ("from/" + name)));
  EXPECT_NE(fs::status(folder / "to/LICENSE").permissions() & fs::perms::owner_write, fs::perms::none);
  EXPECT_NO_THROW(copy_side_files(folder / "from", folder / "to"));
  fs::create_symlink("nowhere", folder / "from/vocab.json");
  expect_error(Code::kIo, {"cannot copy file", "vocab.json"},
               [&] { copy_side_files(folder / "from", folder / "to"); });
}

}  // namespace
}  // namespace farthing::checkpoint
