#include <string.h>

#include "api/api_priv.h"
#include "api/schemas.h"

static void put_ref(struct strbuf *out, const char *key, const char *schema)
{
    put_open(out, key, '{');
    put_element(out);
    strbuf_addf(out, "\"$ref\":\"#/components/schemas/%s\"", schema);
    put_close(out, '}');
}

static void put_content(struct strbuf *out, const char *schema)
{
    put_open(out, "content", '{');
    put_open(out, HTTP_JSON, '{');
    put_ref(out, "schema", schema);
    put_close(out, '}');
    put_close(out, '}');
}

static void put_words(struct strbuf *out, const struct query *q)
{
    put_text_c(out, "type", "string");
    put_open(out, "enum", '[');
    for (size_t i = 0; q->word(i) != NULL; i++) {
        put_text_c(out, NULL, q->word(i));
    }
    put_close(out, ']');
}

static void put_query_schema(struct strbuf *out, const struct query *q)
{
    put_open(out, "schema", '{');
    switch (q->kind) {
    case QUERY_NUMBER:
        put_text_c(out, "type", "integer");
        put_u64(out, "minimum", q->min);
        put_u64(out, "maximum", q->max);
        put_u64(out, "default", q->fallback);
        break;
    case QUERY_BOOL:
        put_text_c(out, "type", "boolean");
        put_bool(out, "default", q->fallback != 0);
        break;
    case QUERY_WORD:
        put_words(out, q);
        break;
    case QUERY_MANY:
        put_text_c(out, "type", "array");
        put_raw(out, "items", STR("{\"type\":\"string\"}"));
        break;
    case QUERY_TEXT:
    case QUERY_SINCE:
    case QUERY_CURSOR:
    case QUERY_ID:
    case QUERY_FILTER:
        put_text_c(out, "type", "string");
        break;
    }
    put_close(out, '}');
}

static void put_parameters(struct strbuf *out, const struct route *r)
{
    put_open(out, "parameters", '[');
    if (r->id_prefix != NULL) {
        strbuf_addf(out,
                    "{\"name\":\"id\",\"in\":\"path\",\"required\":true,"
                    "\"schema\":{\"type\":\"string\",\"pattern\":\"^%s%s\"}}",
                    r->id_prefix, r->id_prefix[0] != '\0' ? "-" : "[a-z-]+$");
    }
    for (const struct query *q = r->query; q != NULL && q->name != NULL; q++) {
        put_open(out, NULL, '{');
        put_text_c(out, "name", q->name);
        put_text_c(out, "in", "query");
        put_text_c(out, "description", q->help);
        put_query_schema(out, q);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void put_answers(struct strbuf *out, const struct route *r)
{
    put_open(out, "responses", '{');
    put_element(out);
    strbuf_addf(out, "\"%u\":{\"description\":\"done\"", r->status);
    if (r->answer != NULL) {
        put_content(out, r->answer);
    }
    put_close(out, '}');
    put_open(out, "default", '{');
    put_text_c(out, "description", "not done, and why");
    put_content(out, "Error");
    put_close(out, '}');
    put_close(out, '}');
}

static void put_operation(struct strbuf *out, const struct route *r)
{
    static const char *const methods[HTTP_METHODS] = {
        [HTTP_GET] = "get",
        [HTTP_POST] = "post",
        [HTTP_PUT] = "put",
        [HTTP_DELETE] = "delete",
    };
    put_open(out, methods[r->method], '{');
    put_text_c(out, "summary", r->summary);
    put_text_c(out, "x-scope", scope_name(r->scope));
    if (r->audit != NULL) {
        put_text_c(out, "x-audit", r->audit);
    }
    if (r->unaudited != NULL) {
        put_text_c(out, "x-unaudited", r->unaudited);
    }
    if (r->scope == SCOPE_PUBLIC) {
        put_raw(out, "security", STR("[]"));
    }
    put_parameters(out, r);
    if (r->request != NULL) {
        put_open(out, "requestBody", '{');
        put_content(out, r->request);
        put_close(out, '}');
    }
    put_answers(out, r);
    put_close(out, '}');
}

static bool is_first_of_path(size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (strcmp(routes[j].path, routes[i].path) == 0) {
            return false;
        }
    }
    return true;
}

static void put_paths(struct strbuf *out)
{
    put_open(out, "paths", '{');
    for (size_t i = 0; i < route_count; i++) {
        if (!is_first_of_path(i)) {
            continue;
        }
        put_open(out, routes[i].path, '{');
        for (size_t j = i; j < route_count; j++) {
            if (strcmp(routes[j].path, routes[i].path) == 0) {
                put_operation(out, &routes[j]);
            }
        }
        put_close(out, '}');
    }
    put_close(out, '}');
}

void api_add_openapi(struct strbuf *out)
{
    put_open(out, NULL, '{');
    put_text_c(out, "openapi", "3.1.0");
    put_open(out, "info", '{');
    put_text_c(out, "title", "Autonomous DevOps Platform");
    put_text_c(out, "version", ADP_VERSION);
    put_close(out, '}');
    put_raw(out, "security", STR("[{\"token\":[]},{}]"));
    put_paths(out);
    put_open(out, "components", '{');
    put_raw(out, "securitySchemes",
            STR("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    put_open(out, "schemas", '{');
    schemas_add(out);
    put_close(out, '}');
    put_close(out, '}');
    put_close(out, '}');
}
