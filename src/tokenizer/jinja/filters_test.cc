// Every filter.
#include <gtest/gtest.h>

#include "tokenizer/jinja/test_render.h"

namespace farthing::tokenizer::jinja {
namespace {

const Case kFilters[] = {
    // text
    {R"({{ name|upper }}{{ name|lower }}{{ text|title }}{{ 'hELLO'|capitalize }}{{ "they're bill's (x-ray"|title }})",
     "ADAadaHello, W\u00f6rld!HelloThey're Bill's (X-Ray"},
    {"[{{ '  a '|trim }}][{{ 'xax'|trim('x') }}][{{ 'a'|center(4) }}][{{ 5|string + '!' }}]",
     "[a][a][ a  ][5!]"},
    {"{{ 'a.b.c'|replace('.', '-') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ 11|replace(1, 2) }} {{ "
     "'ab'|replace('', '-') }}",
     "a-b-c bba 22 -a-b-"},
    {R"({{ '<a href="x">\'&'|e }} {{ '<'|escape|escape }} {{ '<'|e|forceescape }} {{ '<b>x</b> <!-- <i> -->  y &amp; z'|striptags }})",
     "&lt;a href=&#34;x&#34;&gt;&#39;&amp; &lt; &amp;lt; x y & z"},
    {R"({{ 'a\nb\n\nc'|indent }}|{{ 'a\nb\n\nc'|indent(2, true, true) }}|{{ 'a\nb'|indent('> ', first=true) }}|{{ ''|indent }})",
     "a\n    b\n\n    c|  a\n  b\n  \n  c|> a\n> b|"},
    {"{{ 'foo bar baz qux'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, true) }}|{{ 'foo bar baz "
     "qux'|truncate(11) }}|{{ 'foo bar baz qux'|truncate(11, false, '..', 0) }}",
     "foo...|foo ba...|foo bar baz qux|foo bar.."},
    {"{{ 'the quick brown fox jumps well-known lazydogxxxxxxxxxxxxxxx'|wordwrap(10) }}",
     "the quick\nbrown fox\njumps\nwell-known\nlazydogxxx\nxxxxxxxxxx\nxx"},
    {"{{ 'aa bb'|wordwrap(3, wrapstring='|') }} {{ 'aaaaaa'|wordwrap(3, false) }} {{ 'a b  c-d'|wordcount }}",
     "aa|bb aaaaaa 4"},
    {"{{ 'a b/c?'|urlencode }} {{ {'a': 'b c', 'd': 1}|urlencode }} {{ {'class': 'a', 'm': none, 'id': "
     "'<'}|xmlattr }}",
     R"(a%20b/c%3F a=b+c&d=1  class="a" id="&lt;")"},
    {"{{ '%s-%s'|format('a', 1) }} {{ '%(x)s'|format(x=2) }}", "a-1 2"},
    {"{{ text|reverse }}{{ text|length }}{{ text|first }}{{ text|last }}{{ '\u00df'|upper }}",
     "!dlr\u00f6W ,olleH13H!SS"},
    // numbers
    {"{{ '42'|int }} {{ '42.9'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ '0x1F'|int(0, 16) }} {{ '1_0'|int }} "
     "{{ ' 12 '|int }} {{ none|int }} {{ -3.9|int }} {{ true|int }} {{ '3.5'|float }} {{ 'x'|float }} {{ "
     "'1e3'|float }} {{ 'inf'|float }} {{ 'x'|float(1.5) }}",
     "42 42 0 7 31 10 12 0 -3 1 3.5 0.0 1000.0 inf 1.5"},
    {"{{ 42.55|round }} {{ 42.55|round(1, 'floor') }} {{ 42|round }} {{ 2.5|round }} {{ 3.5|round }} {{ "
     "1234.5|round(-2) }} {{ 42.1|round(0, 'ceil') }} {{ 2.675|round(2) }} {{ 42.55|round|int }}",
     "43.0 42.5 42 2.0 4.0 1200.0 43.0 2.67 43"},
    {"{{ -5|abs }} {{ (-5.5)|abs }} {{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ "
     "12345678|filesizeformat }} {{ 12345678|filesizeformat(true) }}",
     "5 5.5 1 Byte 999 Bytes 12.3 MB 11.8 MiB"},
    {"{{ missing|int }}", fails("'missing' is undefined")},
    {"{{ items|abs }}", fails("bad operand type for abs(): 'list'")},
    // one out of many
    {"{{ items|first }}{{ items|last }}[{{ empty|first }}]{{ items|length }}{{ point|count }}{{ items|sum "
     "}}{{ messages|sum(attribute='n') }}{{ items|sum(start=10) }}{{ items|max }}{{ items|min }}{{ ['b', "
     "'A']|max }}{{ (messages|max(attribute='n')).role }}[{{ empty|max }}]",
     "13[]32661631bUser[]"},
    {"{{ missing|default('d') }}{{ nothing|default('d') }}{{ ''|default('d', true) }}{{ ''|d('e', "
     "boolean=true) }}[{{ missing|default }}]",
     "dNonede[]"},
    {"{{ items|join(', ') }} {{ messages|join('/', attribute='role') }} {{ 'abc'|join('-') }} {{ [1, none, "
     "'a']|join }}",
     "1, 2, 3 user/assistant/User a-b-c 1Nonea"},
    {"{{ 5|length }}", fails("object of type 'int' has no len()")},
    {"{{ items|select|last }}", fails("'generator' object is not reversible")},
    // lists
    {"{{ 'abc'|list }}{{ point|list }}{{ items|reverse|list }}{{ point|items|list }}{{ missing|items|list }}",
     "['a', 'b', 'c']['x', 'y'][3, 2, 1][('x', 1), ('y', 2)][]"},
    {"{{ ['b', 'A', 'c']|sort }}{{ ['b', 'A']|sort(case_sensitive=true) }}{{ items|sort(reverse=true) }}{{ "
     "messages|sort(attribute='n')|map(attribute='n')|list }}{{ "
     "messages|sort(attribute='role,n')|map(attribute='n')|list }}",
     "['A', 'b', 'c']['A', 'b'][3, 2, 1][1, 2, 3][1, 2, 3]"},
    {"{{ {'b': 1, 'A': 2}|dictsort }}{{ {'b': 1, 'A': 2}|dictsort(true) }}{{ {'b': 1, 'A': "
     "2}|dictsort(by='value', reverse=true) }}",
     "[('A', 2), ('b', 1)][('A', 2), ('b', 1)][('A', 2), ('b', 1)]"},
    {"{{ ['a', 'A', 'b', 'a']|unique|list }}{{ messages|unique(attribute='role')|map(attribute='n')|list }}",
     "['a', 'b'][2, 1]"},
    {"{{ items|batch(2)|list }}{{ items|batch(2, 'z')|list }}{{ items|slice(2)|list }}{{ items|slice(2, "
     "'z')|list }}",
     "[[1, 2], [3]][[1, 2], [3, 'z']][[1, 2], [3]][[1, 2], [3, 'z']]"},
    {"{% for g in messages|groupby('role') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}{{ [[1, 'a'], "
     "[1, 'b']]|groupby(0) }}",
     "assistant:1 user:2 [(1, [[1, 'a'], [1, 'b']])]"},
    {"{{ items|map('string')|list }}{{ messages|map(attribute='role')|list }}{{ [{'a': {'b': 1}}, {'a': "
     "{}}]|map(attribute='a.b', default=0)|list }}{{ ['a']|map('replace', 'a', 'b')|list }}{{ [[1, "
     "2]]|map('join', '-')|list }}{{ [[7]]|map(attribute=0)|list }}",
     "['1', '2', '3']['user', 'assistant', 'User'][1, 0]['b']['1-2'][7]"},
    {"{{ items|select('odd')|list }}{{ items|reject('odd')|list }}{{ items|select('gt', 1)|list }}{{ [0, "
     "1]|select|list }}{{ items|select('in', [1, 5])|list }}{{ items|select('==', 2)|list }}",
     "[1, 3][2][2, 3][1][1][2]"},
    {"{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='n')|list }}{{ "
     "messages|selectattr('content')|list|length }}{{ messages|rejectattr('content', 'none')|list|length "
     "}}{{ messages[1].content|selectattr('text', 'defined')|map(attribute='text')|join }}[{{ "
     "messages[0].content|selectattr('type', 'equalto', 'text')|list }}]",
     "[2]22See[[]]"},
    {"{% set g = items|select %}{{ g|list }}{{ g|list }}{% if items|select('gt', 9) %}a generator is true{% "
     "endif %}",
     "[1, 2, 3][]a generator is true"},
    {"{{ items|select|first }} {{ point|attr('x') }}[{{ name|attr('upper') is defined }}]", "1 [True]"},
    {"{{ [1, 'a']|sort }}", fails("'<' not supported between instances of 'str' and 'int'")},
    {"{{ nothing|items|list }}", fails("Can only get item pairs from a mapping.")},
    {"{{ nothing|join }}", fails("'NoneType' object is not iterable")},
    // tojson as transformers has it
    {"{{ {'b': 1, 'a': [1, 2.5, none, true, '<\u00e9>&\\'\"']}|tojson }}",
     "{\"b\": 1, \"a\": [1, 2.5, null, true, \"<\u00e9>&'\\\"\"]}"},
    {"{{ {'b': 1, 'a': [1, {}, []]}|tojson(indent=2) }}",
     "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    {},\n    []\n  ]\n}"},
    {"{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }}{{ '\u00e9\U0001f600'|tojson(ensure_ascii=true) }}{{ [1, "
     "{'a': 2}]|tojson(separators=(',', ':')) }}{{ [1]|tojson(indent='-') }}",
     "{\"a\": 2, \"b\": 1}\"\\u00e9\\ud83d\\ude00\"[1,{\"a\":2}][\n-1\n]"},
    {R"({{ {1: 2, none: 3, 1.5: 5, false: 6}|tojson }}{{ (1, 2)|tojson }}{{ 1e400|tojson }}{{ '\n\t\r\b\f\x01\x7f/\\'|tojson }})",
     "{\"1\": 2, \"null\": 3, \"1.5\": 5, \"false\": 6}[1, 2]Infinity\"\\n\\t\\r\\b\\f\\u0001\177/\\\\\""},
    {"{{ missing|tojson }}", fails("Object of type Undefined is not JSON serializable")},
    {"{{ items|select|tojson }}", fails("Object of type generator is not JSON serializable")},
    {"{{ point.items()|tojson }}", fails("Object of type dict_items is not JSON serializable")},
    {"{{ {(1, 2): 3}|tojson }}", fails("keys must be str, int, float, bool or None, not tuple")},
};

TEST(JinjaFilters, WorkAsInJinja) {
  check(kFilters);
}

}  // namespace
}  // namespace farthing::tokenizer::jinja
