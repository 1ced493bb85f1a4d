// Tags, white space, scopes, macros.
#include <gtest/gtest.h>

#include "tokenizer/jinja/test_render.h"

namespace farthing::tokenizer::jinja {
namespace {

const Case kWhitespace[] = {
    // trim_blocks, lstrip_blocks, and the signs that override them
    {"a\n  {% if yes %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
    {"a\n  {{ name }}\n  b", "a\n  Ada\n  b"},
    {"a \n {%- if yes -%} \n b \n {%- endif -%} \n c", "abc"},
    {"a {%+ if yes %}\nb{% endif +%}\nc", "a b\nc"},
    {"a\n  {# note #}\n  b", "a\n  b"},
    {"a\n  {#- note -#}\n  b", "ab"},
    {"a\n\n{{- name -}}\n\nb", "aAdab"},
    {"{% if yes %}\n\na{% endif %}\n", "\na"},
    {"x\r\ny\rz\n\n", "x\ny\nz\n"},
    {"  {% raw -%}\n  {{ name }}{%- endraw %}\nb", "{{ name }}b"},
    {"{% raw %}{% if %}{{ {% endraw %}", "{% if %}{{ "},
    {" {%- set a = 1 %} \n {% set b = 2 %}z", " \nz"},
    {"{{ {'a': {'b': 1}}}}", "{'a': {'b': 1}}"},
    {"{", "{"},
    {"a{b}%}c}}", "a{b}%}c}}"},
    {"\n{% set a = 1 %}\n{% set b = 2 %}\nend", "\nend"},
};

const Case kStatements[] = {
    // assignment and scope
    {"{% set a = 1 %}{% set b, c = 2, [3] %}{{ a }}{{ b }}{{ c }}", "12[3]"},
    {"{% if yes %}{% set a = 1 %}{% endif %}{{ a }}", "1"},
    {"{% set a = 0 %}{% for i in items %}{{ a }}{% set a = i %}{{ a }} {% endfor %}{{ a }}", "01 02 03 0"},
    {"{% for i in items %}[{{ a }}]{% set a = i %}{% endfor %}", "[][][]"},
    {"{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }} {{ ns "
     "}} {{ ns.missing is defined }}",
     "6 <Namespace {'n': 6}> False"},
    {"{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}", "12"},
    {"{% set point.x = 3 %}", fails("cannot assign attribute on non-namespace object")},
    {"{% set t | upper | replace('A', 'o') %}a{{ name }}{% endset %}{{ t }}", "ooDo"},
    {"{% set t %}{% set u = 1 %}{{ u }}{% endset %}{{ t }}{{ u is defined }}", "1False"},
    {"{% with a = 1, b = name %}{{ a }}{{ b }}{% set c = 1 %}{% endwith %}{{ a is defined }}{{ c is defined "
     "}}",
     "1AdaFalseFalse"},
    {"{% filter upper %}{{ name }}b{% endfilter %}", "ADAB"},
    {"{% generation %}{{ name }}{% set a = 1 %}{% endgeneration %}{{ a }}", "Ada"},
    {"{% set a = 1 %}{% for i in items %}{% block b %}{{ a }}{{ i }}{% endblock %}{% endfor %}", "111"},
    {"{% print name, 1 %}", "Ada1"},
    // for
    {"{% for i in items %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
     "loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
     "1032TrueFalse3 2121FalseFalse3 3210FalseTrue3 "},
    {"{% for i in items %}({{ loop.previtem }},{{ loop.nextitem }}){% endfor %}", "(,2)(1,3)(2,)"},
    {"{% for i in items if i != 2 %}{{ i }}:{{ loop.index }}/{{ loop.length }} {% endfor %}", "1:1/2 3:2/2 "},
    {"{% for i in [] %}{{ i }}{% else %}none{% endfor %}{% for i in items %}{{ i }}{% else %}none{% endfor "
     "%}",
     "none123"},
    {"{% for i in items %}{% continue %}{% else %}none finished{% endfor %}", "none finished"},
    {"{% for i in items %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}{% for i in items %}{% "
     "if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
     "131"},
    {"{% for k, v in point.items() %}{{ k }}={{ v }} {% endfor %}{% for a, (b, c) in [[1, [2, 3]]] %}{{ a "
     "}}{{ b }}{{ c }}{% endfor %}",
     "x=1 y=2 123"},
    {"{% for c in 'ab' %}<{{ c }}>{% endfor %}{% for k in point %}{{ k }}{% endfor %}", "<a><b>xy"},
    {"{% for i in nothing_at_all %}x{% endfor %}", ""},
    {"{% for i in nothing %}x{% endfor %}", fails("'NoneType' object is not iterable")},
    {"{% for i in 5 %}x{% endfor %}", fails("'int' object is not iterable")},
    {"{% for a, b in [[1]] %}{% endfor %}", fails("not enough values to unpack (expected 2, got 1)")},
    {"{% for a, b in [[1, 2, 3]] %}{% endfor %}", fails("too many values to unpack (expected 2)")},
    {"{% for a, b in [1] %}{% endfor %}", fails("cannot unpack non-iterable int object")},
    {"{% for i in items %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }} {% endfor %}",
     "aTrue bTrue aFalse "},
    {"{% for i in [[1, [2]], [3]] recursive %}{{ loop.depth }}{% if i is iterable %}({{ loop(i) }}){% else "
     "%}{{ i }}{% endif %}{% endfor %}",
     "1(212(32))1(23)"},
    {"{% set ns = namespace(stop=false) %}{% for i in items if not ns.stop %}{{ i }}{% if i == 2 %}{% set "
     "ns.stop = true %}{% endif %}{% endfor %}",
     "12"},
    {"{% for i in [1] %}{% for j in [5] %}{{ loop.index }}{{ i }}{{ j }}{% endfor %}{{ loop.last }}{% endfor "
     "%}{{ i is defined }}{{ loop is defined }}",
     "115TrueFalseFalse"},
    {"{% for i in [3] if loop.first %}{{ i }}{% endfor %}", fails("'loop' is undefined")},
    // if
    {"{% if nothing %}a{% elif empty %}b{% elif point %}c{% else %}d{% endif %}", "c"},
    {"{% if 0.0 or '' or {} or () or missing %}a{% else %}b{% endif %}", "b"},
    {"{% if yes: %}a{% endif %}", "a"},
    // macros
    {"{% macro m(a, b=2) %}{{ a }}{{ b }} {% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}{{ "
     "m(*[7, 8]) }}{{ m(**{'a': 9}) }}",
     "12 13 54 2 78 92 "},
    {"{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m.name }}{{ m.arguments }}{{ m }}",
     "11m('a', 'b')<Macro 'm'>"},
    {"{% macro m(a) %}{{ a is defined }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m() }} {{ m(1, 2, 3, z=4) "
     "}}",
     "False(){} True(2, 3){'z': 4}"},
    {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", fails("macro 'm' takes not more than 1 argument(s)")},
    {"{% macro m(a) %}{% endmacro %}{{ m(z=1) }}", fails("macro 'm' takes no keyword argument 'z'")},
    {"{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "3210"},
    {"{% macro m() %}{{ later }}{{ i }}{% endmacro %}{% set later = 'L' %}{% for i in items %}{{ m() }}{% "
     "endfor %}",
     "LLL"},
    {"{% for i in items %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "123"},
    {"{% macro m() %}<{{ caller('x') }}>{% endmacro %}{% call(v) m() %}{{ v }}{{ name }}{% endcall %}",
     "<xAda>"},
    {"{% macro m(a) %}{{ caller() if caller else 'none' }}{{ a }}{% endmacro %}{{ m(1) }}{% call m(2) %}c{% "
     "endcall %}",
     "none1c2"},
    {"{% macro m() %}{% set name = 'other' %}{{ name }}{% endmacro %}{{ m() }}{{ name }}", "otherAda"},
    {"{{ m(1) }}", fails("'m' is undefined")},
    {"{{ name(1) }}", fails("'str' object is not callable")},
    // messages of the template, and Python's
    {"a{{ raise_exception('roles must alternate: ' ~ name) }}b", fails("roles must alternate: Ada")},
    {"{{ missing.x }}", fails("'missing' is undefined")},
    {"{{ point.z.x }}", fails("'dict object' has no attribute 'z'")},
    {"{{ messages[7].role }}", fails("list object has no element 7")},
    {"{{ nothing.x.y }}", fails("'None' has no attribute 'x'")},
    {"{{ missing + 1 }}", fails("'missing' is undefined")},
    {"{{ missing['a'] }}", fails("'missing' is undefined")},
    {"{{ items.append(4) }}", fails("access to attribute 'append' of 'list' object is unsafe.")},
    {"{{ point.update({}) }}", fails("access to attribute 'update' of 'dict' object is unsafe.")},
    {"{{ items.append is defined }}", "False"},
    {"{{ name.__class__.x }}", fails("access to attribute '__class__' of 'str' object is unsafe.")},
};

TEST(JinjaStatements, WhiteSpaceIsThatOfTransformers) {
  check(kWhitespace);
}

TEST(JinjaStatements, RunAsInJinja) {
  check(kStatements);
}

struct BadSource {
  std::string source;
  std::string message;  // part of it
  int line;
};

TEST(JinjaStatements, SyntaxErrorsNameLineAndText) {
  const BadSource cases[] = {
      {"a\n{{ 1 +\n}}", "unexpected 'end of print statement'", 3},
      {"{% if x %}\nb", "The innermost block that needs to be closed is 'if'", 2},
      {"\n\n{% endif %}", "unknown tag 'endif'", 3},
      {"{% do x.y() %}", "unknown tag 'do'", 1},
      {"{{ 'a }}", "unexpected char", 1},
      {"{{ [1, 2} }}", "unexpected '}', expected ']'", 1},
      {"{{ x", "expected 'end of print statement', got 'end of template'", 1},
      {"{# a", "Missing end of comment tag", 1},
      {"{% raw %}a", "Missing end of raw directive", 1},
      {"{% set 1 = 2 %}", "can't assign to '1'", 1},
      {"{% set none = 2 %}", "can't assign to 'none'", 1},
      {"{% break %}", "'break' outside loop", 1},
      {"{% for i in x %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", "'continue' outside loop",
       1},
      {"{% include 'other' %}", "'include' is not supported", 1},
      {"{% call x %}{% endcall %}", "expected call", 1},
      {"{% macro m(a, a) %}{% endmacro %}", "duplicate argument 'a'", 1},
      {"{% macro m(a=1, b) %}{% endmacro %}", "non-default argument follows default argument", 1},
      {"{{ f(a=1, 2) }}", "invalid syntax for function call", 1},
      {"{{ 1 is odd is even }}", "You cannot chain multiple tests with is", 1},
      {"{{ a b }}", "expected 'end of print statement', got 'b'", 1},
      {"{{ 99999999999999999999 }}", "integer too large", 1},
      {"{{ '\\x4' }}", "truncated \\x escape", 1},
      {"{{ a ? b }}", "unexpected char '?'", 1},
  };
  for (const BadSource& test : cases) {
    try {
      const Template parsed(test.source, "chat_template.jinja");
      ADD_FAILURE() << test.source;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCorruptData);
      EXPECT_NE(error.message().find(test.message), std::string::npos)
          << test.source << ": " << error.message();
      EXPECT_EQ(error.fields().at(1).value, std::to_string(test.line)) << test.source;
    }
  }
}

TEST(JinjaStatements, ErrorsNameTheLineThatFailed) {
  try {
    Template("a\n{% if yes %}\n\n{{ missing.x }}\n{% endif %}", "chat_template.jinja")
        .render({{"yes", Value::boolean(true)}}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_STREQ(error.what(), "'missing' is undefined: template=chat_template.jinja line=4");
  }
}

TEST(JinjaStatements, UnknownFiltersAndTestsFailOnlyWhenReached) {
  EXPECT_EQ(outcome("{% if false %}{{ 1|nope }}{{ 1 is nope }}{% endif %}a"), "a");
  EXPECT_EQ(outcome("{{ 1|nope }}"), fails("No filter named 'nope'."));
  EXPECT_EQ(outcome("{{ 1 is nope }}"), fails("No test named 'nope'."));
}

}  // namespace
}  // namespace farthing::tokenizer::jinja
