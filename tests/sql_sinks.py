#!/usr/bin/env python3
"""Jobs that write to a real database server, with everything killed that can be killed: nothing lost, nothing doubled.

Usage: tests/sql_sinks.py [--servers postgres,mariadb] [--mysql mysql9] [--histories N] [--seed S] [--history I] [--only cases|histories]

A history is one of tests/kills.py (pv with a key, or seen, which inserts into a table without one; the log grows, bad
records, other parallelisms, SIGKILL, SIGSTOP, SIGTERM), whose table is on a server behind a proxy. The proxy cuts
connections at named points: before the server hears of the marker, of rows or of COMMIT, and after it has answered, so that
the answer is lost. The server itself is killed and started again, and stays away for ten checkpoints. What is in the table
is read by the server's own client. A case is one bad target or setting: the sentence, the exit code, and that nothing is
out.
"""
import argparse
import collections
import json
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

MARKER, COMMIT = b"SET checkpoint", b"COMMIT"


class History(kills.History):
    stop_codes = (0, 1, 4)
    # A job whose server was away waits to start again, and has nothing that it could make a last checkpoint of; that is code
    # 1, and no other way to it is right here, for the server has been back for less than the 30 s that a stop may take.
    no_last_checkpoint = "stopped while it waited to restart, without a last checkpoint; nothing is lost"

    def __init__(self, seed, index, cycles, server):
        super().__init__(seed, index, cycles, sink=server.name)
        self.server = server
        self.proxy = sql_servers.Proxy(lambda: server.port, random.Random(f"{seed}/{index}/proxy"))
        sink = f"{server.scheme}://weir@127.0.0.1:{self.proxy.port}/{server.database}"
        self.command[self.command.index("--sink") + 1] = sink
        self.command += ["--sink-option", "password-file=" + server.password_file, "--sink-option", "ssl-mode=disable"]
        self.out = self.target = self.rows
        server.rows(f"DROP TABLE IF EXISTS {self.job}; DROP TABLE IF EXISTS weir_commits;")
        server.rows(server.tables[self.job].format(table=self.job))

    def rows(self, query):
        if self.server.name != "postgres":
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
            word = self.rng.choice([MARKER, self.server.rows_words[self.job], COMMIT, COMMIT])
            self.proxy.rules = [(word, self.rng.choice(["before", "after", "after", "late"]), self.rng.choice([0.2, 0.6]))]
        elif draw < 0.6:
            self.counts["server killed"] += 1
            self.server.kill()
            return self.server.start
        elif draw < 0.75:
            self.proxy.cut_all()
            self.counts["all connections cut"] += 1
        return lambda: None

    def stop(self, process):
        if not super().stop(process):
            return False
        self.counts[f"stopped, code {process.returncode}"] += 1
        return (process.returncode != 1 or self.no_last_checkpoint in self.said() or
                self.fail(f"SIGTERM: exit code 1: {self.said()}"))

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

    def __init__(self, server, checks, seed):
        self.server, self.checks, self.seed = server, checks, seed
        self.folder = tempfile.mkdtemp(prefix="weir-sql-cases-")
        self.source = os.path.join(self.folder, "log")
        os.mkdir(self.source)
        self.records = 3000
        with open(os.path.join(self.source, "p0.ndjson"), "w", encoding="ascii") as log:
            for i in range(self.records):
                log.write('{"app_id":"app%d"}\n' % (i % 100))
        self.count = 0

    def command(self, job, *more, port=None, database=None, user="weir", password=True, state=None):
        self.count += 1
        self.state = state or os.path.join(self.folder, f"state-{self.count}")
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
        self.yesterday()
        self.same_sink()
        self.away()
        self.left_out()
        self.left_out_with_kills()
        self.column_dropped()
        self.column_must_be_given()
        self.column_takes_no_null()
        self.disk_full()
        self.session()
        self.tls()
        self.locks_of_the_dead()

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
        self.more_records(1)
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
                if commits == 6 and is_plain:  # held still, so that no checkpoint comes after the look
                    process.send_signal(signal.SIGSTOP)
                    if blackbox.checkpoints(self.state)[-1:] != stored:
                        commits = 0
                        process.send_signal(signal.SIGCONT)
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

    # ---- a job that runs ----

    def begin(self, job, *more, **place):
        """A job without end; what it says goes to self.said."""
        command = [each for each in self.command(job, *more, **place) if each != "--bounded"]
        self.said_path = self.state + "-said"
        with open(self.said_path, "wb") as said:
            return subprocess.Popen(command + ["--checkpoint-interval", "100ms"], stdin=subprocess.DEVNULL, stderr=said)

    def said(self):
        with open(self.said_path, encoding="utf-8", errors="replace") as said:
            return said.read()

    def more_records(self, count, app="app1"):
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"%s"}\n' % app * count)
        self.records += count

    def wait(self, holds, seconds=60):
        """Whether it came to hold; a server that is away says no."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if holds():
                    return True
            except RuntimeError:
                pass
            time.sleep(0.1)
        return False

    def counts(self, query, number):
        return lambda: self.server.rows(query) == [(str(number),)]

    def end(self, process, name, code=0, words=()):
        """Stops it (code 0), or waits for its own end."""
        if code == 0:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said = self.said()
        holds = process.returncode == code and all(word in said for word in words) and self.hides_passwords(said)
        self.checks.check(holds, f"{self.server.name}, {name}: exit code {process.returncode}, not {code} with {words}: "
                          f"{said[-900:]}")

    def yesterday(self):
        """The database is put back from a copy between two runs."""
        self.table(self.server.tables["pv"].format(table="pv"))
        job = self.begin("pv")
        self.checks.check(self.wait(self.counts("SELECT sum(pv) FROM pv", self.records)), f"{self.server.name}: no first run")
        self.end(job, "the first run")
        self.server.rows("DROP TABLE IF EXISTS old_pv; DROP TABLE IF EXISTS old_commits; CREATE TABLE old_pv AS SELECT * FROM "
                         "pv; CREATE TABLE old_commits AS SELECT * FROM weir_commits")
        state = self.state
        self.more_records(50)
        again = self.begin("pv", state=state)
        self.checks.check(self.wait(self.counts("SELECT sum(pv) FROM pv", self.records)), f"{self.server.name}: no second run")
        self.end(again, "the second run")
        self.server.rows("DELETE FROM pv; INSERT INTO pv SELECT * FROM old_pv; DELETE FROM weir_commits; INSERT INTO "
                         "weir_commits SELECT * FROM old_commits; DROP TABLE old_pv; DROP TABLE old_commits")
        before = self.server.rows("SELECT * FROM pv ORDER BY 1"), self.server.rows("SELECT * FROM weir_commits")
        self.end(self.begin("pv", state=state), "yesterday's copy", 3, ["--accept-duplicates", "--accept-loss"])
        after = self.server.rows("SELECT * FROM pv ORDER BY 1"), self.server.rows("SELECT * FROM weir_commits")
        self.checks.check(before == after, f"{self.server.name}, yesterday's copy: a refused start changed the database")
        self.more_records(1)
        job = self.begin("pv", "--accept-duplicates", state=state)
        query = "SELECT pv FROM pv WHERE app_id = 'app1'"
        self.checks.check(self.wait(lambda: int(self.server.rows(query)[0][0]) >= 51), f"{self.server.name}: not accepted")
        self.end(job, "yesterday's copy, accepted")

    def same_sink(self):
        """Another folder, the same name and sink, while the first runs: it is refused, and the first goes on."""
        self.table(self.server.tables["pv"].format(table="pv"))
        job = self.begin("pv")
        said = self.said_path
        holds = self.wait(self.counts("SELECT sum(pv) FROM pv", self.records))
        self.expect("the same sink from another folder", 3, ["holds output of an earlier run", "--fresh"], "pv")
        self.more_records(3)
        holds = holds and self.wait(self.counts("SELECT sum(pv) FROM pv", self.records))
        self.checks.check(holds, f"{self.server.name}: the first of two jobs with one sink did not go on")
        self.said_path = said
        self.end(job, "the first of two jobs with one sink")

    def away(self):
        """No server at the start, then in the middle."""
        self.table(self.server.tables["pv"].format(table="pv"))
        self.server.stop()
        job = self.begin("pv")
        time.sleep(1.5)
        self.server.start()
        holds = self.wait(self.counts("SELECT sum(pv) FROM pv", self.records))
        self.server.kill()
        self.more_records(20)
        time.sleep(1)
        self.server.start()
        holds = holds and self.wait(self.counts("SELECT sum(pv) FROM pv", self.records))
        self.checks.check(holds, f"{self.server.name}: away at the start and later: {self.said()[-900:]}")
        self.end(job, "a server that was away", 0, ["cannot connect"])

    # ---- rows that are left out ----

    def dead_rows(self):
        """(position, app_id) of all files of the job's folder."""
        rows = []
        for name in os.listdir(self.state):
            if not name.startswith("dead-letter.seen."):
                continue
            with open(os.path.join(self.state, name), encoding="utf-8") as file:
                for line in map(json.loads, file):
                    assert name == f"dead-letter.{line['sink']}.{line['checkpoint']}.ndjson" and line["op"] == "+I"
                    assert "one_is_bad" in line["error"], line
                    rows.append(line["row"]["position"])
        return sorted(rows)

    def check_left_out(self, name):
        rows = sorted(int(row[0]) for row in self.server.rows("SELECT position FROM seen"))
        dead = self.dead_rows()
        wanted = [position for position in range(self.records) if position % 500 == 7]
        self.checks.check(dead == wanted and sorted(rows + dead) == list(range(self.records)),
                          f"{self.server.name}, {name}: {self.records} records, {len(rows)} rows, {len(dead)} left out, not "
                          f"{len(wanted)}; the job's folder is {self.state}")
        return len(dead)

    def left_out(self):
        seen = self.server.tables["seen"].format(table="seen")
        self.table(seen, "ALTER TABLE seen ADD CONSTRAINT one_is_bad CHECK (position % 500 <> 7)")
        metrics = os.path.join(self.folder, "metrics")
        handler = ("--sink-option", "failure-handler=dead-letter")
        wanted = len([position for position in range(self.records) if position % 500 == 7])
        job = self.begin("seen", *handler, "--metrics-file", metrics)

        def is_counted():
            if not os.path.exists(metrics):
                return False
            with open(metrics, encoding="utf-8") as file:
                return json.load(file)["rowsRejected"] == wanted

        self.checks.check(self.wait(is_counted, 30), f"{self.server.name}: rowsRejected is not {wanted}")
        self.end(job, "rows that are left out", 0, [f"{wanted} rows were not taken"])
        self.check_left_out("rows that are left out")
        self.expect("leaving out with --plain", 2, ["does not go with --plain"], "seen", "--plain", *handler)

    def left_out_with_kills(self):
        """The process is killed, and connections are cut before and after the server hears COMMIT."""
        seen = self.server.tables["seen"].format(table="seen")
        self.table(seen, "ALTER TABLE seen ADD CONSTRAINT one_is_bad CHECK (position % 500 <> 7)")
        rng = random.Random(f"{self.seed}/left out")
        proxy = sql_servers.Proxy(lambda: self.server.port, rng)
        more = ("--sink-option", "failure-handler=dead-letter", "--sink-option", "ssl-mode=disable")
        self.command("seen")
        state = self.state
        for run in range(8):
            job = self.begin("seen", *more, port=proxy.port, state=state)
            proxy.rules = [(COMMIT, rng.choice(["before", "after", "late"]), 0.5), (b"SAVEPOINT", "before", 0.02)]
            for _ in range(rng.randint(2, 6)):
                self.more_records(rng.randint(1, 900))
                time.sleep(rng.random() * 0.2)
            job.kill()
            job.wait()
        proxy.rules = []
        job = self.begin("seen", *more, port=proxy.port, state=state)
        wanted = self.records - len([p for p in range(self.records) if p % 500 == 7])
        self.wait(self.counts("SELECT count(*) FROM seen", wanted))
        self.end(job, "rows that are left out, with kills")
        self.check_left_out("rows that are left out, with kills")
        self.checks.check(sum(proxy.cuts.values()) > 0, f"{self.server.name}: no connection was cut")

    def column_dropped(self):
        """The table is changed under the job: that is no row's fault, so none is left out."""
        self.table(self.server.tables["seen"].format(table="seen"))
        job = self.begin("seen", "--sink-option", "failure-handler=dead-letter")
        holds = self.wait(self.counts("SELECT count(*) FROM seen", self.records))
        self.server.rows("ALTER TABLE seen DROP COLUMN app_id")
        self.more_records(5)
        self.end(job, "a column is dropped", 4, ["app_id"])
        self.checks.check(holds and not self.letters() and
                          self.server.rows("SELECT count(*) FROM seen") == [(str(self.records - 5),)],
                          f"{self.server.name}: a column is dropped: rows were left out or written")

    def column_must_be_given(self):
        """A column that the sink does not write becomes NOT NULL, without a default, under the job: no row would be taken."""
        self.table(self.server.tables["seen"].format(table="seen").replace("app_id text", "app_id text, extra int"))
        job = self.begin("seen", "--sink-option", "failure-handler=dead-letter")
        holds = self.wait(self.counts("SELECT count(*) FROM seen", self.records))
        self.server.rows("UPDATE seen SET extra = 1; " + self.server.not_null.format(table="seen", column="extra", type="int"))
        self.more_records(5)
        self.end(job, "a column that must be given now", 4, ["extra"])
        self.checks.check(holds and not self.letters() and self.counts("SELECT count(*) FROM seen", self.records - 5)(),
                          f"{self.server.name}: a column that must be given now: rows were left out or written")

    def column_takes_no_null(self):
        """A field that can be NULL. Its column becomes NOT NULL under the job: the table was changed, and that is said. It was
        NOT NULL before: rows with NULL are not taken, and left out."""
        source, records = self.source, self.records
        self.source, self.records = os.path.join(self.folder, "notes"), 0
        os.mkdir(self.source)
        program, make = os.path.join("..", "tests", "notes_job"), "CREATE TABLE notes (position bigint, note text{})"
        handler = ("--sink-option", "failure-handler=dead-letter")
        self.server.rows("DROP TABLE IF EXISTS notes; DROP TABLE IF EXISTS weir_commits;")
        self.server.rows(make.format(""))
        self.notes('"a"', "null", '"b"')
        job = self.begin(program, *handler)
        holds = self.wait(self.counts("SELECT count(*) FROM notes", 3))
        self.server.rows("UPDATE notes SET note = 'none' WHERE note IS NULL; " +
                         self.server.not_null.format(table="notes", column="note", type="text"))
        self.notes('"c"')
        holds = holds and self.wait(self.counts("SELECT count(*) FROM notes", 4))
        self.notes('"d"', "null")
        self.end(job, "a column takes no NULL any more", 4, ['column "note"', "takes no NULL", "changed while the job runs"])
        self.checks.check(holds and not self.letters() and self.counts("SELECT count(*) FROM notes", 4)(),
                          f"{self.server.name}: a column takes no NULL any more: rows were left out or written")
        self.server.rows("DROP TABLE IF EXISTS notes; DROP TABLE IF EXISTS weir_commits;")
        self.server.rows(make.format(" NOT NULL"))
        job = self.begin(program, *handler)
        holds = self.wait(self.counts("SELECT count(*) FROM notes", 4))
        self.end(job, "a column that took no NULL before", 0, ["2 rows were not taken"])
        self.checks.check(holds and self.letters(),
                          f"{self.server.name}: a column that took no NULL before: no row was left out")
        self.server.rows("DROP TABLE notes")
        self.source, self.records = source, records

    def notes(self, *texts):
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write("".join('{"note":%s}\n' % text for text in texts))

    def letters(self):
        return [name for name in os.listdir(self.state) if name.startswith("dead-letter")]

    # ---- the server's troubles ----

    def disk_full(self):
        """The table lies on a small disk, which is full for a while."""
        if os.geteuid() != 0:
            print("  left out: a full disk, which needs root")
            return
        small = os.path.join(self.server.folder, "small")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", small], check=True)
        try:
            disk = os.path.join(small, "space")
            os.mkdir(disk)
            shutil.chown(disk, {"postgres": "postgres", "mariadb": "mysql", "mysql9": "root"}[self.server.name])
            self.table(self.server.table_in.format(folder=disk))
            filler = os.path.join(small, "filler")
            with open(filler, "wb") as file:
                left = os.statvfs(small)
                file.write(b"x" * max(0, left.f_bavail * left.f_bsize - 400 * 1024))
            self.more_records(20000, "app" * 30)
            job = self.begin("seen")
            full = self.wait(lambda: "could not be committed, it is tried again" in self.said(), 30)
            time.sleep(1)
            self.checks.check(full and job.poll() is None, f"{self.server.name}: a full disk: {self.said()[-900:]}")
            os.remove(filler)
            if not self.wait(lambda: self.server.rows("SELECT 1") != [], 3):
                print(f"  {self.server.name}: the server ended itself on the full disk, and is started again")
                self.server.start()
            holds = self.wait(self.counts("SELECT count(*) FROM seen", self.records))
            self.checks.check(holds, f"{self.server.name}: after a full disk: {self.said()[-900:]}")
            self.end(job, "a disk that was full", 0, ["is committed, after"])
            self.table()
            if self.server.name == "postgres":
                self.server.rows("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", "-l", small], check=True)

    def session(self):
        """What the session is set to, on an encrypted connection; and who can see the password."""
        self.table(self.server.tables["seen"].format(table="seen"))
        self.server.note_settings()
        ca = os.path.join(self.server.folder, "tls", "ca.pem")
        job = self.begin("seen", "--sink-option", "ssl-mode=verify-full", "--sink-option", "ssl-root-cert=" + ca)
        self.wait(self.counts("SELECT count(*) FROM seen", self.records))
        noted = dict(self.server.rows("SELECT DISTINCT name, value FROM noted"))
        self.checks.check(noted == self.server.settings, f"{self.server.name}: the session is set to {noted}")
        seen = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, check=True).stdout.decode("utf-8", "replace")
        self.checks.check(self.state in seen and self.server.password not in seen,
                          f"{self.server.name}: ps does not show the job, or shows the password")
        self.end(job, "a verified connection")
        kept = subprocess.run(["grep", "-rl", self.server.password, self.state, self.said_path], capture_output=True)
        self.checks.check(kept.stdout == b"", f"{self.server.name}: the password is in {kept.stdout}")
        self.server.rows("DROP TABLE seen; DROP TABLE noted")

    def tls(self):
        self.table(self.server.tables["pv"].format(table="pv"))
        folder = os.path.join(self.server.folder, "tls")
        for mode, ca, code, word in [("verify-full", "ca.pem", 0, ""), ("verify-full", "wrong-ca.pem", 4, "certificate"),
                                     ("verify-full", "nowhere.pem", 4, "No such file"), ("require", "ca.pem", 3, "earlier run")]:
            words = ["ssl-mode and the certificates", word] if code == 4 else [word]
            if ca == "nowhere.pem" and self.server.name == "postgres":
                words[1] = "does not exist"
            self.expect(f"TLS, {mode} by {ca}", code, words, "pv", "--sink-option", "ssl-mode=" + mode, "--sink-option",
                        "ssl-root-cert=" + os.path.join(folder, ca))

    def locks_of_the_dead(self):
        """The job's machine vanishes in the middle of a transaction: its locks are gone within 60 s."""
        self.table(self.server.tables["seen"].format(table="seen"))
        proxy = sql_servers.Proxy(lambda: self.server.port, random.Random(0))
        job = self.begin("seen", "--sink-option", "ssl-mode=disable", port=proxy.port)
        self.wait(self.counts("SELECT count(*) FROM seen", self.records))
        proxy.rules = [(COMMIT, "hold", 1)]
        self.more_records(10)
        held = self.wait(lambda: proxy.held, 20)
        job.kill()
        job.wait()
        before = self.server.rows("SELECT checkpoint FROM weir_commits")
        free = "BEGIN; SET LOCAL lock_timeout = '1s'; UPDATE weir_commits SET checkpoint = checkpoint; COMMIT"
        if self.server.name != "postgres":
            free = "SET innodb_lock_wait_timeout = 1; BEGIN; UPDATE weir_commits SET checkpoint = checkpoint; COMMIT"

        def is_free():
            self.server.rows(free)
            return True

        was_locked = not self.wait(is_free, 0.5)
        begun = time.monotonic()
        self.checks.check(held and was_locked and self.wait(is_free, 60), f"{self.server.name}: held {held}, locked "
                          f"{was_locked}, and for more than 60 s")
        print(f"  {self.server.name}: locks of a machine that vanished were gone after {time.monotonic() - begun:.0f} s")
        self.checks.check(self.server.rows("SELECT checkpoint FROM weir_commits") == before and
                          self.counts("SELECT count(*) FROM seen", self.records - 10)(),
                          f"{self.server.name}: what a vanished machine did not commit is there")

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
        self.table(self.server.tables["seen"].format(table="seen"), "DROP TABLE IF EXISTS also",
                   "CREATE TABLE also (position bigint)",
                   "CREATE RULE also AS ON INSERT TO seen DO ALSO INSERT INTO also VALUES (NEW.position)")
        self.expect("a table with a rule, which COPY does not know", 0, [], "seen")
        self.checks.check(self.server.rows("SELECT count(*), (SELECT count(*) FROM also) FROM seen") ==
                          [(str(self.records), str(self.records))], "postgres: a rule was passed over")
        self.more_records(1, r"\\N\t\n\r\\.\u00e4")
        self.table(self.server.tables["seen"].format(table="seen"))
        self.expect("a text with all that COPY escapes", 0, [], "seen")
        self.checks.check(self.server.rows(r"SELECT count(*) FROM seen WHERE app_id = E'\\N\t\n\r\\.\u00e4'") == [("1",)],
                          "postgres: a text with all that COPY escapes")
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"nul\\u0000here"}\n')
        self.table(pv)
        self.expect("a character NUL", 4, ["app_id = 'nul\\x00here'", "NUL"], "pv")


    def mysql9(self):
        self.mysql(("MyISAM", "MEMORY"))

    def mariadb(self):
        self.mysql(("MyISAM", "Aria", "MEMORY"))

    def mysql(self, engines):
        pv = self.server.tables["pv"].format(table="pv")
        collation = "utf8mb4_nopad_bin" if self.server.name == "mariadb" else "utf8mb4_0900_bin"
        for engine in engines:
            self.table(pv + " ENGINE = " + engine)
            self.expect("engine " + engine, 4, [engine, "no transactions", "InnoDB"], "pv")
        self.table("CREATE TABLE base (app_id varchar(255) COLLATE utf8mb4_bin PRIMARY KEY, pv bigint)",
                   "CREATE VIEW pv AS SELECT * FROM base")
        self.expect("a view", 4, ["is a VIEW"], "pv")
        self.server.rows("DROP VIEW pv; DROP TABLE base")
        self.table(pv.replace(collation, "utf8mb4_general_ci"))
        self.expect("a collation that folds case", 4, ['column "app_id"', "collation", "utf8mb4_bin"], "pv")
        self.table(pv.replace("pv bigint", "pv bigint, other int UNIQUE"))
        self.expect("another unique index", 4, ["another unique index"], "pv")
        self.table(pv.replace(" PRIMARY KEY, pv bigint", ", pv bigint, id int PRIMARY KEY AUTO_INCREMENT, UNIQUE (app_id)"))
        self.expect("a key that counts up beside the sink's", 0, [], "pv")
        self.checks.check(self.server.rows("SELECT sum(pv) FROM pv") == [(str(self.records),)], "mariadb: a second key")
        self.table(pv.replace(collation, "utf8mb4_bin"))
        with open(os.path.join(self.source, "p0.ndjson"), "a", encoding="ascii") as log:
            log.write('{"app_id":"it\'s \\\\ "}\n')
        self.expect("a space at the end of a key", 4, ["app_id = 'it's", "ends with a space"], "pv")
        self.table(pv)
        self.expect("the same, told apart", 0, [], "pv")
        self.checks.check(self.server.rows("SELECT concat('[', app_id, ']') FROM pv WHERE app_id LIKE 'it%'") ==
                          [("[it's \\ ]",)], "mariadb: quotes, backslashes, spaces")
        self.table(pv)
        self.server.rows(f"DROP USER IF EXISTS poor@'%'; CREATE USER poor@'%' IDENTIFIED BY '{self.server.password}'; "
                         "GRANT SELECT, INSERT, UPDATE, DELETE ON `out`.pv TO poor@'%'")
        self.expect("no right to make the markers", 4, ["CREATE TABLE weir_commits", "GRANT"], "pv", user="poor")


def live_on(kind, seed, options):
    """All that one server goes through; returns its checks' verdict as lines."""
    checks = blackbox.Checks()
    folder = tempfile.mkdtemp(prefix=f"weir-{kind}-")
    server = sql_servers.make(kind, os.path.join(folder, "server"), tls=True)
    killed, counts = collections.Counter(), collections.Counter()
    try:
        if options.only != "histories":
            cases = Cases(server, checks, seed)
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
    parser.add_argument("--mysql", choices=["mariadb", "mysql9"], help="which server speaks MySQL (default: mariadb)")
    parser.add_argument("--histories", type=int, default=6)
    parser.add_argument("--history", type=int)
    parser.add_argument("--only", choices=["cases", "histories"])
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    options = parser.parse_args()
    if options.mysql:
        options.servers = options.servers.replace("mariadb", options.mysql)
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    checks = blackbox.Checks()
    with blackbox.Pool(os.cpu_count()) as pool:
        for future in [pool.submit(live_on, kind, options.seed, options) for kind in options.servers.split(",")]:
            kind, passed, failures, killed, counts = future.result()
            checks.passed += passed
            checks.failures += failures
            print(f"  {kind}: killed " + ", ".join(f"{phase} {killed[phase]}" for phase in kills.PHASES))
            print("    " + ", ".join(f"{name} {counts[name]}" for name in sorted(counts)))
    return checks.verdict()


if __name__ == "__main__":
    sys.exit(main())
