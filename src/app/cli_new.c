/*
 * adctl runbook schema: what editors need to help with a runbook. Works
 * without the engine.
 */
#include "app/cli_commands.h"
#include "app/cli_output.h"
#include "model/runbook_schema.h"

int cli_runbook_schema(struct cli *cli)
{
    json_auto_t *schema = runbook_schema();
    cli->format = cli->format == CLI_JSONL ? CLI_JSONL : CLI_JSON;
    cli_print_json(cli, schema);
    return CLI_OK;
}
