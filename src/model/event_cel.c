#include "model/event_cel_priv.h"

#include <errno.h>

#include "data/json.h"
#include "data/timestamp.h"
#include "expr/cel_json.h"

/* What the store adds to the fields that are sent. */
static const struct event_field stored[EVENT_CEL_FIELDS - EVENT_FIELDS] = {
    [EVENT_CEL_ID - EVENT_FIELDS] = {"id", "string", "its id: evt-..."},
    [EVENT_CEL_RECEIVED_AT -
        EVENT_FIELDS] = {"received_at", "instant", "when it was accepted"},
    [EVENT_CEL_STATUS - EVENT_FIELDS] = {"status", "string",
                                         "where it is in its life: queued, "
                                         "processed, error..."},
    [EVENT_CEL_ATTEMPTS -
        EVENT_FIELDS] = {"attempts", "integer", "how often it was taken up"},
    [EVENT_CEL_ERROR -
        EVENT_FIELDS] = {"error", "string", "why it failed or started nothing"},
    [EVENT_CEL_DUPLICATE_OF - EVENT_FIELDS] = {"duplicate_of", "string",
                                               "id of the event that it "
                                               "repeats"},
};

static const struct {
    const char *name;
    const struct cel_type *type; /* NULL: the fields above */
    const char *help;
} variables[EVENT_CEL_VARIABLES] = {
    [EVENT_CEL_EVENT] = {"event", NULL, "the event, see below"},
    [EVENT_CEL_NOW] = {"now", &cel_type_timestamp,
                       "the time of the evaluation"},
    [EVENT_CEL_PARAMETERS] = {"parameters", &cel_type_map_dyn,
                              "by name, where there are some"},
};

static const struct cel_type *type_of(const struct event_field *f)
{
    struct str name = str_c(f->name);
    struct str type = str_c(f->type);
    if (str_eq_c(name, "labels") || str_eq_c(name, "annotations")) {
        return &cel_type_labels;
    }
    return str_eq_c(type, "string")    ? &cel_type_string
           : str_eq_c(type, "number")  ? &cel_type_double
           : str_eq_c(type, "integer") ? &cel_type_int
           : str_eq_c(type, "instant") ? &cel_type_timestamp
                                       : &cel_type_dyn;
}

/* Field number i of an event, sent or stored. */
static const struct event_field *field_at(size_t i)
{
    size_t count = 0;
    const struct event_field *sent = event_fields(&count);
    return i < count ? &sent[i] : &stored[i - count];
}

static uint32_t field_count(enum event_cel_use use)
{
    return use == EVENT_CEL_FILTER ? EVENT_CEL_FIELDS : EVENT_CEL_LISTED;
}

static const struct cel_type *event_type(struct arena *a, uint32_t count)
{
    struct cel_field *fields = ARENA_ARRAY(a, count, struct cel_field);
    struct cel_type *type = ARENA_NEW(a, struct cel_type);
    for (uint32_t i = 0; i < count; i++) {
        fields[i].name = field_at(i)->name;
        fields[i].type = type_of(field_at(i));
    }
    *type = (struct cel_type){.kind = CEL_OBJECT,
                              .name = STR("event"),
                              .fields = fields,
                              .field_count = count};
    return type;
}

const struct cel_env *event_cel_env(struct arena *a, enum event_cel_use use)
{
    uint32_t count =
        use == EVENT_CEL_TRY ? EVENT_CEL_VARIABLES : EVENT_CEL_NOW + 1;
    struct cel_variable *list = ARENA_ARRAY(a, count, struct cel_variable);
    struct cel_env *env = ARENA_NEW(a, struct cel_env);
    for (uint32_t i = 0; i < count; i++) {
        list[i].name = str_c(variables[i].name);
        list[i].type = variables[i].type != NULL
                           ? variables[i].type
                           : event_type(a, field_count(use));
    }
    *env = (struct cel_env){.variables = list,
                            .variable_count = count,
                            .limits = CEL_LIMITS_DEFAULT};
    env->result = use == EVENT_CEL_WHEN || use == EVENT_CEL_FILTER
                      ? &cel_type_bool
                      : NULL;
    return env;
}

bool event_cel_row(size_t i, struct event_cel_row *ret)
{
    if (i < EVENT_CEL_FIELDS) {
        const struct event_field *f = field_at(i);
        *ret = (struct event_cel_row){.object = "event",
                                      .name = f->name,
                                      .type = type_of(f),
                                      .help = f->help,
                                      .only_lists = i >= EVENT_CEL_LISTED};
        return true;
    }
    i = i - EVENT_CEL_FIELDS + EVENT_CEL_NOW;
    if (i >= EVENT_CEL_VARIABLES) {
        return false;
    }
    *ret = (struct event_cel_row){.object = "",
                                  .name = variables[i].name,
                                  .type = variables[i].type,
                                  .help = variables[i].help};
    return true;
}

struct cel_value event_cel_instant(uint64_t ms)
{
    return cel_timestamp((int64_t)(ms / 1000), (uint32_t)(ms % 1000) * 1000000);
}

static int read_instant(const char *name, const json_t *json,
                        struct cel_value *ret, struct err *reterr)
{
    uint64_t ms = 0;
    int r = -EINVAL;
    if (json_is_string(json)) {
        r = timestamp_parse(json_text(json), &ms);
    } else if (json_is_number(json)) {
        r = timestamp_from_seconds(json_number_value(json), &ms);
    }
    if (r < 0) {
        err_field(reterr, "%s", name);
        return err_set(reterr, r, "%s is no instant: RFC 3339 or epoch seconds",
                       name);
    }
    *ret = event_cel_instant(ms);
    return 0;
}

static int read_texts(const char *name, const json_t *json, struct arena *a,
                      struct cel_value *ret, struct err *reterr)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(json)) {
        return json_wrong_type(reterr, name, "an object", json);
    }
    json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
        if (!json_is_string(value)) {
            return json_wrong_type(reterr, name, "texts in it", value);
        }
    }
    *ret = cel_json_read(json, a);
    return 0;
}

/* One field as what its type says. */
static int read_field(const struct event_field *f, const json_t *json,
                      struct arena *a, struct cel_value *ret,
                      struct err *reterr)
{
    const struct cel_type *type = type_of(f);
    if (type == &cel_type_labels) {
        return read_texts(f->name, json, a, ret, reterr);
    }
    if (type->kind == CEL_TIMESTAMP) {
        return read_instant(f->name, json, ret, reterr);
    }
    if (type->kind == CEL_STRING && !json_is_string(json)) {
        return json_wrong_type(reterr, f->name, "a string", json);
    }
    if (type->kind == CEL_DOUBLE && !json_is_number(json)) {
        return json_wrong_type(reterr, f->name, "a number", json);
    }
    if (type->kind == CEL_INT && !json_is_integer(json)) {
        return json_wrong_type(reterr, f->name, "an integer", json);
    }
    *ret = type->kind == CEL_DOUBLE ? cel_double(json_number_value(json))
                                    : cel_json_read(json, a);
    return 0;
}

/* What an event that lacks the field has when it is accepted; "" for none. */
static struct str filled_in(const struct event_field *f, const json_t *event)
{
    const json_t *type = json_object_get(event, "type");
    const json_t *labels = json_object_get(event, "labels");
    const json_t *severity = json_object_get(labels, "severity");
    if (str_eq_c(str_c(f->name), "state") && json_is_string(type) &&
        str_eq_c(json_text(type), "alert")) {
        return str_c(event_state_name(EVENT_FIRING));
    }
    return str_eq_c(str_c(f->name), "severity") && json_is_string(severity)
               ? json_text(severity)
               : STR("");
}

/* What a field is that the event has not; false: absent. */
static bool default_of(const struct event_field *f, const json_t *event,
                       struct arena *a, struct cel_value *ret)
{
    static const struct cel_map empty = {0};
    const struct cel_type *type = type_of(f);
    if (type->kind == CEL_STRING) {
        *ret = cel_string(arena_str(a, filled_in(f, event)));
        return true;
    }
    if (str_eq_c(str_c(f->name), "priority")) {
        *ret = cel_int(EVENT_PRIORITY_DEFAULT);
        return true;
    }
    *ret = cel_map_value(&empty);
    return type == &cel_type_labels;
}

static int read_event(const json_t *event, struct arena *a,
                      struct cel_value *ret, struct err *reterr)
{
    struct cel_run run = {.arena = a, .units = INT64_MAX, .bytes = SIZE_MAX};
    struct cel_entry *entries =
        ARENA_ARRAY(a, EVENT_CEL_LISTED, struct cel_entry);
    uint32_t count = 0;
    if (!json_is_object(event)) {
        return json_wrong_type(reterr, "event", "an object", event);
    }
    for (size_t i = 0; i < EVENT_CEL_LISTED; i++) {
        const struct event_field *f = field_at(i);
        const json_t *json = json_object_get(event, f->name);
        struct cel_entry *e = &entries[count];
        e->key = cel_string(str_c(f->name));
        bool there = json != NULL && !json_is_null(json);
        int r = there ? read_field(f, json, a, &e->value, reterr) : 0;
        if (r < 0) {
            return r;
        }
        count += there || default_of(f, event, a, &e->value) ? 1 : 0;
    }
    *ret = cel_new_map(&run, entries, count);
    return 0;
}

static struct cel_value give(void *context, uint32_t index, struct cel_run *run)
{
    const struct event_cel *c = context;
    if (index == EVENT_CEL_EVENT && !c->has_event) {
        return cel_fail(run, CEL_FAULT_UNDECLARED, "there is no event here");
    }
    return c->values[index];
}

int event_cel_fill(struct event_cel *ret, const json_t *event,
                   const json_t *parameters, uint64_t now_ms, struct arena *a,
                   struct err *reterr)
{
    static const struct cel_map empty = {0};
    *ret = (struct event_cel){.has_event = event != NULL};
    ret->input.variable = give;
    ret->input.context = ret;
    ret->values[EVENT_CEL_NOW] = event_cel_instant(now_ms);
    ret->values[EVENT_CEL_PARAMETERS] = cel_map_value(&empty);
    if (parameters != NULL && !json_is_object(parameters)) {
        return json_wrong_type(reterr, "parameters", "an object", parameters);
    }
    if (parameters != NULL) {
        ret->values[EVENT_CEL_PARAMETERS] = cel_json_read(parameters, a);
    }
    return event == NULL
               ? 0
               : read_event(event, a, &ret->values[EVENT_CEL_EVENT], reterr);
}
