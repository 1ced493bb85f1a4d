// What the tests of the engine share: tables of templates with the text that they give. The expectations come
// from jinja2 3.1.6 with the settings of transformers.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/jinja/template.h"

namespace farthing::tokenizer::jinja {

/// The outcome of a template that ends in an error with this message.
inline std::string fails(const std::string& message) {
  return "error: " + message;
}

/// The text, or the message in the form of fails(). `strftime_now` sees noon on 15 January 2026.
inline std::string outcome(const std::string& source, const Json& variables = Json::object()) {
  using namespace std::chrono_literals;
  std::vector<std::pair<std::string, Value>> values;
  for (const auto& [name, value] : variables.items()) values.emplace_back(name, Value::from_json(value));
  try {
    return Template(source, "test")
        .render(values, std::chrono::sys_days(std::chrono::January / 15 / 2026) + 12h);
  } catch (const Error& error) {
    return fails(error.message());
  }
}

/// What the templates of the tables see.
inline const Json& variables() {
  static const Json json = Json::parse(R"({
    "name": "Ada", "items": [1, 2, 3], "point": {"x": 1, "y": 2}, "empty": [], "nothing": null, "yes": true, "half": 0.5,
    "text": "Hello, W\u00f6rld!",
    "messages": [{"role": "user", "content": "Hi <b>", "n": 2},
                 {"role": "assistant", "content": [{"type": "text", "text": "See"}, {"type": "image"}], "n": 1},
                 {"role": "User", "content": null, "n": 3}]})");
  return json;
}

struct Case {
  std::string source;
  std::string expected;
};

inline void check(std::span<const Case> cases) {
  for (const Case& test : cases) EXPECT_EQ(outcome(test.source, variables()), test.expected) << test.source;
}

}  // namespace farthing::tokenizer::jinja
