/*
 * The other words that adctl knows: aliases of nouns and verbs, the verb that a
 * noun alone means, and the topics of its help.
 */
#include "app/cli_commands.h"

const struct cli_alias cli_noun_aliases[] = {
    {"events", "event"},   {"runbooks", "runbook"},
    {"rb", "runbook"},     {"workflows", "workflow"},
    {"wf", "workflow"},    {"run", "workflow"},
    {"runs", "workflow"},  {"integrations", "integration"},
    {"guards", "guard"},   {"metric", "metrics"},
    {"workers", "worker"}, {"--version", "version"},
};

const size_t cli_noun_alias_count = ARRAY_LEN(cli_noun_aliases);

const struct cli_alias cli_default_verbs[] = {
    {"backup", "make"},      {"metrics", "show"}, {"slo", "show"},
    {"kill-switch", "show"}, {"queue", "show"},   {"worker", "list"},
    {"poison", "list"},      {"audit", "list"},   {"guard", "list"},
};

const size_t cli_default_verb_count = ARRAY_LEN(cli_default_verbs);

/* `get` is resolved by whether something stands behind it. */
const struct cli_alias cli_verb_aliases[] = {
    {"ls", "list"},   {"describe", "show"}, {"create", "send"},
    {"start", "run"}, {"log", "logs"},
};

const size_t cli_verb_alias_count = ARRAY_LEN(cli_verb_aliases);

const struct cli_topic cli_topics[] = {
    {"exit-codes", "EXIT STATUS", "what the exit status means",
     "0    done, or nothing to do\n"
     "1    what you asked about failed: a workflow, a check, a request\n"
     "2    wrong usage, or the engine refused the request's form\n"
     "3    only warnings were found\n"
     "4    not authenticated, or not allowed\n"
     "5    not found\n"
     "6    conflict with the present state\n"
     "7    timed out waiting\n"
     "8    still pending: held for an operator\n"
     "9    the engine cannot be reached, or cannot answer now\n"
     "130  ended by Ctrl-C\n"},
    {"environment", "ENVIRONMENT", "variables that adctl reads",
     "AD_SERVER       address of the engine, as --server\n"
     "AD_TOKEN_FILE   file that holds the bearer token, as --token-file\n"
     "NO_COLOR        no colours when set and not empty\n"
     "CLICOLOR_FORCE  colours also when not on a terminal\n"
     "TERM            dumb: no colours\n"
     "COLUMNS         width of tables on a terminal\n"
     "LC_ALL, LC_CTYPE, LANG\n"
     "                symbols beyond ASCII only where they say UTF-8\n"},
    {"filters", "FILTERS", "conditions about the rows of lists",
     "--filter EXPR keeps the rows of which a condition in CEL, the Common\n"
     "Expression Language, is true. It is evaluated in the engine, on what\n"
     "-o json shows of a row:\n"
     "\n"
     "event list, poison list  event (adctl expr variables)\n"
     "workflow list            workflow\n"
     "runbook list             runbook\n"
     "runbook performance      runbook\n"
     "audit list               audit\n"
     "worker list              worker\n"
     "integration list         integration\n"
     "integration outbox       notice\n"
     "slo show, slo missed     slo, missed\n"
     "\n"
     "and on now, the time. Instants are timestamps, numbers doubles; a text\n"
     "that is null is \"\", and another field that is null is absent:\n"
     "has(workflow.finished_at) asks for it.\n"
     "\n"
     "    adctl event list --filter 'event.severity in [\"critical\", "
     "\"page\"]'\n"
     "    adctl event list --filter 'event.labels[?\"host\"].orValue(\"\")\n"
     "        .startsWith(\"db-\")'\n"
     "    adctl workflow list --filter\n"
     "        'now - workflow.created_at < duration(\"1h\")'\n"
     "    adctl audit list --filter 'audit.action.startsWith(\"runbook.\")'\n"
     "\n"
     "A row for which the expression has no value, because a label is "
     "missing,\n"
     "say, is left out, and adctl tells how many and why. --limit counts the\n"
     "rows that are shown.\n"},
};

const size_t cli_topic_count = ARRAY_LEN(cli_topics);

const struct cli_command *cli_find(struct str noun, struct str verb)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (str_eq_c(noun, c->noun) &&
            (c->verb == NULL || str_eq_c(verb, c->verb))) {
            return c;
        }
    }
    return NULL;
}

bool cli_hides(const struct cli_command *c, const struct cli_flag *global)
{
    for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
        if (f != global && strcmp(f->name, global->name) == 0) {
            return true;
        }
    }
    return false;
}
