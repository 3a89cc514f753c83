/* The shapes of answers as types of the expression language. */
#include "api/schemas.h"
#include "base/assert.h"

static const struct schema *find(struct str name)
{
    for (size_t i = 0; i < schema_count; i++) {
        if (str_eq_c(name, schemas[i].name)) {
            return &schemas[i];
        }
    }
    return NULL;
}

static const struct cel_type *object_type(const struct schema *s,
                                          struct arena *a);

/* "[]string?", "integer", "Step"... */
static const struct cel_type *type_of(struct str type, struct arena *a)
{
    static const struct {
        const char *name;
        const struct cel_type *type;
    } scalars[] = {
        {"string", &cel_type_string},     {"integer", &cel_type_int},
        {"number", &cel_type_double},     {"boolean", &cel_type_bool},
        {"instant", &cel_type_timestamp}, {"object", &cel_type_map_dyn},
    };
    if (str_ends(type, STR("?"))) {
        type = str_slice(type, 0, type.len - 1);
    }
    if (str_starts(type, STR("[]"))) {
        return cel_type_list(a, type_of(str_slice(type, 2, type.len), a));
    }
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
        if (str_eq_c(type, scalars[i].name)) {
            return scalars[i].type;
        }
    }
    const struct schema *s = find(type);
    return s != NULL ? object_type(s, a) : &cel_type_dyn;
}

static uint32_t count_fields(const struct schema *s)
{
    uint32_t count = 0;
    while (s->fields[count] != NULL) {
        count++;
    }
    return count;
}

/* No schema has itself inside (the table is fixed, and tested). */
static const struct cel_type *object_type(const struct schema *s,
                                          struct arena *a)
{
    const struct schema *base = s->base != NULL ? find(str_c(s->base)) : NULL;
    uint32_t own = count_fields(s);
    uint32_t count = own + (base != NULL ? count_fields(base) : 0);
    struct cel_type *type = ARENA_NEW(a, struct cel_type);
    struct cel_field *fields = ARENA_ARRAY(a, count, struct cel_field);
    for (uint32_t i = 0; i < count; i++) {
        struct str text = str_c(i < own ? s->fields[i] : base->fields[i - own]);
        ptrdiff_t space = str_find(text, ' ');
        ASSERT(space > 0);
        fields[i].name = arena_strdup(a, str_slice(text, 0, (size_t)space));
        fields[i].type =
            type_of(str_slice(text, (size_t)space + 1, text.len), a);
    }
    *type = (struct cel_type){.kind = CEL_OBJECT,
                              .name = str_c(s->name),
                              .fields = fields,
                              .field_count = count};
    return type;
}

const struct cel_type *schema_cel_type(const char *name, struct arena *a)
{
    const struct schema *s = find(str_c(name));
    ASSERT(s != NULL);
    return object_type(s, a);
}
