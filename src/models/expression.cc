#include "models/expression.h"

#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace farthing::models {
namespace {

using Value = std::optional<double>;

class Parser {
 public:
  Parser(const std::string& text, const Config& config, const Variables& variables)
      : text_(text), config_(config), variables_(variables) {}

  Value parse() {
    const Value value = alternatives();
    require(at_ == text_.size(), "something follows the end of an expression");
    return value;
  }

 private:
  void require(bool condition, std::string_view what) const {
    FARTHING_REQUIRE(
        condition, Code::kInvalidArgument, std::string(what), {{"expression", text_}, {"at", at_}},
        "write arithmetic over keys of config.json: head_dim or hidden_size / num_attention_heads");
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  bool take(std::string_view token) {
    skip_spaces();
    if (text_.compare(at_, token.size(), token) != 0) return false;
    const std::size_t end = at_ + token.size();
    const bool is_word = is_name(token.back());
    if (is_word && end < text_.size() && is_name(text_[end])) return false;
    at_ = end;
    skip_spaces();
    return true;
  }

  static bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
  }

  template <typename Function>
  static Value combine(const Value& a, const Value& b, const Function& function) {
    if (!a || !b) return std::nullopt;
    return function(*a, *b);
  }

  Value alternatives() {
    Value value = comparison();
    while (take("or")) {
      const Value other = comparison();
      if (!value) value = other;
    }
    return value;
  }

  Value comparison() {
    const Value a = sum();
    const auto against = [&](auto compare) {
      return combine(a, sum(), [&](double x, double y) { return compare(x, y) ? 1.0 : 0.0; });
    };
    if (take("==")) return against(std::equal_to<>());
    if (take("!=")) return against(std::not_equal_to<>());
    if (take("<=")) return against(std::less_equal<>());
    if (take(">=")) return against(std::greater_equal<>());
    if (take("<")) return against(std::less<>());
    if (take(">")) return against(std::greater<>());
    return a;
  }

  Value sum() {
    Value value = product();
    for (;;) {
      if (take("+")) {
        value = combine(value, product(), std::plus<>());
      } else if (take("-")) {
        value = combine(value, product(), std::minus<>());
      } else {
        return value;
      }
    }
  }

  Value product() {
    Value value = factor();
    for (;;) {
      if (take("*")) {
        value = combine(value, factor(), std::multiplies<>());
      } else if (take("/")) {
        value = combine(value, divisor(), std::divides<>());
      } else if (take("%")) {
        value = combine(value, divisor(), [](double x, double y) { return std::fmod(x, y); });
      } else {
        return value;
      }
    }
  }

  Value divisor() {
    const Value value = factor();
    require(!value || *value != 0.0, "an expression divides by zero");
    return value;
  }

  Value factor() {
    constexpr int kDeepest = 64;
    require(++depth_ < kDeepest, "an expression is nested too deeply");
    const Value value = take("-") ? combine(0.0, factor(), std::minus<>()) : primary();
    --depth_;
    return value;
  }

  Value primary() {
    skip_spaces();
    if (take("(")) return closed(alternatives());
    if (take("sqrt(")) {
      const Value value = closed(alternatives());
      require(!value || *value >= 0.0, "an expression takes the root of a negative number");
      return value ? Value(std::sqrt(*value)) : value;
    }
    require(at_ < text_.size() && is_name(text_[at_]), "an expression lacks a number or a name");
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) return number();
    return named(name());
  }

  Value closed(const Value& value) {
    require(take(")"), "an expression lacks a closing parenthesis");
    return value;
  }

  Value number() {
    char* end = nullptr;
    const double value = std::strtod(text_.c_str() + at_, &end);
    at_ = static_cast<std::size_t>(end - text_.c_str());
    return value;
  }

  std::string name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Value named(const std::string& name) const {
    if (name == "true") return 1.0;
    if (name == "false") return 0.0;
    if (const auto variable = variables_.find(name); variable != variables_.end()) return variable->second;
    Config block = config_;
    std::size_t begin = 0;
    for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
      block = block.child(name.substr(begin, dot - begin));
      begin = dot + 1;
    }
    const std::string key = name.substr(begin);
    if (!block.has(key)) return std::nullopt;
    if (block.json()[key].is_boolean()) return block.flag(key, false) ? 1.0 : 0.0;
    return block.number(key);
  }

  const std::string& text_;
  const Config& config_;
  const Variables& variables_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::optional<double> evaluate(const std::string& expression, const Config& config,
                               const Variables& variables) {
  return Parser(expression, config, variables).parse();
}

}  // namespace farthing::models
