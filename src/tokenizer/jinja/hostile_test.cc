// Templates that try to hang, to fill the memory or to overflow the stack, and templates of random pieces.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tokenizer/jinja/test_render.h"

namespace farthing::tokenizer::jinja {
namespace {

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

// A loop that runs `body` 100000 times with a namespace `ns` around.
std::string often(const std::string& body) {
  return "{% set ns = namespace(v=[], w=namespace()) %}{% for i in range(100000) %}" + body + "{% endfor %}";
}

void expect_refused(const std::string& source) {
  const std::string result = outcome(source, variables());
  EXPECT_TRUE(result.starts_with("error: "))
      << source.substr(0, 100) << " gives " << result.size() << " bytes";
}

TEST(JinjaHostile, EndlessWorkEnds) {
  expect_refused("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
  expect_refused("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}");
  expect_refused(
      "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}");
}

TEST(JinjaHostile, MemoryIsBounded) {
  const char* cases[] = {
      "{{ 'x' * 1000000000000 }}",
      "{{ [0] * 1000000000000 }}",
      "{{ '' * 9223372036854775807 }}{{ 'x'.center(1000000000000) }}",
      "{{ 'x'.zfill(1000000000000) }}",
      "{{ '\\t'.expandtabs(1000000000000) }}",
      "{{ '%1000000000000d' % 1 }}",
      "{{ '%.999999999f' % 1.5 }}",
      "{{ '{:1000000000000}'.format(1) }}",
      "{{ 'a'|indent(1000000000000, true) }}",
      "{{ [1]|tojson(indent=1000000000000) }}",
      "{{ [1]|batch(1000000000000, 0)|list }}",
      "{{ [1]|slice(1000000000000)|list }}",
      "{{ ('x' * 100000)|replace('x', 'y' * 100000) }}",
      "{{ ('a' * 100000)|wordwrap(1, wrapstring='x' * 100000) }}",
      "{{ range(1000000000000)|list }}",
      "{% set ns = namespace(v='x') %}{% for i in range(99) %}{% set ns.v = ns.v + ns.v %}{% endfor %}",
      "{% set ns = namespace(v='x') %}{% for i in range(99) %}{% set ns.v = ns.v ~ ns.v %}{% endfor %}",
      "{% set ns = namespace(v=[1]) %}{% for i in range(99) %}{% set ns.v = ns.v + ns.v %}{% endfor %}",
      ("{% set ns = namespace(v=[1]) %}{% for i in range(99) %}{% set ns.v = [ns.v, ns.v] %}{% endfor %}"
       "{{ ns.v }}"),
      ("{% set ns = namespace(v=[1]) %}{% for i in range(99) %}{% set ns.v = [ns.v, ns.v] %}{% endfor %}{{ "
       "ns.v|tojson }}"),
      ("{% set ns = namespace(v=[1], w=[1]) %}{% for i in range(99) %}{% set ns.v = [ns.v, ns.v] %}{% set "
       "ns.w = [ns.w, ns.w] %}{% endfor %}{{ ns.v == ns.w }}"),
      "{% set x = 'x' * 1000000 %}{% for i in range(100) %}{{ x }}{% endfor %}",
      ("{% set ns = namespace() %}{% set x = 'x' * 1000000 %}{% set ns.l = [x] * 100000 %}{{ (x ~ 'a') in "
       "ns.l }}{{ ns.l|join }}"),
  };
  for (const char* source : cases) expect_refused(source);
}

TEST(JinjaHostile, NestingIsBounded) {
  expect_refused("{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}");
  expect_refused("{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}");
  expect_refused("{{ " + repeated("not ", 100000) + "1 }}");
  expect_refused("{{ " + repeated("-", 100000) + "1 }}");
  expect_refused("{{ 1" + repeated(" + 1", 100000) + " }}");
  expect_refused("{{ 1" + repeated(" and 1", 100000) + " }}");
  expect_refused("{{ x" + repeated(".x", 100000) + " }}");
  expect_refused("{{ x" + repeated("|list", 100000) + " }}");
  expect_refused("{{ 1" + repeated(" if 1 else 1", 100000) + " }}");
  expect_refused("{% set " + repeated("(", 100000) + "a" + repeated(")", 100000) + " = 1 %}");
  expect_refused(repeated("{% if 1 %}", 100000) + repeated("{% endif %}", 100000));
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_refused("{% macro m() %}{% call m() %}{% endcall %}{{ caller }}{% endmacro %}{{ m() }}");
  expect_refused("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}");
  expect_refused(often("{% set ns.v = [ns.v] %}"));
  expect_refused(often("{% set ns.v = {'a': ns.v} %}"));
  expect_refused(often("{% set ns.v = ns.v|map('list') %}"));
  expect_refused(often("{% set ns.v = []|map('default', ns.v) %}"));
  expect_refused(often("{% set ns.v = cycler(ns.v) %}"));
  expect_refused(often("{% for j in [ns.v] %}{% set ns.v = loop %}{% endfor %}"));
  EXPECT_EQ(outcome("{{ a }}", Json::object({{"a", Json::parse(repeated("[", 150) + repeated("]", 150))}})),
            repeated("[", 150) + repeated("]", 150));
}

// A hundred thousand links, and circles: neither may be torn down recursively, or leak.
TEST(JinjaHostile, ChainsAndCirclesComeApart) {
  EXPECT_EQ(outcome(often("{% set next = namespace(back=ns.w) %}{% set ns.w = next %}")), "");
  EXPECT_EQ(outcome(often("{% set old = ns.w %}{% set ns.w = namespace() %}{% set old.next = ns.w %}")), "");
  EXPECT_EQ(outcome("{% set a = namespace() %}{% set a.a = [a] %}{% macro m() %}{% endmacro %}{% set a.m = m "
                    "%}{% set m2 = a.m %}"),
            "");
  EXPECT_EQ(outcome("{% set a = namespace(f=none) %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{% "
                    "set a.f = m %}{% endfor %}{{ a.f() }}"),
            "1");
  expect_refused("{% set a = namespace() %}{% set a.a = a %}{{ a }}");
}

TEST(JinjaHostile, BytesThatAreNotTextAreHarmless) {
  EXPECT_EQ(outcome("\xff{{ 1 }}\xc3"),
            "\xff"
            "1\xc3");
  EXPECT_EQ(outcome("{{ '\xff\xc3\x28' |length }}"), "3");
  EXPECT_FALSE(
      outcome("{{ '\xf0\x9f'|upper|tojson }}{{ '\xff'.strip() }}{{ ['\xff'] }}").starts_with("error"));
}

TEST(JinjaHostile, RandomPiecesNeverCrash) {
  const std::vector<std::string> pieces = {
      "{{",
      "}}",
      "{%",
      "%}",
      "{#",
      "#}",
      "{%-",
      "-%}",
      "{{-",
      "-}}",
      "+%}",
      " ",
      "\n",
      "a",
      "x",
      "\"",
      "'",
      "'s'",
      "1",
      "2.5",
      "0",
      "-",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      ",",
      ":",
      "|",
      ".",
      "=",
      "==",
      "+",
      "*",
      "**",
      "//",
      "%",
      "~",
      "<",
      "in",
      "not",
      "and",
      "or",
      "is",
      "if",
      "elif",
      "else",
      "endif",
      "for",
      "endfor",
      "recursive",
      "set",
      "endset",
      "macro",
      "endmacro",
      "call",
      "endcall",
      "filter",
      "endfilter",
      "raw",
      "endraw",
      "with",
      "endwith",
      "generation",
      "endgeneration",
      "break",
      "continue",
      "block",
      "endblock",
      "print",
      "loop",
      "caller",
      "varargs",
      "kwargs",
      "namespace",
      "range",
      "name",
      "items",
      "point",
      "messages",
      "none",
      "true",
      "m()",
      "ns.a",
      "upper",
      "join",
      "map",
      "tojson",
      "list",
      "select",
      "format",
      "default",
      "sort",
      "defined",
      "string",
      "odd",
      "split",
      "get",
      "{% if x %}",
      "{% endif %}",
      "{% for i in items %}",
      "{% endfor %}",
      "{{ name }}",
      "{% set x = 1 %}",
      "{% macro m(a, b=1) %}",
      "{% endmacro %}",
      "{{ m(1) }}",
      "{{ loop.index }}",
      "{% set ns = namespace(a=1) %}",
      "{{ items|map(",
      "\\",
      "\xc3\xa4",
      "\xff",
  };
  std::mt19937 random(20260115);
  int rendered = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string source;
    const auto length = random() % 24;
    for (std::size_t i = 0; i < length; ++i) {
      source += pieces[random() % pieces.size()];
      if (random() % 2 == 0) source += ' ';
    }
    if (random() % 2 == 0) source = fmt::format("{{{{ {} }}}}", source);
    rendered += outcome(source, variables()).starts_with("error: ") ? 0 : 1;
  }
  EXPECT_GT(rendered, 500);  // the pieces make sense now and then
}

}  // namespace
}  // namespace farthing::tokenizer::jinja
