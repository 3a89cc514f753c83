#include "app/config_table.h"

#include <string.h>

#include "base/attr.h"
#include "wire/exposition.h"

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB 1024ULL
#define MIB (1024 * KIB)

static const char *const level_names[] = {"error", "warning", "info", "debug",
                                          NULL}; /* enum log_level */
static const char *const damage_names[] = {"restore", "stop",
                                           NULL}; /* enum config_on_damage */
static const char *const validation_names[] = {"strict", "warn",
                                               NULL}; /* config_validation */

/* Of folders that the units name. */
#define MOVED                                                                  \
    "The units of the package may write in no other folder: one that is "      \
    "moved "                                                                   \
    "needs ReadWritePaths= in drop-ins, and adctl doctor says which."

#define AT(field) .offset = offsetof(struct config, field)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define SIZES RANGE(0, 1024 * 1024 * 1024 * MIB)
#define LIMIT(field) AT(step_limits.field)
#define OF(name, field)                                                        \
    .offset = offsetof(struct config, integrations[INTEGRATION_##name].field)

const struct config_option config_options[] = {
    {"engine.event_processing.workers", CONFIG_U32, CONFIG_RELOAD, AT(workers),
     "4", RANGE(1, 64), .help = "Workers that match events to runbooks."},
    {"engine.event_processing.queue_size", CONFIG_U64, 0, AT(queue_size),
     "10000", RANGE(1, 100000000),
     .help = "Events that may wait. When so many wait, new ones are answered "
             "503 with Retry-After; nothing accepted is lost."},
    {"engine.event_processing.batch_size", CONFIG_U32, CONFIG_RELOAD,
     AT(batch_size), "100", RANGE(1, 10000),
     .help = "Events that a worker takes at a time."},
    {"engine.event_processing.max_attempts", CONFIG_U32, 0, AT(max_attempts),
     "5", RANGE(1, 1000),
     .help = "How often an event whose processing fails is tried before it "
             "is set aside as poison."},
    {"engine.event_processing.worker_stuck_after", CONFIG_DURATION, 0,
     AT(worker_stuck_ms), "30s", RANGE(SECOND, HOUR),
     .help = "A worker that has finished no event for so long is shown as "
             "stuck, and replaced by adctl worker restart."},
    {"engine.workflow_execution.max_concurrent", CONFIG_U32, CONFIG_RELOAD,
     AT(max_concurrent), "20", RANGE(1, 10000),
     .help = "Workflows that run at a time; others are queued in order."},
    {"engine.workflow_execution.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     AT(timeout_ms), "600", RANGE(SECOND, 7 * DAY),
     .help = "Time limit of a workflow that its runbook does not set."},
    {"engine.workflow_execution.retry_attempts", CONFIG_U32, 0,
     AT(retry_attempts), "3", RANGE(1, 100),
     .help = "Attempts of a step that asks for retries, or says that it is "
             "idempotent, without a number of its own."},
    {"engine.workflow_execution.step_timeout", CONFIG_DURATION, 0,
     AT(step_timeout_ms), "60s", RANGE(SECOND, RUNBOOK_STEP_TIMEOUT_MAX_MS),
     .help = "Time limit of a step that sets none."},
    {"engine.workflow_execution.max_live", CONFIG_U32, CONFIG_RELOAD,
     AT(max_live), "10000", RANGE(1, 1000000),
     .help = "Unfinished workflows at which taking events pauses; those "
             "held for a person are counted by themselves."},
    {"engine.workflow_execution.stop_grace", CONFIG_DURATION, CONFIG_RELOAD,
     AT(stop_grace_ms), "10s", RANGE(0, 10 * MINUTE),
     .help = "Time between SIGTERM and SIGKILL when a step is stopped."},
    {"engine.workflow_execution.report_margin", CONFIG_DURATION, CONFIG_RELOAD,
     AT(report_margin_ms), "30s", RANGE(SECOND, HOUR),
     .help = "How long after a step's time limit the executor's report is "
             "waited for."},
    {"engine.workflow_execution.held_timeout", CONFIG_DURATION, CONFIG_RELOAD,
     AT(held_timeout_ms), "7d", RANGE(MINUTE, 366 * DAY),
     .help = "How long a held workflow waits for an operator before it "
             "fails."},

    {"integrations.health_interval", CONFIG_DURATION, 0, AT(health_interval_ms),
     "30s", RANGE(SECOND, HOUR),
     .help = "About how often an integration without scrape_interval is asked "
             "whether it is well; while it is not, more rarely."},
    {"integrations.notice_give_up", CONFIG_DURATION, 0, AT(notice_give_up_ms),
     "24h", RANGE(SECOND, 30 * DAY),
     .help = "A notice that a partner has not taken for so long is given up, "
             "and listed as dead."},
    {"integrations.prometheus.enabled", CONFIG_BOOL, CONFIG_RELOAD,
     OF(PROMETHEUS, enabled), "true",
     .help = "Whether the integration is used."},
    {"integrations.prometheus.url", CONFIG_HTTP_URL, CONFIG_RELOAD,
     OF(PROMETHEUS, url), .example = "http://localhost:9090",
     .help = "Address of the Prometheus server."},
    {"integrations.prometheus.scrape_interval", CONFIG_DURATION, CONFIG_RELOAD,
     OF(PROMETHEUS, scrape_interval_ms), "15", RANGE(SECOND, DAY),
     .help = "About how often its health is asked for."},
    {"integrations.prometheus.insecure_http", CONFIG_BOOL, CONFIG_RELOAD,
     OF(PROMETHEUS, insecure_http), "false",
     .help = "Send the bearer_token also over http:// to a host other than "
             "this one, where "
             "others may read it."},
    {"integrations.prometheus.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     OF(PROMETHEUS, timeout_ms), "10", RANGE(100, 5 * MINUTE),
     .help = "Time limit of a request."},
    {"integrations.prometheus.bearer_token", CONFIG_TEXT,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL,
     OF(PROMETHEUS, bearer_token), .example = "${PROMETHEUS_TOKEN}",
     .help = "Sent as Authorization: Bearer."},
    {"integrations.alertmanager.enabled", CONFIG_BOOL, CONFIG_RELOAD,
     OF(ALERTMANAGER, enabled), "true",
     .help = "Whether the integration is used."},
    {"integrations.alertmanager.url", CONFIG_HTTP_URL, CONFIG_RELOAD,
     OF(ALERTMANAGER, url), .example = "http://localhost:9093",
     .help = "Address of the Alertmanager."},
    {"integrations.alertmanager.insecure_http", CONFIG_BOOL, CONFIG_RELOAD,
     OF(ALERTMANAGER, insecure_http), "false",
     .help = "Send the bearer_token also over http:// to a host other than "
             "this one, where "
             "others may read it."},
    {"integrations.alertmanager.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     OF(ALERTMANAGER, timeout_ms), "10", RANGE(100, 5 * MINUTE),
     .help = "Time limit of a request."},
    {"integrations.alertmanager.bearer_token", CONFIG_TEXT,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL,
     OF(ALERTMANAGER, bearer_token), .example = "${ALERTMANAGER_TOKEN}",
     .help = "Sent as Authorization: Bearer."},
    {"integrations.pagerduty.enabled", CONFIG_BOOL, CONFIG_RELOAD,
     OF(PAGERDUTY, enabled), "true",
     .help = "Whether the integration is used."},
    {"integrations.pagerduty.url", CONFIG_HTTP_URL, CONFIG_RELOAD,
     OF(PAGERDUTY, url), "https://events.pagerduty.com",
     .help = "Address of the Events API; accounts in Europe have "
             "https://events.eu.pagerduty.com."},
    {"integrations.pagerduty.api_url", CONFIG_HTTP_URL, CONFIG_RELOAD,
     OF(PAGERDUTY, api_url), "https://api.pagerduty.com",
     .help = "Address of the REST API, which is asked for health when there is "
             "an api_key."},
    {"integrations.pagerduty.api_key", CONFIG_TEXT,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL, OF(PAGERDUTY, api_key),
     .example = "${PAGERDUTY_API_KEY}",
     .help = "Key of the REST API: only for the health check."},
    {"integrations.pagerduty.routing_key", CONFIG_TEXT,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL,
     OF(PAGERDUTY, routing_key), .example = "${PAGERDUTY_ROUTING_KEY}",
     .help = "Key of the Events API integration; without it nothing is sent."},
    {"integrations.pagerduty.notify_on", CONFIG_NOTICES, CONFIG_RELOAD,
     OF(PAGERDUTY, notify_on), "[failed, held, killed, resolved, escalated]",
     .help = "What of workflows is told: that one failed, is held for an "
             "operator, was killed, and that it came to a good end after "
             "that."},
    {"integrations.pagerduty.insecure_http", CONFIG_BOOL, CONFIG_RELOAD,
     OF(PAGERDUTY, insecure_http), "false",
     .help =
         "Send the keys also over http:// to a host other than this one, where "
         "others may read it."},
    {"integrations.pagerduty.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     OF(PAGERDUTY, timeout_ms), "10", RANGE(100, 5 * MINUTE),
     .help = "Time limit of a request."},
    {"integrations.slack.enabled", CONFIG_BOOL, CONFIG_RELOAD,
     OF(SLACK, enabled), "true", .help = "Whether the integration is used."},
    {"integrations.slack.webhook_url", CONFIG_HTTP_URL,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL, OF(SLACK, webhook_url),
     .example = "${SLACK_WEBHOOK_URL}", .help = "Incoming webhook."},
    {"integrations.slack.channel", CONFIG_TEXT, CONFIG_RELOAD,
     OF(SLACK, channel), .example = "\"#ops\"",
     .help = "Channel that messages go to."},
    {"integrations.slack.notify_on", CONFIG_NOTICES, CONFIG_RELOAD,
     OF(SLACK, notify_on), "[failed, held, killed, resolved, escalated]",
     .help = "What of workflows is told: that one failed, is held for an "
             "operator, was killed, and that it came to a good end after "
             "that."},
    {"integrations.slack.insecure_http", CONFIG_BOOL, CONFIG_RELOAD,
     OF(SLACK, insecure_http), "false",
     .help = "Send messages and the webhook_url also over http:// to a host "
             "other than this one, where "
             "others may read it."},
    {"integrations.slack.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     OF(SLACK, timeout_ms), "10", RANGE(100, 5 * MINUTE),
     .help = "Time limit of a request."},
    {"integrations.metrics-scraper.enabled", CONFIG_BOOL, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, enabled), "true",
     .help = "Whether the integration is used."},
    {"integrations.metrics-scraper.url", CONFIG_HTTP_URL, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, url), .example = "http://localhost:9100/metrics",
     .help = "Address that is scraped."},
    {"integrations.metrics-scraper.targets", CONFIG_URLS, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, targets), "[]",
     .example = "[\"http://localhost:9100/metrics\"]",
     .help = "Further addresses that are scraped. The bearer_token goes to the "
             "host of url only, or of the first of these."},
    {"integrations.metrics-scraper.metrics", CONFIG_RULES, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, metrics), "[]",
     .example = "[\"node_load1 > 8\", \"up == 0\"]",
     .help = "Which samples become metric events: NAME{MATCHERS} OP NUMBER, "
             "where NAME may end in *. Without an operator every scrape's "
             "sample does. Nothing does unless it is listed here."},
    {"integrations.metrics-scraper.resend_interval", CONFIG_DURATION,
     CONFIG_RELOAD, OF(METRICS_SCRAPER, resend_interval_ms), "5m",
     RANGE(SECOND, DAY),
     .help = "How often a series that stays past its threshold is an event "
             "again."},
    {"integrations.metrics-scraper.honor_labels", CONFIG_BOOL, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, honor_labels), "false",
     .help = "Whether a page may say which instance its samples are of. If "
             "not, instance is the target, and what the page says becomes "
             "exported_instance."},
    {"integrations.metrics-scraper.sample_limit", CONFIG_U64, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, sample_limit), "20000",
     RANGE(1, EXPOSITION_SAMPLES_MAX),
     .help = "A page with more samples is refused as a whole."},
    {"integrations.metrics-scraper.body_size_limit", CONFIG_SIZE, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, body_size_limit), "1MiB",
     RANGE(KIB, EXPOSITION_MAX_BYTES),
     .help = "A larger page is refused as a whole."},
    {"integrations.metrics-scraper.bearer_token", CONFIG_TEXT,
     CONFIG_RELOAD | CONFIG_SECRET | CONFIG_CREDENTIAL,
     OF(METRICS_SCRAPER, bearer_token), .example = "${SCRAPER_TOKEN}",
     .help = "Sent as Authorization: Bearer to the host of url."},
    {"integrations.metrics-scraper.scrape_interval", CONFIG_DURATION,
     CONFIG_RELOAD, OF(METRICS_SCRAPER, scrape_interval_ms), "15",
     RANGE(SECOND, DAY), .help = "Time between two scrapes."},
    {"integrations.metrics-scraper.insecure_http", CONFIG_BOOL, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, insecure_http), "false",
     .help = "Send the bearer_token also over http:// to a host other than "
             "this one, where "
             "others may read it."},
    {"integrations.metrics-scraper.timeout", CONFIG_DURATION, CONFIG_RELOAD,
     OF(METRICS_SCRAPER, timeout_ms), "10", RANGE(100, 5 * MINUTE),
     .help = "Time limit of a scrape."},

    {"configuration.auto_reload", CONFIG_BOOL, CONFIG_RELOAD,
     AT(config_auto_reload), "true",
     .help = "Load the configuration again when its files have changed and "
             "have stayed as they are for two seconds. One with an error "
             "changes nothing, and what needs a restart waits for one."},

    {"runbooks.repository", CONFIG_PATH, 0, AT(repository),
     "/var/lib/autonomous-devops/runbooks",
     .help = "Folder of the runbooks, usually a git checkout."},
    {"runbooks.auto_reload", CONFIG_BOOL, 0, AT(auto_reload), "true",
     .help = "Load runbooks again when files change."},
    {"runbooks.validation", CONFIG_ENUM, 0, AT(validation), "strict",
     .names = validation_names,
     .help = "A file with an error is refused and its last good version "
             "stays in force. With warn an unknown key is a warning and the "
             "file is loaded without it; everything else stays an error."},

    {"server.listen", CONFIG_ADDRESS, 0, AT(listen), "127.0.0.1:9000",
     .help = "Numeric address and port; port 0 takes any free one. An "
             "address that is not a loopback one needs tokens and TLS."},
    {"server.tls.cert", CONFIG_PATH, 0, AT(tls_cert),
     .example = "/etc/autonomous-devops/tls/cert.pem",
     .help = "Certificate chain, PEM."},
    {"server.tls.key", CONFIG_PATH, 0, AT(tls_key),
     .example = "/etc/autonomous-devops/tls/key.pem",
     .help = "Private key of the certificate, PEM."},
    {"server.allowed_hosts", CONFIG_HOSTS, 0, AT(allowed_hosts), "[]",
     .example = "[devops.example.org]",
     .help = "Names by which clients may call the server, besides localhost "
             "and the address it listens on."},
    {"server.insecure", CONFIG_BOOL, 0, AT(insecure), "false",
     .help = "Permit an address that is not a loopback one without tokens "
             "or TLS. Everyone who reaches it may then read the traffic."},

    {"storage.url", CONFIG_STORAGE_URL, 0, AT(storage_url),
     "sqlite:///var/lib/autonomous-devops/state/engine.db",
     .help = "The database: sqlite:///FILE, where FILE is called "
             "engine.db. " MOVED},

    {"storage.on_damage", CONFIG_ENUM, 0, AT(on_damage), "restore",
     .names = damage_names,
     .help = "When the database is damaged: set it aside and go on with the "
             "newest good backup, or stop and say what to do."},

    {"retention.events", CONFIG_DURATION, CONFIG_RELOAD,
     AT(keep.retention.events_ms), "35d", RANGE(0, 36600 * DAY),
     .help = "Age at which events that are processed, suppressed or duplicates "
             "are removed; 0: never. Queued, drained and poison events (see "
             "adctl queue clear, adctl poison clear) and the events of "
             "unfinished workflows stay. An event's deduplication key goes "
             "with it, and an alert that was not repeated since."},
    {"retention.workflows", CONFIG_DURATION, CONFIG_RELOAD,
     AT(keep.retention.workflows_ms), "180d", RANGE(0, 36600 * DAY),
     .help = "Time after its end at which a workflow is removed, with its "
             "attempts and output; 0: never. The audit trail always stays."},
    {"retention.max_bytes", CONFIG_SIZE, CONFIG_RELOAD,
     AT(keep.retention.max_bytes), "8GiB", RANGE(0, 1024 * 1024 * 1024 * MIB),
     .help = "When the database holds more, the oldest events and workflows "
             "are removed before their time, but nothing of the last 24 hours "
             "and no firing alert; 0: any size. The file does not shrink: its "
             "room is used again."},
    {"retention.interval", CONFIG_DURATION, CONFIG_RELOAD,
     AT(keep.retention_interval_ms), "1m", RANGE(SECOND, DAY),
     .help = "Time between two rounds of removing, each in small pieces."},
    {"retention.metrics", CONFIG_DURATION, CONFIG_RELOAD,
     AT(keep.history.points_ms), "90d", RANGE(31 * DAY, 3660 * DAY),
     .help = "How long the history of metrics goes back, in steps of 10 "
             "minutes; the last 3 days are kept by the minute, the last 6 "
             "hours by 10 seconds."},
    {"retention.metrics_max_bytes", CONFIG_SIZE, CONFIG_RELOAD,
     AT(keep.history.max_bytes), "64MiB", RANGE(8 * MIB, 1024 * MIB),
     .help = "When the history of metrics holds more, its oldest days are "
             "removed before their time."},

    {"archive.directory", CONFIG_PATH, 0, AT(archive_directory),
     .example = "/var/lib/autonomous-devops/archive",
     .help = "Folder of the files that archived workflows move to. Not set: "
             "archive beside the state folder. Backups hold it. " MOVED},
    {"archive.keep", CONFIG_DURATION, CONFIG_RELOAD, AT(keep.archive.keep_ms),
     "730d", RANGE(0, 36600 * DAY),
     .help = "Age at which a file of the archive is removed; 0: never."},
    {"archive.max_bytes", CONFIG_SIZE, CONFIG_RELOAD,
     AT(keep.archive.max_bytes), "2GiB", RANGE(0, 1024 * 1024 * 1024 * MIB),
     .help = "When the archive holds more, its oldest files are removed, but "
             "never the newest; 0: any size."},

    {"backup.directory", CONFIG_PATH, 0, AT(backup_directory),
     "/var/lib/autonomous-devops/backups",
     .help = "Folder of the backups that adctl backup makes. " MOVED},
    {"backup.keep_all", CONFIG_DURATION, 0, AT(backup_keep_all_ms), "24h",
     RANGE(0, 366 * DAY), .help = "Backups younger than this are all kept."},
    {"backup.keep_days", CONFIG_U32, 0, AT(backup_keep_days), "14",
     RANGE(0, 3660),
     .help = "Of older ones the last of each day is kept for so many days."},
    {"backup.max_bytes", CONFIG_SIZE, 0, AT(backup_max_bytes), "20GiB",
     RANGE(MIB, 1024 * 1024 * 1024 * MIB),
     .help = "When all together are larger, backups are thinned out: first "
             "within the hour, then within the day, at last the oldest days "
             "go; the last two always stay."},
    {"backup.warn_after", CONFIG_DURATION, 0, AT(backup_warn_ms), "30m",
     RANGE(0, 366 * DAY),
     .help = "When the newest backup is older, the health is degraded and "
             "adctl doctor says so; 0: never."},

    {"executor.autostart", CONFIG_BOOL, 0, AT(executor_autostart), "true",
     .help = "Start an executor when none accepts on the socket. Under systemd "
             "the executor has a unit of its own: false."},
    {"executor.socket", CONFIG_PATH, 0, AT(executor_socket),
     "/run/autonomous-devops/executor.sock",
     .help = "Where the engine and the executor meet."},
    {"executor.spool", CONFIG_PATH, 0, AT(executor_spool),
     "/var/lib/autonomous-devops/executor/spool",
     .help = "Folder in which the executor keeps outcomes of steps."},
    {"executor.work", CONFIG_PATH, 0, AT(executor_work),
     "/var/lib/autonomous-devops/executor/work",
     .help = "Each step runs in a private folder below this one."},
    {"executor.user", CONFIG_NAME, CONFIG_RELOAD, AT(executor_user),
     .example = "autonomous-devops",
     .help = "User that steps run as; not set: the executor's own."},
    {"executor.run_as_allowed", CONFIG_RUN_AS, CONFIG_RELOAD,
     AT(run_as_allowed), "[]",
     .example = "[postgres, {user: root, runbooks: [system/*.yaml]}]",
     .help = "Users that a runbook may name in run_as: a name, or a user and "
             "the runbooks that may name it (globs; * does not match /). root "
             "needs runbooks."},
    {"executor.max_running", CONFIG_U32, CONFIG_RELOAD, AT(max_running), "0",
     RANGE(0, 10000),
     .help = "Steps at a time; more are refused. 0: as many as the engine may "
             "start (engine.workflow_execution.max_concurrent)."},
    {"executor.output_keep_bytes", CONFIG_SIZE, CONFIG_RELOAD,
     AT(output_keep_bytes), "1MiB", RANGE(4 * KIB, 64 * MIB),
     .help = "Output kept of one attempt: its beginning and its end."},
    {"executor.limits.address_space", CONFIG_SIZE, CONFIG_RELOAD,
     LIMIT(address_space_bytes), "64GiB", SIZES,
     .help = "Memory that one process of a step may map; 0: any amount. More "
             "is refused to it."},
    {"executor.limits.cpu_time", CONFIG_DURATION, CONFIG_RELOAD, LIMIT(cpu_ms),
     "24h", RANGE(0, 366 * DAY),
     .help = "CPU time of one process of a step, in whole seconds; 0: any "
             "amount. A process that has used it is ended."},
    {"executor.limits.open_files", CONFIG_U32, CONFIG_RELOAD, LIMIT(open_files),
     "65536", RANGE(16, 1048576),
     .help = "Files that one process of a step may have open. It begins with "
             "1024 at most and may raise that to this number."},
    {"executor.limits.processes", CONFIG_U32, CONFIG_RELOAD, LIMIT(processes),
     "8192", RANGE(0, 4194304),
     .help = "Processes and threads of the user that steps run as, those of "
             "other programs included; 0: any number. It does not bind root."},
    {"executor.limits.file_size", CONFIG_SIZE, CONFIG_RELOAD, LIMIT(file_bytes),
     "16GiB", SIZES,
     .help = "Size of a file that a step may write; 0: any size. A process "
             "that writes on is ended."},
    {"executor.limits.output", CONFIG_SIZE, CONFIG_RELOAD, LIMIT(output_bytes),
     "1GiB", SIZES,
     .help = "What one attempt may write to its output, kept or not; 0: any "
             "amount. A step that writes more is ended."},
    {"executor.idle_exit", CONFIG_DURATION, CONFIG_RELOAD, AT(idle_exit_ms),
     "10m", RANGE(0, 7 * DAY),
     .help = "The executor ends after so long without engine and work; 0: "
             "never."},

    {"security.group", CONFIG_NAME, 0, AT(group), "autonomous-devops",
     .help = "Members of this group may call a loopback server without a "
             "token, as may root and the daemon's own user."},
    {"security.kill_switch", CONFIG_PATH, CONFIG_RELOAD, AT(kill_switch),
     .example = "/var/lib/autonomous-devops/control/kill-switch",
     .help = "While this file exists, nothing begins: no workflow, no step. "
             "Engine and executor both look, after a reload also where it was "
             "before. adctl kill-switch on and off, "
             "touch and rm, and the signal USR1 (on) do the same. Not set: "
             "control/kill-switch beside the state folder."},
    {"security.secrets_key", CONFIG_PATH, 0, AT(secrets_key),
     .example = "/var/lib/autonomous-devops/secrets.key",
     .help = "File with the key of stored secrets: secret parameters of "
             "workflows, and credentials that were set through the API; "
             "made when it is first needed. Not set: secrets.key beside the "
             "state folder. The systemd credential secrets.key goes before "
             "it. Keep it apart from backups of the state."},
    {"security.tokens", CONFIG_TOKENS, CONFIG_SECRET, AT(tokens), "[]",
     .example = "[{name: ci, scopes: [ingest], "
                "file: /etc/autonomous-devops/ci.token}]",
     .help = "Bearer tokens: a name, scopes out of read, ingest, execute, "
             "admin, and either sha256 (64 hexadecimal digits) or file, "
             "which holds the token."},

    {"limits.connections", CONFIG_U32, 0, AT(connections), "512",
     RANGE(16, 65536), .help = "HTTP connections at a time."},
    {"limits.connections_per_source", CONFIG_U32, 0, AT(connections_per_source),
     "64", RANGE(1, 65536),
     .help = "HTTP connections of one source: an address, the /64 of an IPv6 "
             "address, or a local user who is not an administrator."},
    {"limits.header_timeout", CONFIG_DURATION, 0, AT(header_timeout_ms), "10s",
     RANGE(SECOND, 5 * MINUTE),
     .help = "Time in which a request's header must arrive."},
    {"limits.body_timeout", CONFIG_DURATION, 0, AT(body_timeout_ms), "30s",
     RANGE(SECOND, HOUR),
     .help = "Time in which a request's body must arrive."},
    {"limits.idle_timeout", CONFIG_DURATION, 0, AT(idle_timeout_ms), "30s",
     RANGE(SECOND, HOUR),
     .help = "Time that a connection may wait for its next request."},
    {"limits.stream_clients", CONFIG_U32, 0, AT(stream_clients), "64",
     RANGE(1, 1024), .help = "Clients of /api/stream at a time."},
    {"limits.trigger_memory", CONFIG_U32, CONFIG_RELOAD, AT(trigger_memory),
     "100000", RANGE(1, 1000000),
     .help = "Keys that triggers with cooldown, count or max_runs remember at "
             "a time. What needs another one is held back."},

    {"guards.max_starts.limit", CONFIG_U32, CONFIG_RELOAD,
     AT(guards.starts.most), "600", RANGE(0, MEMORY_INSTANTS_MAX),
     .help = "At most so many workflows that events start in any window, of "
             "all runbooks together; what would be more is held back. 0: any "
             "number."},
    {"guards.max_starts.within", CONFIG_DURATION, CONFIG_RELOAD,
     AT(guards.starts.within_ms), "1m", RANGE(SECOND, DAY),
     .help = "The length of that window."},
    {"guards.max_age", CONFIG_DURATION, CONFIG_RELOAD, AT(guards.max_age_ms),
     "24h", RANGE(0, 366 * DAY),
     .help = "An event that was received longer ago starts nothing, unless "
             "its runbook says otherwise. 0: any age."},
    {"guards.breaker.failures", CONFIG_U32, CONFIG_RELOAD,
     AT(guards.breaker.failures), "5", RANGE(0, GUARD_BREAKER_MAX),
     .help = "When so many workflows of a runbook have failed in a window, "
             "events start no more of them for a while, and then one as a "
             "probe, unless the runbook says otherwise. 0: never."},
    {"guards.breaker.within", CONFIG_DURATION, CONFIG_RELOAD,
     AT(guards.breaker.within_ms), "30m", RANGE(SECOND, 30 * DAY),
     .help = "The length of that window."},
    {"guards.breaker.open_for", CONFIG_DURATION, CONFIG_RELOAD,
     AT(guards.breaker.open_ms), "15m", RANGE(SECOND, 30 * DAY),
     .help = "How long after the last failure nothing is started."},

    {"log.level", CONFIG_ENUM, CONFIG_RELOAD, AT(log_level), "info",
     .names = level_names,
     .help = "Least important messages that are logged. The environment "
             "variable LOGLEVEL overrides it."},
};

const size_t config_option_count = ARRAY_LEN(config_options);

const struct config_option *config_option_named(const char *key)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].key, key) == 0) {
            return &config_options[i];
        }
    }
    return NULL;
}

const struct config_section config_sections[] = {
    {"engine", "How events and workflows are processed."},
    {"integrations", "Partner systems. One is configured when it is named."},
    {"runbooks", "Where runbooks come from."},
    {"server", "The HTTP server."},
    {"storage", "Where state is kept."},
    {"retention", "How long events, workflows and metrics are kept."},
    {"archive", "Where archived workflows go, and for how long."},
    {"backup", "What adctl backup makes, and for how long it is kept."},
    {"executor", "The process that runs steps."},
    {"security", "Who may call the API."},
    {"limits", "Bounds of the HTTP server, and of what triggers remember."},
    {"guards", "What may hold workflows back that events would start."},
    {"log", "Messages."},
};

const size_t config_section_count = ARRAY_LEN(config_sections);

const char *config_integration_key(enum integration name)
{
    static const char *const keys[INTEGRATIONS] = {
        [INTEGRATION_PROMETHEUS] = "integrations.prometheus",
        [INTEGRATION_ALERTMANAGER] = "integrations.alertmanager",
        [INTEGRATION_PAGERDUTY] = "integrations.pagerduty",
        [INTEGRATION_SLACK] = "integrations.slack",
        [INTEGRATION_METRICS_SCRAPER] = "integrations.metrics-scraper",
    };
    return keys[name];
}

const char *config_type_text(enum config_type type)
{
    static const char *const texts[CONFIG_TYPES] = {
        [CONFIG_BOOL] = "true or false",
        [CONFIG_U32] = "a number",
        [CONFIG_U64] = "a number",
        [CONFIG_DURATION] = "a duration",
        [CONFIG_SIZE] = "a size in bytes",
        [CONFIG_ENUM] = "a word",
        [CONFIG_TEXT] = "a text",
        [CONFIG_NAME] = "a name",
        [CONFIG_PATH] = "an absolute path",
        [CONFIG_HTTP_URL] = "an http or https URL",
        [CONFIG_ADDRESS] = "an address and port",
        [CONFIG_STORAGE_URL] = "a storage URL",
        [CONFIG_HOSTS] = "a list of host names",
        [CONFIG_RUN_AS] = "a list of users",
        [CONFIG_URLS] = "a list of http or https URLs",
        [CONFIG_RULES] = "a list of rules",
        [CONFIG_NOTICES] =
            "a list of failed, held, killed, resolved, escalated",
        [CONFIG_TOKENS] = "a list of tokens",
    };
    return texts[type];
}
