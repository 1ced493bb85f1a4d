// The methods of text, dicts and lists; filling in patterns.
#include <gtest/gtest.h>

#include "tokenizer/jinja/test_render.h"

namespace farthing::tokenizer::jinja {
namespace {

const Case kMethods[] = {
    // str
    {"{{ 'a,b,,c'.split(',') }}{{ ' a b  c '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1) "
     "}}{{ ' a  b c '.split(none, 1) }}{{ ' a b c'.rsplit(none, 1) }}{{ 'a b '.split(' ') }}{{ ''.split() "
     "}}{{ ''.split(',') }}",
     "['a', 'b', '', 'c']['a', 'b', 'c']['a', 'b,c']['a,b', 'c']['a', 'b c '][' a b', 'c']['a', 'b', "
     "''][]['']"},
    {R"({{ 'a</t>b</t>c'.split('</t>')[-1] }}{{ 'abc'.partition('b') }}{{ 'abc'.rpartition('x') }}{{ 'a\nb\r\nc\n'.splitlines() }}{{ 'a\nb'.splitlines(true) }})",
     R"(c('a', 'b', 'c')('', '', 'abc')['a', 'b', 'c']['a\n', 'b'])"},
    {R"([{{ ' a '.strip() }}][{{ ' a '.lstrip() }}][{{ ' a '.rstrip() }}][{{ '--a-'.strip('-') }}][{{ 'abcxyz'.strip('azb') }}][{{ '\u3000a\u00a0\n'.strip() }}])",
     "[a][a ][ a][a][cxy][a]"},
    {"{{ 'abc'.startswith('a') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.startswith('b', 1) }}{{ "
     "'abc'.endswith('c') }}{{ 'abc'.endswith('c', 0, 2) }}{{ 'abcabc'.find('c') }}{{ 'abcabc'.rfind('c') "
     "}}{{ 'abc'.find('x') }}{{ '\u00e4\u00f6\u00fc'.find('\u00fc') }}{{ 'abcabc'.count('bc') }}{{ "
     "'abc'.count('') }}{{ 'abc'.index('b') }}",
     "TrueTrueTrueTrueFalse25-12241"},
    {"{{ 'abc'.replace('b', 'x') }}{{ 'aaa'.replace('a', '', 1) }}{{ 'ab'.replace('', '-') }}{{ "
     "'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ ','.join(['a', 'b']) }}{{ '-'.join('abc') }}",
     "axcaa-a-b-bcaba,ba-b-c"},
    {"{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'aB'.swapcase() }}{{ 'aB cD'.title() }}{{ 'aB'.capitalize() "
     "}}{{ '\u00df'.upper() }}{{ '\u00df'.title() }}{{ 'Stra\u00dfe'.casefold() }}{{ "
     "'\u039f\u0394\u039f\u03a3'.lower() }}{{ '\u01c6'.title() }}{{ '\u0130'.lower()|length }}",
     "ABabAbAb CdAbSSSsstrasse\u03bf\u03b4\u03bf\u03c2\u01c52"},
    {R"([{{ 'ab'.center(5) }}][{{ 'abc'.center(6, '*') }}][{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3, '.') }}][{{ '-5'.zfill(4) }}][{{ 'a\tb'.expandtabs(4) }}])",
     "[  ab ][*abc**][a  ][..a][-005][a   b]"},
    {"{{ '12'.isdigit() }}{{ '\u00b2'.isdigit() }}{{ '\u00b2'.isdecimal() }}{{ '\u00bd'.isnumeric() }}{{ "
     "'ab'.isalpha() }}{{ 'a1'.isalnum() }}{{ ' '.isspace() }}{{ 'AB1'.isupper() }}{{ 'ab'.islower() }}{{ "
     "'Ab Cd'.istitle() }}{{ 'a_1'.isidentifier() }}{{ '\u00e9'.isascii() }}{{ 'a\\n'.isprintable() }}{{ "
     "''.isalpha() }}",
     "TrueTrueFalseTrueTrueTrueTrueTrueTrueTrueTrueFalseFalseFalse"},
    {"{{ 'a'.split('') }}", fails("empty separator")},
    {"{{ 'a'.index('b') }}", fails("substring not found")},
    {"{{ ','.join([1]) }}", fails("sequence item 0: expected str instance, int found")},
    {"{{ 'abc'.nothing() }}", fails("'str object' has no attribute 'nothing'")},
    // dict, list, tuple
    {"{{ point.get('x') }}{{ point.get('z') }}{{ point.get('z', 5) }}{{ point.keys()|list }}{{ "
     "point.values()|list }}{{ point.items()|list }}{{ point.copy() }}",
     "1None5['x', 'y'][1, 2][('x', 1), ('y', 2)]{'x': 1, 'y': 2}"},
    {"{{ items.index(2) }}{{ items.count(1) }}{{ items.copy() }}{{ (1, 2).index(2) }}{{ (1, 1).count(1) }}",
     "11[1, 2, 3]12"},
    // % and format
    {"{{ '%s-%d-%05.2f-%x-%r-%%' % ('a', 5, 3.14159, 255, 'q') }}", "a-5-03.14-ff-'q'-%"},
    {"{{ '%(a)s %(b)03d' % {'a': 1, 'b': 2} }}{{ '%s' % [1, 2] }}{{ '%s' % none }}{{ '%-5s|%5s|%+d|% "
     "d|%e|%g|%G' % ('a', 'b', 3, 4, 12345.678, 0.0001, 1e20) }}{{ '%c%c' % ('x', 65) }}{{ '%.2s' % 'abc' "
     "}}{{ '%*d' % (4, 7) }}{{ '%#x %o' % (255, 8) }}{{ '%i' % 1.9 }}",
     "1 002[1, 2]Nonea    |    b|+3| 4|1.234568e+04|0.0001|1E+20xAab   70xff 101"},
    {"{{ '%d' % 'a' }}", fails("%d format: a real number is required, not str")},
    {"{{ '%s' % (1, 2) }}", fails("not all arguments converted during string formatting")},
    {"{{ '%s %s' % 1 }}", fails("not enough arguments for format string")},
    {"{{ 'abc' % 1 }}", fails("not all arguments converted during string formatting")},
    {"{{ '%(a)s' % 1 }}", fails("format requires a mapping")},
    {"{{ '{} {} {a}'.format(1, 'b', a=3) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{{}}'.format() }} {{ "
     "'{0.x}{0[y]}{1[0]}'.format(point, items) }} {{ '{!r:>5}{!s}'.format('z', 'z') }}",
     "1 b 3 ba {} 121   'z'z"},
    {"{{ "
     "'[{:>5}][{:<5}][{:^5}][{:*^5}][{:05d}][{:+}][{:,}][{:_}][{:.2f}][{:%}][{:e}][{:g}][{:x}][{:#b}]'."
     "format('a', 'b', 'c', 'd', 42, 1, 1234567, 1234567, 3.14159, 0.25, 1234.5, 0.00001, 255, 5) }}",
     "[    a][b    ][  c  "
     "][**d**][00042][+1][1,234,567][1_234_567][3.14][25.000000%][1.234500e+03][1e-05][ff][0b101]"},
    {"{{ '[{:5}][{:5}][{:{}}][{:.2}][{:d}][{:.0f}][{:5.1f}]'.format(1.5, 7, 'n', 3, 3.14159, true, 2.5, "
     "9.99) }}",
     "[  1.5][    7][n  ][3.1][1][2][ 10.0]"},
    {"{{ '{} {}'.format(1) }}", fails("tuple index out of range")},
    {"{{ '{'.format() }}", fails("Single '{' encountered in format string")},
};

TEST(JinjaMethods, WorkAsInPython) {
  check(kMethods);
}

}  // namespace
}  // namespace farthing::tokenizer::jinja
