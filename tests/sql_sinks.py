#!/usr/bin/env python3
"""Jobs that write to a real database server, with everything killed that can be killed: nothing lost, nothing doubled.

Usage: tests/sql_sinks.py [--servers postgres,mariadb] [--histories N] [--seed S] [--history I] [--only cases|histories]

A history is one of tests/kills.py (pv with a key, or seen, which inserts into a table without one; the log grows, bad
records, other parallelisms, SIGKILL, SIGSTOP, SIGTERM), whose table is on a server behind a proxy. The proxy cuts
connections at named points: before the server hears of the marker, of rows or of COMMIT, and after it has answered, so that
the answer is lost. The server itself is killed and started again, and stays away for ten checkpoints. What is in the table
is read by the server's own client. A case is one bad target or setting: the sentence, the exit code, and that nothing is
out.
"""
import argparse
import collections
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import blackbox
import kills
import sql_servers

MARKER, ROWS, COMMIT = b"SET checkpoint", b"INSERT INTO", b"COMMIT"


class History(kills.History):
    stop_codes = (0, 4)

    def __init__(self, seed, index, cycles, server):
        super().__init__(seed, index, cycles, sink=server.name)
        self.server = server
        self.proxy = sql_servers.Proxy(lambda: server.port, random.Random(f"{seed}/{index}/proxy"))
        sink = f"{server.scheme}://weir@127.0.0.1:{self.proxy.port}/{server.database}"
        self.command[self.command.index("--sink") + 1] = sink
        self.command += ["--sink-option", "password-file=" + server.password_file]
        self.out = self.target = self.rows
        server.rows(f"DROP TABLE IF EXISTS {self.job}; DROP TABLE IF EXISTS weir_commits;")
        server.rows(server.tables[self.job].format(table=self.job))

    def rows(self, query):
        if self.server.name == "mariadb":
            query = query.replace("partition", "`partition`")
        found = self.server.rows(query)
        numbers = {"pv": [1], "seen": [1]}[self.job]
        if "sum(" in query or "count(" in query:
            numbers = [0]
        return [tuple(int(each) if i in numbers else each for i, each in enumerate(row)) for row in found]

    def disturb(self):
        """Something for the time of one run; returns what ends it."""
        draw = self.rng.random()
        self.proxy.rules = []
        if draw < 0.5:
            word = self.rng.choice([MARKER, ROWS, COMMIT, COMMIT])
            self.proxy.rules = [(word, self.rng.choice(["before", "after", "after", "late"]), self.rng.choice([0.2, 0.6]))]
        elif draw < 0.6:
            self.counts["server killed"] += 1
            self.server.kill()
            return self.server.start
        elif draw < 0.75:
            self.proxy.cut_all()
            self.counts["all connections cut"] += 1
        return lambda: None

    def run_unbounded(self):
        process = self.start()
        end = lambda: None
        if self.pause(process, self.moment()):
            end = self.disturb()
            if self.rng.random() < 0.3:
                self.pause(process, 2)  # ten checkpoints and more
            if self.rng.random() < 0.5:
                end()
                end = lambda: None
            self.pause(process, self.moment())
        alive = process.poll() is None
        if alive:
            if self.rng.random() < 0.1:
                end()
                self.proxy.rules = []
                return self.stop(process) and self.look()
            self.kill(process)
        end()
        self.proxy.rules = []
        return (alive or self.fail(f"ended by itself, exit code {process.returncode}: {self.said()}")) and self.look()

    def run_again(self):
        before = self.server.rows(f"SELECT * FROM {self.job} ORDER BY 1, 2"), self.server.rows("SELECT * FROM weir_commits")
        process = self.start()
        if self.pause(process, 20):
            process.kill()
            process.wait()
            return self.fail("a finished job that was started again did not end")
        after = self.server.rows(f"SELECT * FROM {self.job} ORDER BY 1, 2"), self.server.rows("SELECT * FROM weir_commits")
        if process.returncode != 0 or "came to its end in an earlier run" not in self.said():
            return self.fail(f"finished, started again: exit code {process.returncode}: {self.said()}")
        return before == after or self.fail("finished, started again: it changed the table")


class Cases:
    """One server, bad targets and settings one after the other."""

    def __init__(self, server, checks):
        self.server, self.checks = server, checks
        self.folder = tempfile.mkdtemp(prefix="weir-sql-cases-")
        self.source = os.path.join(self.folder, "log")
        os.mkdir(self.source)
        self.records = 3000
        with open(os.path.join(self.source, "p0.ndjson"), "w", encoding="ascii") as log:
            for i in range(self.records):
                log.write('{"app_id":"app%d"}\n' % (i % 100))
        self.count = 0

    def command(self, job, *more, port=None, database=None, user="weir", password=True):
        self.count += 1
        self.state = os.path.join(self.folder, f"state-{self.count}")
        sink = f"{self.server.scheme}://{user}@127.0.0.1:{port or self.server.port}/{database or self.server.database}"
        command = [blackbox.program(job), "--source", self.source, "--bounded", "--state", self.state, "--sink", sink]
        if password:
            command += ["--sink-option", "password-file=" + self.server.password_file]
        return command + list(more)

    def run(self, job, *more, env=None, **place):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PGPASS", "MYSQL_PWD"))}
        return blackbox.run(self.command(job, *more, **place), timeout=60, env={**environment, **(env or {})})

    def expect(self, name, code, words, job, *more, **place):
        found, said = self.run(job, *more, **place)
        holds = found == code and all(word in said for word in words) and self.hides_passwords(said)
        self.checks.check(holds, f"{self.server.name}, {name}: exit code {found}, not {code} with {words}: {said[-900:]}")

    def hides_passwords(self, said):
        return "secret of" not in said and self.server.password not in said

    def table(self, *statements):
        self.server.rows("DROP TABLE IF EXISTS pv; DROP TABLE IF EXISTS seen; DROP TABLE IF EXISTS weir_commits;")
        for each in statements:
            self.server.rows(each)

    def transient(self, name, words, *more, **place):
        """Goes on trying: says why, and does not end."""
        process = subprocess.Popen(self.command("pv", *more, **place), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        time.sleep(1.5)
        running = process.poll() is None
        process.kill()
        said = process.communicate()[1].decode("utf-8", "replace")
        self.checks.check(running and all(word in said for word in words) and self.hides_passwords(said),
                          f"{self.server.name}, {name}: running {running}: {said[-900:]}")

    def common(self):
        pv = self.server.tables["pv"].format(table="pv")
        self.table()
        self.expect("no table", 4, ["is not there", "CREATE TABLE", "PRIMARY KEY"], "pv")
        self.checks.check(self.server.rows(self.server.has_table.format(table="weir_commits")) == [("0",)],
                          f"{self.server.name}: a refused start made the table of markers")
        self.table(pv.replace(", pv bigint", ", n bigint"))
        self.expect("a column is missing", 4, ['has no column "pv" (BIGINT)'], "pv")
        self.table(pv.replace("pv bigint", "pv int"))
        self.expect("a type does not fit", 4, ['column "pv"', "int", "BIGINT"], "pv")
        self.table(pv.replace(" PRIMARY KEY", ""))
        self.expect("no key", 4, ["no primary key or unique index over exactly", '"app_id"'], "pv")
        self.table(pv.replace("pv bigint", "pv bigint, must int NOT NULL"))
        self.expect("a column that must be given", 4, ['column "must"', "must be given a value"], "pv")
        self.table(pv)
        self.expect("wrong password", 4, ["SQLSTATE 28" if self.server.name == "postgres" else "Access denied"], "pv",
                    password=False, env={"PGPASSWORD": "secret of nobody", "MYSQL_PWD": "secret of nobody"})
        self.expect("no such database", 4, ["nowhere"], "pv", database="nowhere")
        self.expect("a password in the URL", 2, ["has a password in it"], "pv", user="weir:secret%20of")
        self.expect("an unknown option", 2, ['"passwort-file"', "did you mean"], "pv", "--sink-option", "passwort-file=x")
        self.expect("no password file", 4, ["password-file"], "pv", "--sink-option", "password-file=/nowhere/pw",
                    password=False)
        self.expect("an unset variable", 4, ["NOT_SET_AT_ALL"], "pv", "--sink-option", "password-env=NOT_SET_AT_ALL",
                    password=False)
        self.transient("nobody listens", ["cannot connect"], port=sql_servers.free_port())
        self.expect("password by the environment", 0, [], "pv", "--sink-option", "password-env=WEIR_TEST_PASSWORD",
                    password=False, env={"WEIR_TEST_PASSWORD": open(self.server.password_file).read().strip()})
        self.checks.check(self.server.rows("SELECT count(*), sum(pv) FROM pv") == [("100", "3000")],
                          f"{self.server.name}: what a good run wrote")
        self.expect("another run of the job", 3, ["holds output of an earlier run"], "pv")
        self.expect("an interval without --plain", 2, ["goes with --plain"], "pv", "--sink-option",
                    "sink.buffer-flush.interval=1s")
        self.bad_row()
        self.pair()
        self.fenced()
        self.older_copy()

    def bad_row(self):
        seen = self.server.tables["seen"].format(table="seen")
        self.table(seen, "ALTER TABLE seen ADD CONSTRAINT one_is_bad CHECK (position <> 2345)")
        self.expect("one row in thousands", 4, ["position = 2345", "one_is_bad"], "seen")
        self.checks.check(self.server.rows("SELECT count(*) FROM seen") == [("0",)],
                          f"{self.server.name}: rows of a refused epoch are out")

    def fenced(self):
        """Two runs of one job on one table, by a copy of the job's folder: the first loses."""
        self.table(self.server.tables["pv"].format(table="pv"))
        command = [each for each in self.command("pv") if each != "--bounded"] + ["--checkpoint-interval", "100ms"]
        first = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        time.sleep(1)
        first.send_signal(signal.SIGSTOP)
        copy = self.state + "-copy"
        shutil.copytree(self.state, copy)
        second = subprocess.Popen([copy if each == self.state else each for each in command], stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL)
        time.sleep(1.5)
        first.send_signal(signal.SIGCONT)
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"app1"}\n')
        self.records += 1
        try:
            said = first.communicate(timeout=20)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            first.kill()
            said = first.communicate()[1].decode("utf-8", "replace")
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=30)
        self.checks.check(first.returncode == 3 and "has taken over" in said and second.returncode == 0,
                          f"{self.server.name}: two runs of one job: {first.returncode}, {second.returncode}: {said}")
        self.checks.check(self.server.rows("SELECT sum(pv) FROM pv") == [(str(self.records),)],
                          f"{self.server.name}: two runs of one job counted {self.server.rows('SELECT sum(pv) FROM pv')}")

    def older_copy(self):
        """The server goes back to an older copy of itself while the job runs."""
        self.table(self.server.tables["pv"].format(table="pv"))
        command = [each for each in self.command("pv") if each != "--bounded"] + ["--checkpoint-interval", "100ms"]
        job = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        time.sleep(1.5)
        self.server.rows("UPDATE weir_commits SET checkpoint = checkpoint - 1")
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"app1"}\n')
        try:
            said = job.communicate(timeout=20)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            job.kill()
            said = job.communicate()[1].decode("utf-8", "replace")
        self.checks.check(job.returncode == 3 and "has lost data" in said,
                          f"{self.server.name}: an older copy: exit code {job.returncode}: {said}")

    def pair(self):
        """A job that is killed six commits after its checkpoint: plain, those come twice; exactly-once, nothing does."""
        for is_plain in (True, False):
            self.table(self.server.tables["seen"].format(table="seen"))
            more = ["--plain", "--sink-option", "sink.buffer-flush.interval=100ms"] if is_plain else []
            interval = "3s" if is_plain else "300ms"
            bounded = self.command("seen", "--parallelism", "1", "--checkpoint-interval", interval, *more)
            process = subprocess.Popen([each for each in bounded if each != "--bounded"], stdin=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            stored, commits, count, deadline = None, 0, 0, time.monotonic() + 60
            while commits < 6 and process.poll() is None and time.monotonic() < deadline:
                with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
                    log.write('{"app_id":"app1"}\n' * 10)
                self.records += 10
                time.sleep(0.01)
                newest = blackbox.checkpoints(self.state)[-1:] if os.path.isdir(self.state) else []
                before, count = count, int(self.server.rows("SELECT count(*) FROM seen")[0][0])
                if newest != stored and is_plain:
                    stored, commits = newest, 0
                elif newest and newest[-1] > 1 and count > before:
                    commits += 1
            process.kill()
            process.communicate()
            name = f"{self.server.name}, {'plain' if is_plain else 'exactly-once'}"
            self.checks.check(commits == 6, f"{name}: {commits} commits after the checkpoint")
            count = int(self.server.rows("SELECT count(*) FROM seen")[0][0])
            code, said = blackbox.run(bounded, timeout=60)
            restored = re.search(r"restored checkpoint \d+ \((\d+) records before it\)", said)
            self.checks.check(code == 0 and restored, f"{name}: exit code {code}: {said[-900:]}")
            self.checks.check(("rows can come twice" in said) == is_plain, f"{name}: what the log says: {said[-900:]}")
            query = "SELECT count(*), count(DISTINCT position) FROM seen"
            rows, different = map(int, self.server.rows(query)[0])
            doubled = count - int(restored[1]) if is_plain and restored else 0
            self.checks.check(different == self.records and rows - different == doubled and (doubled > 0) == is_plain,
                              f"{name}: {self.records} records, {rows} rows, {different} different, {doubled} committed "
                              "after the checkpoint")
            has_markers = self.server.rows(self.server.has_table.format(table="weir_commits")) == [("1",)]
            self.checks.check(has_markers != is_plain, f"{name}: a table of markers: {has_markers}")
            print(f"  {name}: {self.records} records, rows lost {self.records - different}, rows doubled {rows - different}")

    def postgres(self):
        pv = self.server.tables["pv"].format(table="pv")
        self.table(pv.replace("CREATE TABLE", "CREATE UNLOGGED TABLE"))
        self.expect("an unlogged table", 4, ["UNLOGGED"], "pv")
        self.table("CREATE TABLE base (app_id text PRIMARY KEY, pv bigint)", "CREATE VIEW pv AS SELECT * FROM base")
        self.expect("a view", 4, ["is a view"], "pv")
        self.server.rows("DROP VIEW pv; DROP TABLE base")
        self.table(pv)
        self.server.rows(f"DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN PASSWORD '{self.server.password}'; "
                         "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        self.expect("no right to write", 4, ["may not write", "GRANT"], "pv", user="poor")
        self.server.rows("GRANT ALL ON pv TO poor")
        self.expect("no right to make the markers", 4, ["CREATE TABLE weir_commits", "GRANT"], "pv", user="poor")
        self.server.rows("DROP OWNED BY poor; DROP ROLE poor")
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"nul\\u0000here"}\n')
        self.table(pv)
        self.expect("a character NUL", 4, ["app_id = 'nul\\x00here'", "NUL"], "pv")


    def mariadb(self):
        pv = self.server.tables["pv"].format(table="pv")
        for engine in ("MyISAM", "Aria", "MEMORY"):
            self.table(pv + " ENGINE = " + engine)
            self.expect("engine " + engine, 4, [engine, "no transactions", "InnoDB"], "pv")
        self.table("CREATE TABLE base (app_id varchar(255) COLLATE utf8mb4_bin PRIMARY KEY, pv bigint)",
                   "CREATE VIEW pv AS SELECT * FROM base")
        self.expect("a view", 4, ["is a VIEW"], "pv")
        self.server.rows("DROP VIEW pv; DROP TABLE base")
        self.table(pv.replace("utf8mb4_nopad_bin", "utf8mb4_general_ci"))
        self.expect("a collation that folds case", 4, ['column "app_id"', "collation", "utf8mb4_bin"], "pv")
        self.table(pv.replace("pv bigint", "pv bigint, other int UNIQUE"))
        self.expect("another unique index", 4, ["another unique index"], "pv")
        self.table(pv.replace(" PRIMARY KEY, pv bigint", ", pv bigint, id int PRIMARY KEY AUTO_INCREMENT, UNIQUE (app_id)"))
        self.expect("a key that counts up beside the sink's", 0, [], "pv")
        self.checks.check(self.server.rows("SELECT sum(pv) FROM pv") == [(str(self.records + 1),)], "mariadb: a second key")
        self.table(pv.replace("utf8mb4_nopad_bin", "utf8mb4_bin"))
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"it\'s \\\\ "}\n')
        self.expect("a space at the end of a key", 4, ["app_id = 'it's", "ends with a space"], "pv")
        self.table(pv)
        self.expect("the same, told apart", 0, [], "pv")
        self.checks.check(self.server.rows("SELECT concat('[', app_id, ']') FROM pv WHERE app_id LIKE 'it%'") ==
                          [("[it's \\ ]",)], "mariadb: quotes, backslashes, spaces")
        self.table(pv)
        self.server.rows(f"CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '{self.server.password}'; "
                         "GRANT SELECT, INSERT, UPDATE, DELETE ON `out`.pv TO poor@'%'")
        self.expect("no right to make the markers", 4, ["CREATE TABLE weir_commits", "GRANT"], "pv", user="poor")


def live_on(kind, seed, options):
    """All that one server goes through; returns its checks' verdict as lines."""
    checks = blackbox.Checks()
    folder = tempfile.mkdtemp(prefix=f"weir-{kind}-")
    server = sql_servers.make(kind, os.path.join(folder, "server"))
    killed, counts = collections.Counter(), collections.Counter()
    try:
        if options.only != "histories":
            cases = Cases(server, checks)
            cases.common()
            getattr(cases, kind)()
            shutil.rmtree(cases.folder)
        chosen = range(options.histories) if options.history is None else [options.history]
        for index in chosen if options.only != "cases" else []:
            history = History(seed, index, kills.CYCLES_PER_HISTORY, server)
            fine = history.live()
            killed.update(history.kills)
            counts.update(history.counts)
            counts.update({f"cut {action} {word.decode()}": n for (action, word), n in history.proxy.cuts.items()})
            checks.check(fine, f"{kind}: {history.failure}\n  its folder: {history.folder}")
            if fine:
                shutil.rmtree(history.folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return kind, checks.passed, checks.failures, killed, counts


def main():
    parser = argparse.ArgumentParser(description="kills jobs, connections and servers, and compares tables with their input")
    parser.add_argument("--servers", default="postgres,mariadb")
    parser.add_argument("--histories", type=int, default=6)
    parser.add_argument("--history", type=int)
    parser.add_argument("--only", choices=["cases", "histories"])
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    options = parser.parse_args()
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    checks = blackbox.Checks()
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for future in [pool.submit(live_on, kind, options.seed, options) for kind in options.servers.split(",")]:
            kind, passed, failures, killed, counts = future.result()
            checks.passed += passed
            checks.failures += failures
            print(f"  {kind}: killed " + ", ".join(f"{phase} {killed[phase]}" for phase in kills.PHASES))
            print("    " + ", ".join(f"{name} {counts[name]}" for name in sorted(counts)))
    return checks.verdict()


if __name__ == "__main__":
    sys.exit(main())
