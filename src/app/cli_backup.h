/*
 * What adctl backup, adctl restore and adctl runbook backtest share: what is
 * done to the store without the engine.
 */
#pragma once

#include "app/cli_output.h"
#include "app/config.h"
#include "app/privilege.h"
#include "backup/backup.h"

/* Where everything is. */
struct site {
    struct config *config;
    const char *config_path; /* absolute; where it is, or should be */
    bool has_config;         /* and can be used: else config is the defaults */
    const char *directory;   /* of the backups */
};

void site_deinit(struct site *p);

/* What is done without a configuration: the defaults are not what --config
 * names, nor what a broken file says. */
enum site_need { SITE_NEEDED, SITE_MAY_BE_MISSING, SITE_MAY_BE_BROKEN };

/* The configuration that the engine has, or the defaults, and the flag (--to,
 * --from) over it. 0 or an exit status, told. */
NODISCARD int site_find(struct cli *cli, const char *flag, enum site_need need,
                        struct site *ret);

/* An error of the backup module as an exit status, told with what is next. */
NODISCARD int site_explain(struct cli *cli, const struct err *err,
                           const char *next);

/* Root works as the user of the service where everything is that user's. */
NODISCARD int site_take_place(struct cli *cli, const struct site *p,
                              enum privilege_use use);

/* The backup that was named, or the newest that is good; verified, in our
 * place. */
NODISCARD int site_choose(struct cli *cli, struct site *p,
                          enum privilege_use use, struct backup_info *ret);

/* One backup as JSON, as lines below its name, and what it lacks. */
json_t *backup_to_json(struct cli *cli, const struct site *p,
                       const struct backup_info *b);
void backup_print_fields(struct cli *cli, const struct site *p,
                         const struct backup_info *b);
void backup_tell_missing(struct cli *cli, const struct backup_info *b);
