#include "model/event_json_priv.h"

const struct event_field event_field_table[EVENT_FIELDS] = {
    [FIELD_TYPE] = {"type", "string",
                    "alert, metric, webhook, change or a word of your own: "
                    "[a-z][a-z0-9_.-]*, required"},
    [FIELD_SEVERITY] = {"severity", "string",
                        "critical, warning, info...; labels.severity "
                        "unless given"},
    [FIELD_SOURCE] = {"source", "string", "the system that reports it"},
    [FIELD_TIMESTAMP] = {"timestamp", "instant",
                         "when it happened: RFC 3339 or epoch seconds"},
    [FIELD_LABELS] = {"labels", "object",
                      "names and values that identify it, all strings"},
    [FIELD_ANNOTATIONS] = {"annotations", "object",
                           "texts for people, all strings"},
    [FIELD_METRIC_NAME] = {"metric_name", "string", "of a metric"},
    [FIELD_VALUE] = {"value", "number", "of a metric"},
    [FIELD_STATE] = {"state", "string",
                     "firing or resolved; alerts fire unless told"},
    [FIELD_FINGERPRINT] = {"fingerprint", "string",
                           "what makes two events the same; of the labels "
                           "for alerts unless given"},
    [FIELD_STARTS_AT] = {"starts_at", "instant", "when it began to fire"},
    [FIELD_ENDS_AT] = {"ends_at", "instant",
                       "when it ended or is to be taken as over"},
    [FIELD_GENERATOR_URL] = {"generator_url", "string",
                             "where its source shows it"},
    [FIELD_GROUP_KEY] = {"group_key", "string",
                         "the group that its source sent it in"},
    [FIELD_PAYLOAD] = {"payload", "any", "anything else, as it came"},
    [FIELD_PRIORITY] = {"priority", "integer",
                        "0 (most urgent) to 9; 5 unless given"},
};

const struct event_field *event_fields(size_t *ret_count)
{
    *ret_count = EVENT_FIELDS;
    return event_field_table;
}
