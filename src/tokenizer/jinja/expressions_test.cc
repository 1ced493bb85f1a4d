// Literals, operators, printing, access, tests, global functions.
#include <gtest/gtest.h>

#include "tokenizer/jinja/test_render.h"

namespace farthing::tokenizer::jinja {
namespace {

const Case kExpressions[] = {
    // literals
    {"{{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1e400 }} {{ -0.0 }}",
     "1000 31 3 15 1500.0 inf -0.0"},
    {R"({{ 'a\nb\t\\\'\x41\u00e9\101\q' }})", "a\nb\t\\'A\u00e9A\\q"},
    {R"({{ "a" 'b' "c" }})", "abc"},
    {"{{ [1, 'a', [none]] }} {{ (1,) }} {{ () }} {{ (1, 2) }} {{ {'a': 1, 2: [true]} }} {{ {} }}",
     "[1, 'a', [None]] (1,) () (1, 2) {'a': 1, 2: [True]} {}"},
    {"{{ True }}{{ False }}{{ None }}{{ true }}{{ none }}", "TrueFalseNoneTrueNone"},
    {"{{ 1, name }}", "(1, 'Ada')"},
    // printing: Python's repr
    {"{{ 1.0 }} {{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 123456789.125 }} {{ 0.1 + 0.2 }} {{ "
     "5e-324 }}",
     "1.0 1e+16 1000000000000000.0 0.0001 1e-05 123456789.125 0.30000000000000004 5e-324"},
    {"{{ ['a\\nb', \"it's\", 'say \"hi\"', 'both \\' \"', '\\x00\\x7f', '\\u200b', '\u00e9', '\\\\'] }}",
     "['a\\nb', \"it's\", 'say \"hi\"', 'both \\' \"', '\\x00\\x7f', '\\u200b', '\u00e9', '\\\\']"},
    {"{{ [missing] }} [{{ missing }}] {{ [1.0, none, true] }}", "[Undefined] [] [1.0, None, True]"},
    {"{{ point.items() }} {{ point.keys() }} {{ point.values() }} {{ range(3) }} {{ range(1, 9, 2) }}",
     "dict_items([('x', 1), ('y', 2)]) dict_keys(['x', 'y']) dict_values([1, 2]) range(0, 3) range(1, 9, 2)"},
    {"{{ ['<'|safe] }}", "[Markup('<')]"},
    // arithmetic
    {"{{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % "
     "2 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}",
     "3.5 3.0 3 -4 2 -2 3.0 0.5 8 0.5 1.4142135623730951 4 64"},
    {"{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 10 - 2 - 3 }} {{ true + 1 }} {{ 1 + 0.5 }} {{ - - 1 }} {{ +half "
     "}} {{ -1|abs }}",
     "7 9 5 2 1.5 1 0.5 1"},
    {"{{ 'ab' * 2 }} {{ 3 * [1] }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'a' + 'b' }} {{ 'x' * -1 }}",
     "abab [1, 1, 1] [1, 2] (1, 2) ab "},
    {"{{ 'a' ~ 1 ~ none ~ 1.0 ~ [1] ~ missing }}", "a1None1.0[1]"},
    {"{{ 1 / 0 }}", fails("division by zero")},
    {"{{ 1 // 0 }}", fails("integer division or modulo by zero")},
    {"{{ 1.0 / 0 }}", fails("float division by zero")},
    {"{{ 'a' + 1 }}", fails(R"(can only concatenate str (not "int") to str)")},
    {"{{ 1 + 'a' }}", fails("unsupported operand type(s) for +: 'int' and 'str'")},
    {"{{ [1] + (2,) }}", fails(R"(can only concatenate list (not "tuple") to list)")},
    {"{{ none + 1 }}", fails("unsupported operand type(s) for +: 'NoneType' and 'int'")},
    {"{{ -name }}", fails("bad operand type for unary -: 'str'")},
    // comparison
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} "
     "{{ (1, 2) == (1, 2) }} {{ [] == () }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ missing == absent "
     "}} {{ missing == none }}",
     "True False True True True True True False True True False"},
    {"{{ 1 in items }} {{ 4 not in items }} {{ 'd' in 'Ada' }} {{ 'x' in point }} {{ 1 in missing }} {{ not "
     "1 in items }} {{ 'a' in ('a', 'b') }} {{ 'role' in messages[0] }}",
     "True True True True False False True True"},
    {"{{ 'a' < 1 }}", fails("'<' not supported between instances of 'str' and 'int'")},
    {"{{ 1 in 5 }}", fails("argument of type 'int' is not iterable")},
    {"{{ 1 in 'a' }}", fails("'in <string>' requires string as left operand, not int")},
    {"{{ none in nothing }}", fails("argument of type 'NoneType' is not iterable")},
    {"{{ {} < {} }}", fails("'<' not supported between instances of 'dict' and 'dict'")},
    // logic
    {"{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'x' }} {{ nothing or empty or 'z' }} {{ not yes }} {{ not not 1 }} "
     "{{ missing.x if missing else 'safe' }}",
     "2 0 x z False True safe"},
    {"{{ 'a' if yes else 'b' }}{{ 'a' if nothing }}{{ 1 if false else 2 if false else 3 }} {{ (1 if false) "
     "is defined }}",
     "a3 False"},
    // access
    {"{{ point.x }}{{ point['y'] }}{{ items[0] }}{{ items[-1] }}{{ items.1 }}[{{ items[9] }}][{{ point.z "
     "}}][{{ point['z'] }}][{{ nothing.x }}][{{ items.x }}]{{ name[0] }}{{ name[-1] }}[{{ name[9] }}]",
     "12132[][][][][]Aa[]"},
    {"{{ {'items': 5, 'get': 6}.items() }} {{ {'items': 5}['items'] }}",
     "dict_items([('items', 5), ('get', 6)]) 5"},
    {"{{ items[1:] }}{{ items[:-1] }}{{ items[::-1] }}{{ items[::2] }}{{ items[5:] }}{{ items[-2:] }}{{ "
     "text[7:12] }}{{ text[::-1] }}{{ (1, 2, 3)[1:] }}{{ items[2:0:-1] }}{{ items[none:2] }}",
     "[2, 3][1, 2][3, 2, 1][1, 3][][2, 3]W\u00f6rld!dlr\u00f6W ,olleH(2, 3)[3, 2][1, 2]"},
    {"{{ items[::0] }}", fails("slice step cannot be zero")},
    {"{{ nothing[1:] }}", fails("'NoneType' object is not subscriptable")},
    {"{{ point[1:] }}", fails("unhashable type: 'slice'")},
    {"{{ messages[0]['content'][1] }}{{ messages[1].content[0].text }}", "iSee"},
    {"{{ name.upper().lower()[0].upper() }}", "A"},
    // text marked as safe escapes what it is joined with
    {"{{ '<b>' + ('<i>'|safe) }} {{ ('<i>'|safe) + '<b>' }} {{ ('<i>'|safe) ~ '<b>' }} {{ '%s' % ('<'|safe) "
     "}} {{ ('%s'|safe) % '<' }} {{ ('<i>'|safe).upper() }} {{ ('{}'|safe).format('<') }} {{ "
     "('<'|safe).join(['>', 1]) }}",
     "&lt;b&gt;<i> <i>&lt;b&gt; <i><b> < &lt; <I> &lt; &gt;<1"},
    // tests
    {"{{ name is defined }} {{ missing is defined }} {{ missing is undefined }} {{ nothing is none }} {{ "
     "name is string }} {{ 1 is number }} {{ true is number }} {{ true is boolean }} {{ 1 is boolean }} {{ "
     "true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ yes is true }} {{ 1 is true }} {{ false is "
     "false }}",
     "True False True True True True True True False False True True True False True"},
    {"{{ point is mapping }} {{ items is mapping }} {{ items is sequence }} {{ name is sequence }} {{ point "
     "is sequence }} {{ 1 is sequence }} {{ name is iterable }} {{ point is iterable }} {{ nothing is "
     "iterable }} {{ missing is iterable }} {{ point.items() is sequence }} {{ (items|map('string')) is "
     "iterable }} {{ range is callable }} {{ name is callable }}",
     "True False True True True False True True False True False True True False"},
    {"{{ 3 is odd }} {{ 3 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 'a' is lower }} "
     "{{ 'A' is upper }} {{ 1 is in items }} {{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is "
     "lt 2 }} {{ 1 is lessthan 2 }} {{ 1 is le 1 }} {{ 1 is gt 2 }} {{ 1 is greaterthan 0 }} {{ 1 is ge 2 }} "
     "{{ 'a' is sameas 'a' }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ ('a'|safe) is escaped }}",
     "True False True False True True True True False True True True True False True False True True True "
     "True"},
    {"{{ name is not none and yes is not string }} {{ not name is string }} {{ 1 if name is string else 2 }} "
     "{{ name is string or 0 }}",
     "True False 1 True"},
    // globals
    {"{{ range(3)|list }}{{ range(1, 4)|list }}{{ range(5, 0, -2)|list }} {{ dict(a=1) }} {{ dict([('a', "
     "1)], b=2) }} {{ dict({'a': 1}, a=2) }}",
     "[0, 1, 2][1, 2, 3][5, 3, 1] {'a': 1} {'a': 1, 'b': 2} {'a': 2}"},
    {"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = "
     "joiner('-') %}{{ j() }}{{ j() }}",
     "abab-"},
    {"{{ range(100001) }}",
     fails("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).")},
    {"{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %A %a %j %p %I %y %f|%z|%Z|%-d %e %%') }}",
     "2026-01-15 12:00:00 15 Jan January Thursday Thu 015 PM 12 26 000000|||15 15 %"},
};

TEST(JinjaExpressions, EvaluateAsInPython) {
  check(kExpressions);
}

TEST(JinjaExpressions, IntegersEndAtSixtyFourBits) {
  EXPECT_EQ(outcome("{{ 9223372036854775807 }} {{ -9223372036854775807 - 1 }}"),
            "9223372036854775807 -9223372036854775808");
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ 10 ** 20 }}", "{{ 9223372036854775807 * 2 }}",
        "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) // -1 }}"}) {
    EXPECT_EQ(outcome(source), fails("integer too large for 64 bits")) << source;
  }
  EXPECT_EQ(outcome("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
}

TEST(JinjaExpressions, JsonNumbersKeepTheirKind) {
  EXPECT_EQ(outcome("{{ a }}", Json::parse(R"({"a": [1, 1.0, -2, 1e5, 18446744073709551615]})")),
            "[1, 1.0, -2, 100000.0, 1.8446744073709552e+19]");
}

}  // namespace
}  // namespace farthing::tokenizer::jinja
