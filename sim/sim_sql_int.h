/* sim/sim_sql_int.h: the inside of the simulated SQL server, shared by sim_sql.c (tables, transactions, locks, what
 * happens by itself) and sim_sql_driver.c (calls, and how they go wrong). Nobody else includes it. */
#ifndef WR_SIM_SQL_INT_H
#define WR_SIM_SQL_INT_H

#include "sim/sim_internal.h"
#include "sim/sim_sql.h"

/* The fields as text with tabs between; without a key no two rows are the same one. */
struct sim_sql_row {
  char *text;
  size_t key_length; /* 0: no key */
};

struct sim_sql_rows {
  struct sim_sql_row *rows;
  size_t count, capacity;
};

enum sim_sql_kind { SIM_SQL_PUT, SIM_SQL_TAKE, SIM_SQL_LOCK }; /* LOCK changes nothing */

struct sim_sql_change {
  enum sim_sql_kind kind;
  struct sim_sql_row row;
};

/* A session as the server has it. */
struct sim_sql_session {
  struct sim_sql *sql;
  bool has_client;   /* else nobody will ever say anything more */
  bool is_over;      /* ended by the server, and its client has not heard of it */
  bool is_open;      /* a transaction */
  bool is_aborted;   /* which takes nothing more (PostgreSQL) */
  bool holds_marker; /* the lock of its row */
  bool moves_marker; /* to: */
  struct wr_marker marker;
  struct sim_sql_change *changes;
  size_t change_count, change_capacity;
  struct sim_sql_rows refused; /* in this transaction; see sim_sql_read_refused */
  bool has_savepoint;
  size_t savepoint;      /* changes before it */
  uint64_t commit_at_ns; /* a COMMIT is under way; 0: none */
  uint64_t end_at_ns;    /* without a client: the server notices */
  struct sim_sql_session *next;
};

struct sim_sql {
  struct sim_world *world;
  struct sim_sql_options options;
  char rule_name[48];
  struct wr_random random; /* of how the server behaves without any fault */
  bool has_table, has_markers, is_forbidden;
  struct sim_sql_rows table;
  struct wr_marker marker;
  const char *refused[SIM_SQL_REFUSED_MAX]; /* rows with one of these are not taken */
  uint32_t refused_count;
  struct sim_sql_rows last_refused; /* of the transaction that was committed last */
  struct sim_sql_session *sessions, *rival;
  uint64_t away_until_ns, full_until_ns, read_only_until_ns;
  uint64_t commits;
  sim_sql_committed *committed;
  void *committed_context;
};

/* What has happened by itself until now. */
void sim_sql_settle(struct sim_sql *sql);
struct sim_sql_session *sim_sql_open_session(struct sim_sql *sql);
/* Rolls back, and forgets the session. */
void sim_sql_close_session(struct sim_sql_session *session);
/* Its client is gone; the server notices within `within_ns`. */
void sim_sql_leave(struct sim_sql_session *session, uint64_t within_ns);
void sim_sql_begin(struct sim_sql_session *session);
void sim_sql_roll_back(struct sim_sql_session *session);
void sim_sql_commit(struct sim_sql_session *session);
void sim_sql_roll_back_to_savepoint(struct sim_sql_session *session);
/* Who else holds the marker's row, or that of the key; NULL: nobody. */
struct sim_sql_session *sim_sql_holder(struct sim_sql_session *session, const struct sim_sql_row *row);
/* Forgets the changes from number `from` on. */
void sim_sql_undo(struct sim_sql_session *session, size_t from);
/* Adds a change to the transaction; the row's text is copied. */
void sim_sql_change(struct sim_sql_session *session, enum sim_sql_kind kind, const struct sim_sql_row *row);
/* A statement with this row alone was not taken, or was. */
void sim_sql_note_refused(struct sim_sql_session *session, const struct sim_sql_row *row, bool is_refused);
/* The marker as the session sees it. */
struct wr_marker sim_sql_marker_seen(const struct sim_sql_session *session);

#endif
