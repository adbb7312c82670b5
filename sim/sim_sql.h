/* sim/sim_sql.h: a simulated SQL server behind connectors/sql/sql_driver.h: one database with the sink's table and the
 * table of markers, its sessions, their transactions and locks.
 *
 *   isolation     read committed; a row that an open transaction has changed is locked to its end, and who wants it
 *                 waits, up to a limit. A lock is one for reading the marker FOR UPDATE too
 *   dialects      PostgreSQL: after an error a transaction takes nothing more, and a COMMIT of it rolls back; an UPDATE
 *                 whose row does not fit as it is committed does not wait. MySQL: the statement alone is undone, a
 *                 deadlock rolls all back and what follows is committed by itself, a BEGIN commits what was open, an
 *                 error of COMMIT says nothing; every statement about a row waits for its lock
 *   sessions      outlive their client: one whose client was killed, or whose connection broke, keeps its transaction
 *                 open and its locks, until the server notices; a COMMIT that was under way can still come before that
 *   faults        at each call: the connection gone before or after it was done, silence, a restart of the server,
 * which then refuses for a while. At a statement: a deadlock's victim, the disk full or all read-only for a while. At
 * COMMIT: done and nobody hears of it, not done, done later, refused
 *
 * Outside of calls, and in sim_world_direct, everything is at once and without faults; a lock is then not waited for.
 * Host memory. One thread.
 */
#ifndef WR_SIM_SQL_H
#define WR_SIM_SQL_H

#include "connectors/sql/sql_driver.h"
#include "connectors/sql/sql_target.h"
#include "sim/sim_world.h"

enum sim_sql_dialect { SIM_SQL_POSTGRES, SIM_SQL_MYSQL };

struct sim_sql_options {
  uint64_t seed;
  const char *name; /* its rule of faults is "sql:NAME" */
  enum sim_sql_dialect dialect;
  uint64_t lock_ns;   /* a lock is waited for so long */
  uint64_t idle_ns;   /* a transaction whose client says nothing is rolled back within this */
  uint64_t silent_ns; /* how long a client waits for an answer */
  uint64_t away_ns;   /* how long it is away, full or read-only, at most */
};

struct sim_sql;
struct sim_sql_image;

struct sim_sql *sim_sql_new(struct sim_world *world, const struct sim_sql_options *options);
void sim_sql_free(struct sim_sql *sql); /* NULL: nothing */
/* For wr_sql_config.new_driver; its driver_config is the sim_sql. */
enum weir_code sim_sql_new_driver(const struct wr_sql_config *config, const struct wr_target_context *context,
                                  struct wr_sql_driver **out_driver, struct weir_error *error);
uint32_t sim_sql_clients(const struct sim_sql *sql); /* drivers with a session */

/* A transaction, or a statement outside of one, has changed something. NULL: nobody listens. */
typedef void sim_sql_committed(void *context, const struct wr_marker *before, const struct wr_marker *now,
                               uint32_t rows);
void sim_sql_on_commit(struct sim_sql *sql, sim_sql_committed *committed, void *context);
uint64_t sim_sql_commits(struct sim_sql *sql); /* how many there were */
struct wr_marker sim_sql_marker(struct sim_sql *sql);
/* All committed rows: fields with tabs between them. A row of a table without a key is given in the order of writing.
 */
typedef void sim_sql_reader(void *context, const char *row);
void sim_sql_read_all(struct sim_sql *sql, sim_sql_reader *reader, void *context);
/* The rows that the transaction which was committed last had written, and which were not taken: each as the only row of
 * its statement, and not taken later either. */
void sim_sql_read_refused(struct sim_sql *sql, sim_sql_reader *reader, void *context);

/* ---- what others do to it ---- */

/* The table, or that of the markers, is dropped: false: somebody is using it. */
bool sim_sql_drop_table(struct sim_sql *sql);
void sim_sql_restore_table(struct sim_sql *sql); /* as it was when it was dropped */
bool sim_sql_drop_markers(struct sim_sql *sql);
/* The marker goes `by` ahead of where it is; false: there is none, or somebody is using it. */
bool sim_sql_push_marker(struct sim_sql *sql, uint64_t by);
void sim_sql_forbid(struct sim_sql *sql, bool is_forbidden); /* the user has no right to the table any more */
/* Rows whose last field, or key, is one of `texts` are not taken; 0: all are. The texts are borrowed. */
enum { SIM_SQL_REFUSED_MAX = 64 };
void sim_sql_refuse_rows(struct sim_sql *sql, const char *const *texts, uint32_t count);
/* Another program locks the marker's row, or that of a key (text), in a transaction that it leaves open; false: it is
 * locked. */
bool sim_sql_lock(struct sim_sql *sql, const char *key);
void sim_sql_unlock(struct sim_sql *sql);
/* It restarts: sessions end, what is open is rolled back. */
void sim_sql_restart(struct sim_sql *sql);

/* Both tables as they are now. */
struct sim_sql_image *sim_sql_image_take(struct sim_sql *sql);
/* Another server, with these tables, takes over: sessions end. */
void sim_sql_image_put(struct sim_sql *sql, const struct sim_sql_image *image);
void sim_sql_image_free(struct sim_sql_image *image); /* NULL: nothing */
/* Another server takes over, on which nobody has ever written. */
void sim_sql_empty(struct sim_sql *sql);

#endif
