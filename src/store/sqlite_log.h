/* Inside the store: the write-ahead log, looked at before the library does. */
#pragma once

#include "base/err.h"

/* The library takes the first frame of the log that is not as it was written
 * for the end of the log: what was committed behind it is silently gone. This
 * tells that from a log that a crash has cut off. A commit is on the disk
 * before the next one begins (synchronous=FULL), so a bad frame with a commit
 * and the beginning of another behind it was good once. Nobody may have the
 * database open. 0 (also when there is no log), -EBADMSG with what is wrong,
 * -EIO. Damage to the very last commit looks like one that was cut off.
 * A log without a good header is not used at all: that is damage when it holds
 * what the database at db_path does not. */
NODISCARD int sqlite_log_check(const char *db_path, struct err *reterr);
