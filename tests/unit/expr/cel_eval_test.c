#include "tests/unit/expr/cel_cases.h"

/* What expressions without variables give, area by area. */

static void check(const struct cel_case *cases, size_t count)
{
    static const struct cel_env env = {.limits = CEL_LIMITS_DEFAULT};
    cel_cases_check(&env, NULL, cases, count);
}

#define CHECK(cases_) check(cases_, ARRAY_LEN(cases_))

static void test_literals(void **state)
{
    static const struct cel_case cases[] = {
        {"null", "null"},
        {"true", "true"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808",
         "issue: 1:1: this number is too large for an int"},
        {"0xFFu", "255u"},
        {"1e3", "1000.0"},
        {".5", "0.5"},
        {"1e-7", "1e-07"},
        {"1e21", "1e+21"},
        {"'it''s'", "issue: 1:5: expected an operator or the end, not a "
                    "literal"},
        {"'a\\u00e4\\x41\\101\\n'", "\"a\xC3\xA4"
                                    "AA\\n\""},
        {"b'\\xff\\u0041'", "issue: 1:7: bytes hold no \\u and \\U: write \\x "
                            "or the character"},
        {"b'\\xff\xC3\xA4'", "b\"\\xff\\xc3\\xa4\""},
        {"r'\\d+'", "\"\\\\d+\""},
        {"'''two\nlines'''", "\"two\\nlines\""},
        {"[1, 2,]", "[1, 2]"},
        {"{'a': 1, 2: true}", "{\"a\": 1, 2: true}"},
        {"1 // a comment\n + 1", "2"},
    };
    (void)state;
    CHECK(cases);
}

static void test_arithmetic(void **state)
{
    static const struct cel_case cases[] = {
        {"1 + 2 * 3 - 4 / 2", "5"},
        {"-7 / 2", "-3"},
        {"-7 % 2", "-1"},
        {"7u % 4u", "3u"},
        {"1.5 * 2.0", "3.0"},
        {"1.0 / 0.0", "Infinity"},
        {"1 / 0", "error: division by zero"},
        {"1u % 0u", "error: modulus by zero"},
        {"9223372036854775807 + 1",
         "error: integer overflow: the result of + is out of range"},
        {"0u - 1u", "error: integer overflow: the result of - is out of range"},
        {"-9223372036854775808 / -1",
         "error: integer overflow: the result of / is out of range"},
        {"-9223372036854775808 % -1", "0"},
        {"-(-9223372036854775808)",
         "error: integer overflow: the result of - is out of range"},
        {"'a' + 'b'", "\"ab\""},
        {"b'a' + b'b'", "b\"ab\""},
        {"[1] + [2]", "[1, 2]"},
        {"!!true", "true"},
        {"--1", "1"},
        {"-!true", "issue: 1:1: no such overload: '-' does not take bool"},
    };
    (void)state;
    CHECK(cases);
}

static void test_comparisons(void **state)
{
    static const struct cel_case cases[] = {
        {"1 < 2 && 2u >= 2u && 'a' < 'b' && false < true", "true"},
        {"1 < 1.5", "true"},
        {"dyn(1) == 1.0 && dyn(1u) == 1", "true"},
        {"dyn(-1) == 18446744073709551615u", "false"},
        {"0.0/0.0 == 0.0/0.0", "false"},
        {"0.0/0.0 < 1.0", "false"},
        {"[1, [2]] == [1, [2]]", "true"},
        {"{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "true"},
        {"{1: 'x'} == dyn({1.0: 'x'})",
         "issue: 1:18: unsupported key type double: a key is a string, an "
         "int, a uint or a bool"},
        {"dyn('1') == 1", "false"},
        {"dyn([1]) < dyn([2])", "error: no such overload: _<_(list, list)"},
        {"2 in [1, 2] && !(3 in [1, 2])", "true"},
        {"'a' in {'a': 1}", "true"},
        {"dyn(2.0) in {2: 1}", "true"},
        {"type(1) == int && type('') != int", "true"},
    };
    (void)state;
    CHECK(cases);
}

static void test_logic_absorbs_errors(void **state)
{
    static const struct cel_case cases[] = {
        {"1/0 > 0 && false", "false"},
        {"false && 1/0 > 0", "false"},
        {"1/0 > 0 || true", "true"},
        {"1/0 > 0 && true", "error: division by zero"},
        {"true && 1/0 > 0 && false", "false"},
        {"1/0 > 0 ? 1 : 2", "error: division by zero"},
        {"true ? 1 : 1/0", "1"},
        {"[1, 0].exists(x, 1/x == 1)", "true"},
        {"[0, 1].all(x, 1/x == 2)", "false"},
        {"[0, 1].all(x, 1/x == 1)", "error: division by zero"},
        {"[0, 1].exists_one(x, 1/x == 1)", "error: division by zero"},
        {"dyn(1) && true", "error: no such overload: &&(int)"},
    };
    (void)state;
    CHECK(cases);
}

static void test_access(void **state)
{
    static const struct cel_case cases[] = {
        {"{'a': {'b': 1}}.a.b", "1"},
        {"{'a-b': 1}['a-b']", "1"},
        {"{'a-b': 1}.`a-b`", "1"},
        {"{'a': 1}.b", "error: no such key: 'b'"},
        {"{'a': 1}['b']", "error: no such key: 'b'"},
        {"{1: 2}[7]", "error: no such key: 7"},
        {"[1, 2][dyn(1.0)]", "2"},
        {"[1][5]", "error: invalid_argument: index 5 out of bounds of a list "
                   "of 1"},
        {"[1][-1]", "error: invalid_argument: index -1 out of bounds of a "
                    "list of 1"},
        {"has({'a': 1}.a) && !has({'a': 1}.b)", "true"},
        {"dyn(1).a", "error: type 'int' does not support field selection"},
        {"{'a': 1, 'a': 2}", "error: the key \"a\" stands twice"},
        {"{1: 1, dyn(1u): 2}", "error: the key 1u stands twice"},
        {"{'in': 1}.in", "issue: 1:11: expected the name of a field or "
                         "function, not in"},
        {"{'if': 1}.if", "1"},
    };
    (void)state;
    CHECK(cases);
}

static void test_macros(void **state)
{
    static const struct cel_case cases[] = {
        {"[1, 2, 3].map(x, x * 2)", "[2, 4, 6]"},
        {"[1, 2, 3].map(x, x > 1, x * 2)", "[4, 6]"},
        {"[1, 2, 3].filter(x, x > 1)", "[2, 3]"},
        {"{'a': 1, 'b': 2}.filter(k, k != 'a')", "[\"b\"]"},
        {"[1, 2].exists_one(x, x == 2)", "true"},
        {"[5, 6].all(i, v, v == i + 5)", "true"},
        {"{'a': 1}.exists(k, v, k == 'a' && v == 1)", "true"},
        {"[5, 6].transformList(i, v, i > 0, v * i)", "[6]"},
        {"{'a': 1}.transformMap(k, v, v + 1)", "{\"a\": 2}"},
        {"[7].transformMap(i, v, v)", "{0: 7}"},
        {"{'a': 'b'}.transformMapEntry(k, v, {v: k})", "{\"b\": \"a\"}"},
        {"['a', 'a'].transformMapEntry(i, v, {v: i})",
         "error: the key \"a\" stands twice"},
        {"cel.bind(x, 2, x * x)", "4"},
        {"[1, 2].map(x, [x].map(x, x + 1))", "[[2], [3]]"},
        {"[1].map(x, y, x)", "issue: 1:12: undeclared reference to 'y'"},
        {"[1].all(1, true)", "issue: 1:9: all() takes a plain name here, as "
                             "in items.all(item, item > 0)"},
        {"[1].all(x)", "issue: 1:5: all() does not take 1 arguments"},
        {"has(1)", "issue: 1:5: has() takes a field, as in "
                   "has(event.labels.severity) (for a key in quotes write "
                   "\"a-b\" in event.labels)"},
        {"[1].all(x, x, true)", "issue: 1:12: the two names of all() must "
                                "differ"},
    };
    (void)state;
    CHECK(cases);
}

static void test_optionals(void **state)
{
    static const struct cel_case cases[] = {
        {"{'a': 1}.?a", "optional.of(1)"},
        {"{'a': 1}.?b", "optional.none()"},
        {"{'a': 1}.?b.orValue(7)", "7"},
        {"{'a': {'b': 1}}.?a.b.orValue(7)", "1"},
        {"{'a': {'b': 1}}.?x.b.orValue(7)", "7"},
        {"[1][?1].or([2][?0]).value()", "2"},
        {"optional.none().value()", "error: optional.none() dereference"},
        {"optional.ofNonZeroValue('').hasValue()", "false"},
        {"optional.of(2).optMap(x, x + 1)", "optional.of(3)"},
        {"optional.of({'a': 1}).optFlatMap(m, m.?a)", "optional.of(1)"},
        {"[?optional.none(), 1, ?optional.of(2)]", "[1, 2]"},
        {"{?'a': optional.none(), ?'b': optional.of(1)}", "{\"b\": 1}"},
        {"[?1]", "issue: 1:3: what stands behind ? must be optional, not int"},
        {"has({'a': {}}.?a.b)", "false"},
        {"optional.unwrap([optional.of(1), optional.none()])", "[1]"},
        {"[optional.of(1)].unwrapOpt()", "[1]"},
        {"optional.of(1) == optional.of(1)", "true"},
    };
    (void)state;
    CHECK(cases);
}

static void test_conversions(void **state)
{
    static const struct cel_case cases[] = {
        {"int('42') + int(1.9) + int(3u)", "46"},
        {"int('4x')", "error: Type conversion error: '4x' is no int"},
        {"int(1e99)", "error: int out of range"},
        {"uint(-1)", "error: uint out of range"},
        {"uint('7')", "7u"},
        {"double('1e3')", "1000.0"},
        {"double('0x10')", "error: Type conversion error: '0x10' is no double"},
        {"double('NaN')", "NaN"},
        {"bool('t') && !bool('0')", "true"},
        {"bool('yes')", "error: Type conversion error: 'yes' is no bool"},
        {"string(1.5) + string(2u) + string(true)", "\"1.52true\""},
        {"string(b'\\xff')", "error: invalid UTF-8: these bytes are no text"},
        {"string(100000.0)", "\"100000\""},
        {"string(duration('90m'))", "\"5400s\""},
        {"string(timestamp(0))", "\"1970-01-01T00:00:00Z\""},
        {"bytes('a')", "b\"a\""},
        {"type(timestamp(0)) == google.protobuf.Timestamp", "true"},
        {"size('\xC3\xA4\xC3\xB6') + size(b'\xC3\xA4') + size([1]) + "
         "{'a': 1}.size()",
         "6"},
        {"dyn(int)", "int"},
    };
    (void)state;
    CHECK(cases);
}

static void test_times(void **state)
{
    static const struct cel_case cases[] = {
        {"timestamp('2024-02-29T23:59:59.5Z')",
         "timestamp(\"2024-02-29T23:59:59.5Z\")"},
        {"timestamp('2024-02-29T23:59:59+01:30')",
         "timestamp(\"2024-02-29T22:29:59Z\")"},
        {"timestamp('2023-02-29T00:00:00Z')",
         "error: Type conversion error: '2023-02-29T00:00:00Z' is no "
         "timestamp, as in 2026-01-31T12:00:00Z"},
        {"timestamp('10000-01-01T00:00:00Z')", "error: timestamp out of range"},
        {"duration('1h30m') == duration('5400s')", "true"},
        {"duration('1d')", "duration(\"86400s\")"},
        {"duration('-1.5s')", "duration(\"-1.5s\")"},
        {"duration('1')", "error: Type conversion error: '1' is no duration, "
                          "as in 1h30m"},
        {"duration('300y')", "error: Type conversion error: '300y' is no "
                             "duration, as in 1h30m"},
        {"duration('9999999h')", "error: duration out of range"},
        {"timestamp(0) + duration('1ns')",
         "timestamp(\"1970-01-01T00:00:00.000000001Z\")"},
        {"timestamp(0) - duration('1ns')",
         "timestamp(\"1969-12-31T23:59:59.999999999Z\")"},
        {"timestamp(10) - timestamp(4)", "duration(\"6s\")"},
        {"timestamp('2024-12-31T12:34:56.789Z').getDayOfYear()", "365"},
        {"timestamp('2024-12-31T12:34:56.789Z').getMilliseconds()", "789"},
        {"timestamp('2024-12-31T12:34:56Z').getHours('-09:30')", "3"},
        {"timestamp('2024-12-31T12:34:56Z').getDayOfWeek()", "2"},
        {"timestamp('2024-12-31T23:34:56Z').getDate('+01:00')", "1"},
        {"timestamp(0).getHours('Europe/Vienna')",
         "error: there is no time zone 'Europe/Vienna': write a name like "
         "Europe/Vienna or an offset like +02:00"},
        {"duration('3730.25s').getMinutes()", "62"},
        {"duration('3730.25s').getMilliseconds()", "250"},
    };
    (void)state;
    CHECK(cases);
}

static void test_strings(void **state)
{
    static const struct cel_case cases[] = {
        {"'\xC3\xA4"
         "bc'.charAt(1)",
         "\"b\""},
        {"'abc'.charAt(3)", "\"\""},
        {"'abc'.charAt(4)", "error: index out of range: 4"},
        {"'\xC3\xA4"
         "bcb'.indexOf('b') + 'abcb'.indexOf('b', 2)",
         "4"},
        {"'abcb'.lastIndexOf('b') + 'abcb'.lastIndexOf('b', 2)", "4"},
        {"'aXb'.lowerAscii() + 'aXb'.upperAscii()", "\"axbAXB\""},
        {"'aaa'.replace('a', 'b', 2)", "\"bba\""},
        {"'ab'.replace('', '-')", "\"-a-b-\""},
        {"'a,b,c'.split(',')", "[\"a\", \"b\", \"c\"]"},
        {"'a,b,c'.split(',', 2)", "[\"a\", \"b,c\"]"},
        {"'ab'.split('')", "[\"a\", \"b\"]"},
        {"'a'.split(',', 0)", "[]"},
        {"'h\xC3\xA4llo'.substring(1, 3)", "\"\xC3\xA4l\""},
        {"' \\t a b\\u00a0 '.trim()", "\"a b\""},
        {"['a', 'b'].join('-')", "\"a-b\""},
        {"dyn(['a', 1]).join()", "error: no such overload: join(int)"},
        {"'a\xC3\xA4'.reverse()", "\"\xC3\xA4"
                                  "a\""},
        {"strings.quote('a\"\\n')", "\"\\\"a\\\\\\\"\\\\n\\\"\""},
        {"'abc'.contains('bc') && 'abc'.startsWith('a') && "
         "!'abc'.endsWith('b')",
         "true"},
        {"'%s is %d of %.2f: %x %X %o %b %e'.format(['a', 1, 2.5, 255, "
         "b'\\xab', 8, 5, 1500.0])",
         "\"a is 1 of 2.50: ff AB 10 101 1.500000e+03\""},
        {"'%s'.format([])", "error: index out of range: fewer arguments than "
                            "clauses"},
        {"'%y'.format([1])", "error: could not parse formatting clause: "
                             "unrecognized formatting clause \"y\""},
        {"'%d'.format(['x'])", "error: error during formatting: decimal "
                               "clause can only be used on integers, was "
                               "given string"},
        {"'%s'.format([[1, 'a', {'k': null}]])", "\"[1, a, {k: null}]\""},
        {"'100%% %.999f'.format([1.0])",
         "error: could not parse formatting clause: % goes on with one of s d "
         "f e b o x X, or a precision up to .100"},
        {"base64.encode(b'hi') + string(base64.decode('aGk'))", "\"aGk=hi\""},
        {"base64.decode('a')", "error: this is not base64"},
    };
    (void)state;
    CHECK(cases);
}

static void test_math_and_lists(void **state)
{
    static const struct cel_case cases[] = {
        {"math.greatest(1, 2.5, 3u)", "3u"},
        {"math.least([4, 2, 3])", "2"},
        {"math.least([])", "error: math.least() takes at least one number"},
        {"math.round(2.5) + math.ceil(0.2) + math.floor(-0.2)", "3.0"},
        {"math.abs(-3) + math.sign(-9)", "2"},
        {"math.isNaN(0.0/0.0) && math.isInf(1.0/0.0)", "true"},
        {"math.bitAnd(6, 3) + math.bitShiftLeft(1, 4)", "18"},
        {"math.bitShiftRight(-1, 63)", "1"},
        {"math.bitShiftLeft(1, 64)", "0"},
        {"math.bitShiftLeft(1, -1)",
         "error: math.bitShiftLeft() negative offset: -1"},
        {"math.sqrt(9)", "3.0"},
        {"lists.range(3)", "[0, 1, 2]"},
        {"[3, 1, 2].sort()", "[1, 2, 3]"},
        {"dyn([3, 'a']).sort()", "error: no such overload: sort(int, string)"},
        {"[1, 2, 3].slice(1, 3)", "[2, 3]"},
        {"[1, 1, 2].distinct()", "[1, 2]"},
        {"[[1], [[2]], 3].flatten()", "[1, [2], 3]"},
        {"[[1], [[2]], 3].flatten(2)", "[1, 2, 3]"},
        {"[1, 2].reverse()", "[2, 1]"},
        {"[1].first().orValue(0) + [1, 2].last().orValue(0)", "3"},
    };
    (void)state;
    CHECK(cases);
}

static void test_network(void **state)
{
    static const struct cel_case cases[] = {
        {"ip('192.168.0.1')", "ip(\"192.168.0.1\")"},
        {"ip('2001:DB8::0:1')", "ip(\"2001:db8::1\")"},
        {"ip('1.2.3')", "error: IP Address '1.2.3' parse error during "
                        "conversion from string"},
        {"ip('fe80::1%eth0')", "error: IP Address with zone value is not "
                               "allowed"},
        {"isIP('::1') && !isIP('x') && !isIP('::ffff:1.2.3.4')", "true"},
        {"ip('10.0.0.1').family() + ip('::1').family()", "10"},
        {"ip('127.0.0.9').isLoopback() && ip('169.254.1.1')."
         "isLinkLocalUnicast() && ip('224.0.0.5').isLinkLocalMulticast()",
         "true"},
        {"cidr('10.1.2.3/9').masked()", "cidr(\"10.0.0.0/9\")"},
        {"cidr('10.0.0.0/8').containsIP('10.255.0.1')", "true"},
        {"cidr('10.0.0.0/9').containsIP(ip('10.255.0.1'))", "false"},
        {"cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"},
        {"cidr('2001:db8::/33').containsIP('2001:db8:8000::1')", "false"},
        {"cidr('10.0.0.0/33')", "error: CIDR '10.0.0.0/33' parse error during "
                                "conversion from string"},
        {"cidr('10.1.0.0/16').prefixLength()", "16"},
        {"string(cidr('10.1.0.0/16').ip())", "\"10.1.0.0\""},
        {"ip.isCanonical('::1')", "true"},
        {"isCIDR('10.0.0.0/08')", "false"},
    };
    (void)state;
    CHECK(cases);
}

static void test_for_operators(void **state)
{
    static const struct cel_case cases[] = {
        {"'web-12.example'.glob('web-*.ex?mple')", "true"},
        {"'web'.glob('web?')", "false"},
        {"'db-3'.glob('[a-d]b-[!12]')", "true"},
        {"'a*b'.glob('a\\\\*b') && 'a[b'.glob('a[b')", "true"},
        {"''.glob('*') && ''.glob('') && !'a'.glob('')", "true"},
        {"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.glob('*a*a*a*a*a*a*a*c')", "false"},
        {"shell_quote('it\\'s $HOME')", "\"'it'\\\\''s $HOME'\""},
        {"json.decode('{\"a\": [1, 2.5]}').a[1]", "2.5"},
        {"json.decode('{')", "error: not JSON: 1:1: not valid JSON: string or "
                             "'}' expected near end "
                             "of file"},
        {"json.encode({'a': [1, null, 'x']})",
         "\"{\\\"a\\\":[1,null,\\\"x\\\"]}\""},
        {"sha256('') == sha256(b'')", "true"},
        {"sha256('abc').substring(0, 8)", "\"ba7816bf\""},
        {"quantity('10Gi')", "10737418240.0"},
        {"quantity('250m') + quantity('1.5k') + quantity('2')", "1502.25"},
        {"quantity('10 GB')",
         "error: '10 GB' is no quantity, as in 10Gi, 1.5k or 250m"},
        {"quantity('')", "error: '' is no quantity, as in 10Gi, 1.5k or 250m"},
    };
    (void)state;
    CHECK(cases);
}

static void test_patterns(void **state)
{
    static const struct cel_case cases[] = {
        {"'disk /var is full'.matches('disk /(var|tmp)')", "true"},
        {"matches('abc', '^b')", "false"},
        {"'x'.matches('(')", "issue: 1:13: not a regular expression: ( is "
                             "not closed with ) (at byte 1 of the pattern)"},
        {"'x'.matches('(' + '')", "error: not a regular expression: ( is not "
                                  "closed with ) (at byte 1 of the pattern)"},
        {"regex.extract('load 4.5 now', '([0-9.]+)')", "optional.of(\"4.5\")"},
        {"regex.extract('none', '[0-9]+')", "optional.none()"},
        {"regex.extractAll('a1b22', '[0-9]+')", "[\"1\", \"22\"]"},
        {"regex.extractAll('ab', 'x*')", "[\"\", \"\", \"\"]"},
        {"regex.replace('a1b22', '([a-z])[0-9]', '<\\\\1>')", "\"<a><b>2\""},
    };
    (void)state;
    CHECK(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_logic_absorbs_errors),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_macros),
        cmocka_unit_test(test_optionals),
        cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_math_and_lists),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_for_operators),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
