#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/api_priv.h"
#include "api/schemas.h"
#include "data/json.h"

static void every_route_says_who_may_use_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        assert_true(r->scope > SCOPE_DENY && r->scope < SCOPES);
        bool probe = strncmp(r->path, "/-/", 3) == 0;
        assert_int_equal(r->scope == SCOPE_PUBLIC, probe);
        assert_int_equal(scope_bit(r->scope) == 0, probe);
        assert_true(r->method != HTTP_POST || r->scope != SCOPE_PUBLIC);
    }
    assert_int_equal(scope_bit(SCOPE_DENY), 0);
}

static void every_route_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        assert_non_null(r->handler);
        assert_non_null(r->summary);
        assert_in_range(r->status, 200, 299);
        assert_int_equal(r->path[0], '/');
        assert_int_equal(strstr(r->path, "{id}") != NULL, r->id_prefix != NULL);
        /* A GET has no body, a POST or PUT always may have one. */
        assert_int_equal(r->method == HTTP_POST || r->method == HTTP_PUT,
                         r->body_limit_bytes != 0);
        size_t n = 0;
        while (r->query != NULL && r->query[n].name != NULL) {
            assert_non_null(r->query[n].help);
            n++;
        }
        assert_true(n <= QUERY_MAX);
        for (size_t j = 0; j < i; j++) {
            assert_true(strcmp(r->path, routes[j].path) != 0 ||
                        r->method != routes[j].method);
        }
    }
}

/* A route that can change something says what the trail tells of it, or why
 * it tells nothing; one that only looks says neither. */
static void every_change_is_audited_or_says_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        if (r->method == HTTP_GET) {
            assert_null(r->audit);
            assert_null(r->unaudited);
        } else if (r->audit == NULL && r->unaudited == NULL) {
            fail_msg("%s %s declares neither audit nor unaudited",
                     http_method_name(r->method), r->path);
        }
        assert_true(r->audit == NULL || strchr(r->audit, '.') != NULL);
    }
}

static const struct schema *schema_named(const char *name)
{
    for (size_t i = 0; name != NULL && i < schema_count; i++) {
        if (strcmp(schemas[i].name, name) == 0) {
            return &schemas[i];
        }
    }
    return NULL;
}

/* The first list of rows in the answer: "events []StoredEvent". */
static const char *list_of(const struct schema *s)
{
    for (size_t i = 0; s != NULL && s->fields[i] != NULL; i++) {
        const char *list = strstr(s->fields[i], " []");
        if (list != NULL && list[3] >= 'A' && list[3] <= 'Z') {
            return list + 3;
        }
    }
    return NULL;
}

/* One thing with its parts is no list of rows, nor are numbers. */
static bool is_no_list(const struct route *r)
{
    static const char *const others[] = {"MetricHistory", "QueueAnalysis",
                                         "EventStats"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(r->answer, others[i]) == 0) {
            return true;
        }
    }
    return r->id_prefix != NULL && strcmp(r->answer, "Outbox") != 0 &&
           strcmp(r->answer, "Logs") != 0;
}

/* A list takes a filter, over rows of the schema that its answer says. */
static void every_list_takes_a_filter(void **state)
{
    (void)state;
    size_t lists = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        const char *rows = list_of(schema_named(r->answer));
        const struct query *q = r->query;
        while (q != NULL && q->name != NULL && q->kind != QUERY_FILTER) {
            q++;
        }
        bool filtered = q != NULL && q->name != NULL;
        if (r->method == HTTP_GET && rows != NULL && !filtered &&
            !is_no_list(r)) {
            fail_msg("%s takes no filter", r->path);
        }
        if (filtered && rows != NULL) {
            assert_string_equal(q->schema != NULL ? q->schema : "StoredEvent",
                                rows);
            assert_string_equal(q->name, "filter");
            lists++;
        }
    }
    assert_true(lists >= 11);
}

/* Each row is what its own method and path lead to. */
static void finds_every_route(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        char path[200];
        const char *id = strstr(routes[i].path, "{id}");
        if (id != NULL) {
            (void)snprintf(path, sizeof(path), "%.*s%s-x%s",
                           (int)(id - routes[i].path), routes[i].path,
                           routes[i].id_prefix, id + 4);
        } else {
            (void)snprintf(path, sizeof(path), "%s", routes[i].path);
        }
        struct route_match m = route_find(routes[i].method, str_c(path));
        assert_ptr_equal(m.route, &routes[i]);
        assert_int_equal(m.id.len != 0, id != NULL);
    }
}

static void matches_whole_segments_only(void **state)
{
    (void)state;
    static const char *const none[] = {"",
                                       "/api",
                                       "/api/",
                                       "/api/events/",
                                       "/api/event",
                                       "/api/eventsx",
                                       "/API/events",
                                       "//",
                                       "/-/",
                                       "/-/healthyx",
                                       "/api/workflows/wf-1/logs/x",
                                       "/x/-/healthy",
                                       "/api/workflows//logs",
                                       "/api/events/evt-1/x",
                                       "/api/stream/-/ready",
                                       "/metrics/"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct route_match m = route_find(HTTP_GET, str_c(none[i]));
        assert_null(m.route);
        assert_int_equal(m.methods, 0);
    }
}

static void tells_which_methods_a_path_takes(void **state)
{
    (void)state;
    struct route_match m = route_find(HTTP_DELETE, STR("/api/events"));
    assert_null(m.route);
    assert_int_equal(m.methods, 1U << HTTP_GET | 1U << HTTP_POST);
    m = route_find(HTTP_HEAD, STR("/api/events"));
    assert_non_null(m.route);
    assert_int_equal(m.route->method, HTTP_GET);
    /* Not an event whose id is "alertmanager". */
    m = route_find(HTTP_POST, STR("/api/events/recent"));
    assert_null(m.route);
    assert_int_equal(m.methods, 1U << HTTP_GET);
}

static void check_refs(const json_t *at, const json_t *known)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    if (json_is_array(at)) {
        json_array_foreach (at, i, value) {
            check_refs(value, known);
        }
        return;
    }
    json_object_foreach ((json_t *)(uintptr_t)at, key, value) {
        if (strcmp(key, "$ref") == 0) {
            const char *name = strrchr(json_string_value(value), '/') + 1;
            if (json_object_get(known, name) == NULL) {
                fail_msg("there is no schema %s", name);
            }
        }
        check_refs(value, known);
    }
}

static void openapi_is_whole(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    json_t *doc = NULL;
    struct err err = ERR_INIT;
    api_add_openapi(&text);
    if (json_read(strbuf_str(&text), NULL, &doc, &err) < 0) {
        fail_msg("%s at %u:%u", err.message, err.at.line, err.at.column);
    }
    json_t *paths = json_object_get(doc, "paths");
    for (size_t i = 0; i < route_count; i++) {
        json_t *path = json_object_get(paths, routes[i].path);
        static const char *const names[] = {[HTTP_GET] = "get",
                                            [HTTP_POST] = "post",
                                            [HTTP_PUT] = "put",
                                            [HTTP_DELETE] = "delete"};
        json_t *op = json_object_get(path, names[routes[i].method]);
        assert_string_equal(json_string_value(json_object_get(op, "x-scope")),
                            scope_name(routes[i].scope));
        const char *audit = json_string_value(json_object_get(op, "x-audit"));
        assert_int_equal(audit != NULL, routes[i].audit != NULL);
        assert_true(audit == NULL || strcmp(audit, routes[i].audit) == 0);
    }
    json_t *known =
        json_object_get(json_object_get(doc, "components"), "schemas");
    assert_true(json_is_object(json_object_get(
        json_object_get(json_object_get(known, "Event"), "properties"),
        "labels")));
    check_refs(doc, known);
    json_decref(doc);
    strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_says_who_may_use_it),
        cmocka_unit_test(every_route_is_complete),
        cmocka_unit_test(every_change_is_audited_or_says_why_not),
        cmocka_unit_test(every_list_takes_a_filter),
        cmocka_unit_test(finds_every_route),
        cmocka_unit_test(matches_whole_segments_only),
        cmocka_unit_test(tells_which_methods_a_path_takes),
        cmocka_unit_test(openapi_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
