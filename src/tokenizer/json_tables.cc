#include "tokenizer/json_tables.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::tokenizer {

namespace {

constexpr std::size_t kMaxDepth = 64;
// Objects that keep their order are searched one field after the other; real ones have at most some thousand
// fields (the added tokens of a configuration).
constexpr std::size_t kMaxFields = 20'000;

/// Receives the parser's events. Inside a table every value is put into the table, elsewhere into the tree.
class Handler : public nlohmann::json_sax<Json> {
 public:
  enum class Layout { kTree, kTokenizer, kVocabulary };

  Handler(std::string_view origin, Layout layout) : origin_(origin), layout_(layout) {
    if (layout == Layout::kVocabulary) table_ = Table::kVocabulary;
  }

  TokenizerJson take() { return std::move(result_); }

  bool null() override {
    if (table_ == Table::kNone) return put(nullptr);
    if (in_table() > 0) fail_table("null");
    table_ = Table::kNone;
    return true;
  }
  bool boolean(bool value) override { return table_ == Table::kNone ? put(value) : fail_table("a boolean"); }
  bool number_integer(number_integer_t value) override { return put_integer(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (table_ == Table::kNone) return put(value);
    return put_integer(static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX)));
  }
  bool number_float(number_float_t value, const string_t&) override {
    return table_ == Table::kNone ? put(value) : put_score(value);
  }
  bool string(string_t& value) override {
    return table_ == Table::kNone ? put(std::move(value)) : put_table_string(value);
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override {
    enter();
    if (table_ == Table::kNone) return open(Json::object());
    if (table_ != Table::kVocabulary || in_table() != 1) return fail_table("an object");
    vocabulary_is_object_ = true;
    return true;
  }
  bool key(string_t& name) override {
    if (table_ != Table::kNone) {
      token_ = std::move(name);
      return true;
    }
    const bool in_model = layout_ == Layout::kTokenizer && depth_ == 2 && path_ == "model";
    if (in_model && (name == "vocab" || name == "merges")) {
      table_ = name == "vocab" ? Table::kVocabulary : Table::kMerges;
      table_depth_ = depth_;
      return true;
    }
    if (depth_ == 1) path_ = name;
    FARTHING_REQUIRE(open_.back()->size() < kMaxFields, Code::kCorruptData, "object with too many fields",
                     {{"file", origin_}, {"field", name}});
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return leave(); }

  bool start_array(std::size_t) override {
    enter();
    if (table_ == Table::kNone) return open(Json::array());
    pair_.clear();
    if (in_table() > 2 || (table_ == Table::kVocabulary && vocabulary_is_object_))
      return fail_table("a list");
    return true;
  }
  bool end_array() override {
    if (table_ == Table::kMerges && in_table() == 2) {
      if (pair_.size() != 2) fail_table("a list of another length than two");
      result_.tables.merges.add(pair_[0], pair_[1]);
    } else if (table_ == Table::kVocabulary && in_table() == 2) {
      if (pair_.size() != 1 || !has_score_) fail_table("something else than [piece, score]");
      result_.tables.vocabulary.insert(pair_[0], static_cast<std::int64_t>(result_.tables.scores.size()));
      result_.tables.scores.push_back(score_);
      has_score_ = false;
    }
    return leave();
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    throw Error(Code::kCorruptData, "not valid JSON",
                {{"file", origin_}, {"byte", position}, {"reason", error.what()}},
                "the file may be truncated or not be what its name says; fetch it again");
  }

 private:
  enum class Table { kNone, kVocabulary, kMerges };

  [[noreturn]] bool fail_table(std::string_view found) const {
    const bool merges = table_ == Table::kMerges;
    throw Error(
        Code::kCorruptData, "unexpected value in a table of the tokenizer",
        {{"file", origin_}, {"table", merges ? "merges" : "vocab"}, {"found", found}, {"after", token_}});
  }

  /// How many brackets of the table are open.
  std::size_t in_table() const { return depth_ - table_depth_; }

  void enter() {
    ++depth_;
    FARTHING_REQUIRE(depth_ <= kMaxDepth, Code::kCorruptData, "nested too deeply for a tokenizer file",
                     {{"file", origin_}, {"depth", depth_}});
  }

  bool leave() {
    --depth_;
    if (table_ == Table::kNone) {
      open_.pop_back();
    } else if (depth_ == table_depth_) {
      table_ = Table::kNone;
    }
    return true;
  }

  /// Puts a value where the tree is open, and returns true for the parser.
  template <typename T>
  bool put(T&& value) {
    add(Json(std::forward<T>(value)));
    return true;
  }

  Json* add(Json value) {
    if (open_.empty()) {
      result_.tree = std::move(value);
      return &result_.tree;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    Json& field = parent[key_];
    field = std::move(value);
    return &field;
  }

  bool open(Json container) {
    open_.push_back(add(std::move(container)));
    return true;
  }

  bool put_integer(std::int64_t value) {
    if (table_ == Table::kNone) return put(value);
    if (table_ == Table::kVocabulary && vocabulary_is_object_ && in_table() == 1) {
      result_.tables.vocabulary.insert(token_, value);
      return true;
    }
    return put_score(static_cast<double>(value));
  }

  bool put_score(double value) {
    if (table_ != Table::kVocabulary || in_table() != 2 || pair_.size() != 1 || has_score_)
      fail_table("a number");
    score_ = value;
    has_score_ = true;
    return true;
  }

  bool put_table_string(const std::string& value) {
    if (in_table() == 2) {
      pair_.push_back(value);
      token_ = value;
    } else if (table_ == Table::kMerges && in_table() == 1) {
      token_ = value;
      const MergeList::Merge merge = split_merge(value);
      result_.tables.merges.add(merge.left, merge.right);
    } else {
      fail_table("a string");
    }
    return true;
  }

  std::string_view origin_;
  Layout layout_;
  TokenizerJson result_;

  std::size_t depth_ = 0;
  std::string path_;         // the field of the outermost object that is being read
  std::string key_;          // the field of the innermost open object of the tree
  std::vector<Json*> open_;  // the open objects and lists of the tree, outermost first

  Table table_ = Table::kNone;
  std::size_t table_depth_ = 0;  // depth outside the table
  bool vocabulary_is_object_ = false;
  std::string token_;  // the last key or string of the table
  std::vector<std::string> pair_;
  double score_ = 0;
  bool has_score_ = false;
};

TokenizerJson parse(std::string_view text, std::string_view origin, Handler::Layout layout) {
  Handler handler(origin, layout);
  Json::sax_parse(text, &handler);
  return handler.take();
}

}  // namespace

void MergeList::add(std::string_view left, std::string_view right) {
  arena_ += left;
  arena_ += right;
  lengths_.push_back({static_cast<std::uint32_t>(left.size()), static_cast<std::uint32_t>(right.size())});
}

MergeList::Merge split_merge(std::string_view line) {
  const std::size_t space = line.find(' ');
  const bool two = space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos;
  FARTHING_REQUIRE(two && space > 0 && space + 1 < line.size(), Code::kCorruptData,
                   "a merge is not two tokens with a space between", {{"merge", line}});
  return {line.substr(0, space), line.substr(space + 1)};
}

TokenizerJson parse_tokenizer_json(std::string_view text, std::string_view origin) {
  return parse(text, origin, Handler::Layout::kTokenizer);
}

Vocabulary parse_vocabulary_json(std::string_view text, std::string_view origin) {
  TokenizerJson result = parse(text, origin, Handler::Layout::kVocabulary);
  FARTHING_REQUIRE(result.tables.scores.empty() && result.tables.vocabulary.size() > 0, Code::kCorruptData,
                   "vocabulary is not a JSON object of token to id", {{"file", origin}});
  return std::move(result.tables.vocabulary);
}

Json parse_json_tree(std::string_view text, std::string_view origin) {
  return parse(text, origin, Handler::Layout::kTree).tree;
}

}  // namespace farthing::tokenizer
