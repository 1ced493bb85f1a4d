#include "tokenizer/regex_syntax.h"

#include <array>
#include <cctype>
#include <optional>
#include <vector>

#include "base/error.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_scripts.h"

namespace farthing::tokenizer {

namespace {

constexpr int kMaxClassDepth = 50;

// Contents of a bracket for classes that PCRE2 defines otherwise or not at all.
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kLatin1Numbers =
    "\\xB2\\xB3\\xB9\\xBC-\\xBE";  // words to a \\w outside brackets only
constexpr std::string_view kWhiteSpace = "\\p{White_Space}";
constexpr std::string_view kHexadecimal = "0-9a-fA-F";

struct Name {
  std::string_view oniguruma;
  std::string_view pcre2;  // contents of a bracket
};

// Property names that PCRE2 lacks, without case, spaces, hyphens and underscores.
constexpr Name kProperties[] = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"alpha", "\\p{Alphabetic}"},
    {"blank", "\\p{Zs}\\t"},
    {"cntrl", "\\p{Cc}"},
    {"digit", "\\p{Nd}"},
    {"graph", "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}"},
    {"lower", "\\p{Lowercase}"},
    {"print", "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}\\p{Zs}"},
    {"punct", "\\p{P}"},
    {"space", kWhiteSpace},
    {"upper", "\\p{Uppercase}"},
    {"word", kWord},
    {"xdigit", kHexadecimal},
    {"assigned", "\\P{Cn}"},
    {"letter", "\\p{L}"},
    {"casedletter", "\\p{L&}"},
    {"lc", "\\p{L&}"},
    {"uppercaseletter", "\\p{Lu}"},
    {"lowercaseletter", "\\p{Ll}"},
    {"titlecaseletter", "\\p{Lt}"},
    {"modifierletter", "\\p{Lm}"},
    {"otherletter", "\\p{Lo}"},
    {"mark", "\\p{M}"},
    {"nonspacingmark", "\\p{Mn}"},
    {"spacingmark", "\\p{Mc}"},
    {"enclosingmark", "\\p{Me}"},
    {"number", "\\p{N}"},
    {"decimalnumber", "\\p{Nd}"},
    {"letternumber", "\\p{Nl}"},
    {"othernumber", "\\p{No}"},
    {"punctuation", "\\p{P}"},
    {"connectorpunctuation", "\\p{Pc}"},
    {"dashpunctuation", "\\p{Pd}"},
    {"openpunctuation", "\\p{Ps}"},
    {"closepunctuation", "\\p{Pe}"},
    {"initialpunctuation", "\\p{Pi}"},
    {"finalpunctuation", "\\p{Pf}"},
    {"otherpunctuation", "\\p{Po}"},
    {"symbol", "\\p{S}"},
    {"mathsymbol", "\\p{Sm}"},
    {"currencysymbol", "\\p{Sc}"},
    {"modifiersymbol", "\\p{Sk}"},
    {"othersymbol", "\\p{So}"},
    {"separator", "\\p{Z}"},
    {"spaceseparator", "\\p{Zs}"},
    {"lineseparator", "\\p{Zl}"},
    {"paragraphseparator", "\\p{Zp}"},
    {"other", "\\p{C}"},
    {"control", "\\p{Cc}"},
    {"format", "\\p{Cf}"},
    {"surrogate", "\\p{Cs}"},
    {"privateuse", "\\p{Co}"},
    {"unassigned", "\\p{Cn}"},
};

// POSIX brackets such as [:alpha:] where they differ from PCRE2's and from the property of the same name.
constexpr Name kPosixBrackets[] = {{"punct", "\\p{P}\\p{S}"}};

std::string simplified(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c != ' ' && c != '-' && c != '_')
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// The contents of a bracket for the property `name`.
std::string property_items(std::string_view name) {
  const std::string plain = simplified(name);
  for (const Name& known : kProperties) {
    if (known.oniguruma == plain) return std::string(known.pcre2);
  }
  for (const std::string_view script : unicode_scripts()) {
    if (simplified(script) == plain) return fmt::format("\\p{{sc:{}}}", script);
  }
  return fmt::format("\\p{{{}}}", name);
}

/// The contents of a bracket for the POSIX class `name`, as in [:alpha:].
std::string posix_items(std::string_view name) {
  for (const Name& known : kPosixBrackets) {
    if (known.oniguruma == name) return std::string(known.pcre2);
  }
  for (const Name& known : kProperties) {
    if (known.oniguruma == name) return std::string(known.pcre2);
  }
  return fmt::format("[:{}:]", name);
}

/// A set of characters, as PCRE2 sees it: one bracket, and expressions of one character that no bracket can
/// hold.
struct CharacterSet {
  std::string items;
  std::vector<std::string> others;

  std::string expression() const {
    if (others.empty()) return fmt::format("[{}]", items);
    if (items.empty() && others.size() == 1) return others[0];
    std::string result = "(?:";
    if (!items.empty()) result += fmt::format("[{}]|", items);
    return result + fmt::format("{})", fmt::join(others, "|"));
  }

  std::string complement() const {
    if (others.empty()) return fmt::format("[^{}]", items);
    return fmt::format("(?:(?!{})(?s:.))", expression());
  }
};

/// Reads the pattern once, from left to right.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (position_ < pattern_.size()) next_element();
    return std::move(result_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < pattern_.size() ? pattern_[position_ + ahead] : '\0';
  }
  bool starts_with(std::string_view text) const { return pattern_.substr(position_).starts_with(text); }

  void put_atom(std::string_view atom) {
    atom_start_ = result_.size();
    result_ += atom;
  }

  void next_element() {
    const char c = peek();
    if (c == '{' && put_repetition()) return;
    if (c == '[') {
      ++position_;
      put_atom(read_class(0));
    } else if (c == '\\') {
      put_escape();
    } else if (c == '(') {
      open_group();
    } else if (c == ')') {
      ++position_;
      result_ += ')';
      if (!groups_.empty()) {
        atom_start_ = groups_.back();
        groups_.pop_back();
      }
    } else if (std::string_view("?*+|").find(c) != std::string_view::npos) {
      ++position_;
      result_ += c;
    } else {
      std::size_t length = 1;  // keep the bytes of a character together, so that a repetition takes them all
      while (is_continuation_byte(peek(length))) ++length;
      put_atom(pattern_.substr(position_, length));
      position_ += length;
    }
  }

  void open_group() {
    groups_.push_back(result_.size());
    ++position_;
    result_ += '(';
    if (peek() != '?') return;
    // Options up to the colon or bracket that ends them: Ruby's "m" is "s" elsewhere.
    std::size_t length = 1;
    while (std::string_view("imx-").find(peek(length)) != std::string_view::npos && peek(length) != '\0')
      ++length;
    if (peek(length) != ':' && peek(length) != ')') return;
    for (const char option : pattern_.substr(position_, length)) result_ += option == 'm' ? 's' : option;
    position_ += length;
  }

  /// {n}, {n,}, {,m} or {n,m}; a following + repeats it again, where PCRE2 would make it possessive.
  bool put_repetition() {
    const std::size_t end = pattern_.find('}', position_);
    if (end == std::string_view::npos) return false;
    std::string bounds(pattern_.substr(position_ + 1, end - position_ - 1));
    const std::size_t comma = bounds.find(',');
    if (bounds.empty() || bounds == "," || bounds.find_first_not_of("0123456789,") != std::string::npos ||
        (comma != std::string::npos && bounds.find(',', comma + 1) != std::string::npos)) {
      return false;
    }
    if (comma == 0) bounds = fmt::format("0{}", bounds);
    position_ = end + 1;
    const bool again = peek() == '+' || (peek() == '?' && comma == std::string::npos);
    const std::string atom = result_.substr(atom_start_);
    result_.resize(atom_start_);
    result_ += again ? fmt::format("(?:{}{{{}}})", atom, bounds) : fmt::format("{}{{{}}}", atom, bounds);
    return true;
  }

  /// The name in \p{name} or \p{^name} at the position of the backslash, and whether it is negated.
  struct Property {
    std::string_view name;
    bool negated;
  };
  std::optional<Property> read_property() {
    if (peek(2) != '{') return std::nullopt;
    const std::size_t end = pattern_.find('}', position_);
    if (end == std::string_view::npos) return std::nullopt;
    Property property{pattern_.substr(position_ + 3, end - position_ - 3), peek(1) == 'P'};
    if (property.name.starts_with('^')) {
      property.name.remove_prefix(1);
      property.negated = !property.negated;
    }
    position_ = end + 1;
    return property;
  }

  /// Reads an escape that stands for a set of characters, at the backslash. Returns false, without moving,
  /// for others.
  bool read_set_escape(CharacterSet& set, bool in_class) {
    const char c = peek(1);
    std::string items;
    bool negated = false;
    if (c == 'p' || c == 'P') {
      const auto property = read_property();
      if (!property) return false;
      items = property_items(property->name);
      negated = property->negated;
    } else {
      switch (std::tolower(static_cast<unsigned char>(c))) {
        case 's':
          items = kWhiteSpace;
          break;
        case 'w':
          items = kWord;
          break;
        case 'd':
          items = "\\p{Nd}";
          break;
        case 'h':
          items = kHexadecimal;
          break;
        default:
          return false;
      }
      negated = c < 'a';
      position_ += 2;
    }
    if (items == kWord && !in_class) items += kLatin1Numbers;
    if (negated) {
      set.others.push_back(fmt::format("[^{}]", items));
    } else {
      set.items += items;
    }
    return true;
  }

  /// An escape for one character or an assertion, in PCRE2's spelling.
  std::string read_plain_escape() {
    const char c = peek(1);
    if (c == 'u') {
      const std::string_view digits = pattern_.substr(std::min(position_ + 2, pattern_.size()), 4);
      if (digits.size() == 4 &&
          digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos) {
        position_ += 6;
        return fmt::format("\\x{{{}}}", digits);
      }
    }
    position_ += 2;
    if (c == 'v') return "\\x0B";
    return c == '\0' ? "\\" : std::string{'\\', c};
  }

  void put_escape() {
    CharacterSet set;
    if (read_set_escape(set, false)) return put_atom(set.expression());
    const char c = peek(1);
    if (c == 'b' || c == 'B') {
      position_ += 2;
      const std::string word = fmt::format("[{}{}]", kWord, kLatin1Numbers);
      return put_atom(c == 'b' ? fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word)
                               : fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word));
    }
    put_atom(read_plain_escape());
  }

  /// Reads [:name:] or [:^name:]. Returns false, without moving, when it does not end.
  bool read_posix_bracket(CharacterSet& set) {
    const std::size_t end = pattern_.find(":]", position_);
    if (end == std::string_view::npos) return false;
    std::string_view name = pattern_.substr(position_ + 2, end - position_ - 2);
    position_ = end + 2;
    if (name.starts_with('^')) {
      set.others.push_back(fmt::format("[^{}]", posix_items(name.substr(1))));
    } else {
      set.items += posix_items(name);
    }
    return true;
  }

  /// Reads a class from behind its opening bracket to behind its closing one.
  std::string read_class(int depth) {
    FARTHING_REQUIRE(depth < kMaxClassDepth, Code::kUnsupported,
                     "character classes nested too deeply in a pattern", {{"pattern", pattern_}});
    const bool negated = peek() == '^';
    if (negated) ++position_;
    std::vector<CharacterSet> intersected(1);
    for (bool first = true; position_ < pattern_.size() && (peek() != ']' || first); first = false) {
      CharacterSet& set = intersected.back();
      if (starts_with("&&")) {
        position_ += 2;
        intersected.emplace_back();
      } else if (starts_with("[:")) {
        if (!read_posix_bracket(set)) break;
      } else if (peek() == '[') {
        ++position_;
        set.others.push_back(read_class(depth + 1));
      } else if (peek() == '\\') {
        if (!read_set_escape(set, true)) set.items += read_plain_escape();
      } else {
        if (first && peek() == ']') set.items += '\\';
        set.items += peek();
        ++position_;
      }
    }
    if (peek() != ']') {  // unbalanced: let PCRE2 say so
      position_ = pattern_.size();
      return fmt::format("[{}", intersected.back().items);
    }
    ++position_;
    if (intersected.size() == 1) return negated ? intersected[0].complement() : intersected[0].expression();
    CharacterSet all;
    std::string both = "(?:";
    for (std::size_t i = 0; i + 1 < intersected.size(); ++i)
      both += fmt::format("(?={})", intersected[i].expression());
    all.others.push_back(both + intersected.back().expression() + ")");
    return negated ? all.complement() : all.expression();
  }

  std::string_view pattern_;
  std::size_t position_ = 0;
  std::string result_;
  std::size_t atom_start_ = 0;       // where in result_ the element begins that a repetition applies to
  std::vector<std::size_t> groups_;  // where in result_ each open group begins
};

}  // namespace

std::string oniguruma_to_pcre2(std::string_view pattern) {
  return Translator(pattern).run();
}

}  // namespace farthing::tokenizer
