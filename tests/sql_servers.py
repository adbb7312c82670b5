"""Real database servers for the tests: started in a folder of their own on loopback, killed, started again, asked by their
own clients (psql, mariadb), which know nothing of weir. And a proxy between a job and its server that cuts connections at
chosen words."""
import contextlib
import os
import socket
import subprocess
import threading
import time

STARTERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools", "servers")
FIELD, RECORD = "\x1f", "\x1e"


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


class Server:
    """What both have in common: a folder that the starter of tools/servers made, and the server's own client."""

    database = "out"

    def __init__(self, folder, tls=False):
        self.folder, self.words = folder, ["--tls"] if tls else []
        os.makedirs(folder)
        os.chmod(os.path.dirname(folder), 0o755)  # where the test is root, the server is somebody else
        self.password_file = os.path.join(folder, "password")
        try:
            self.start()
        except BaseException:
            with contextlib.suppress(RuntimeError):
                self.kill()
            raise
        self.port = int(self.read("port"))
        self.password = self.read("password")
        os.environ[self.password_variable] = self.password

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="ascii") as file:
            return file.read().strip()

    def act(self, verb, *words):
        """Returns when it is done: the server answers, or its process is gone."""
        starter = os.path.join(STARTERS, self.name + ".sh")
        done = subprocess.run([starter, verb, self.folder, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))

    def start(self):
        self.act("start", *self.words)
        self.words = []  # those of the first start are kept

    def kill(self):
        self.act("kill")

    def stop(self):
        self.act("stop")

    def rows(self, query, database=None):
        """The rows of a query, as tuples of texts."""
        done = subprocess.run(self.client(database or self.database), input=query.encode(), capture_output=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))
        return self.parse(done.stdout.decode("utf-8", "surrogateescape"))


class Postgres(Server):
    name, scheme, password_variable = "postgres", "postgresql", "PGPASSWORD"

    def client(self, database):
        return ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-F", FIELD, "-R", RECORD, "-h", "127.0.0.1", "-p",
                str(self.port), "-U", "weir", database]

    @staticmethod
    def parse(text):
        text = text.rstrip("\n")
        return [tuple(row.split(FIELD)) for row in text.split(RECORD)] if text else []

    tables = {"pv": "CREATE TABLE {table} (app_id text PRIMARY KEY, pv bigint)",
              "seen": "CREATE TABLE {table} (partition text, position bigint, app_id text)"}
    rows_words = {"pv": b"INSERT INTO", "seen": b"COPY "}  # of statements that write rows
    table_in = "CREATE TABLESPACE small LOCATION '{folder}'; CREATE TABLE seen (partition text, position bigint, app_id text) TABLESPACE small"
    # What a session of the job is set to, noted by a trigger of its table; the names, and what each must be.
    settings = {"transaction_isolation": "read committed", "synchronous_commit": "on", "lock_timeout": "10s",
                "statement_timeout": "30s", "idle_in_transaction_session_timeout": "20s", "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "client_connection_check_interval": "5s",
                "ssl": "true"}

    def note_settings(self):
        each = ", ".join(f"('{name}', current_setting('{name}'))" for name in self.settings if name != "ssl")
        self.rows("ALTER DATABASE out SET synchronous_commit = off; DROP TABLE IF EXISTS noted; "
                  "CREATE TABLE noted (name text, value text); CREATE OR REPLACE FUNCTION note() RETURNS trigger AS $$ BEGIN "
                  f"INSERT INTO noted VALUES {each}; INSERT INTO noted SELECT 'ssl', ssl::text FROM pg_stat_ssl WHERE pid = "
                  "pg_backend_pid(); RETURN NULL; END $$ LANGUAGE plpgsql; "
                  "CREATE TRIGGER note AFTER INSERT ON seen FOR EACH STATEMENT EXECUTE FUNCTION note()")
    has_table = "SELECT count(*) FROM information_schema.tables WHERE table_name = '{table}'"
    not_null = "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"


class MariaDB(Server):
    name, scheme, password_variable = "mariadb", "mysql", "MYSQL_PWD"

    def client(self, database):
        return ["mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names", "-h", "127.0.0.1", "-P",
                str(self.port), "-u", "weir", "--default-character-set=utf8mb4", database]

    @staticmethod
    def parse(text):
        return [tuple(row.split("\t")) for row in text.split("\n")[:-1]]

    rows_words = {"pv": b"INSERT INTO", "seen": b"INSERT INTO"}
    table_in = "CREATE TABLE seen (`partition` text, position bigint, app_id text) DATA DIRECTORY = '{folder}'"
    settings = {"tx_isolation": "READ-COMMITTED", "idle_transaction_timeout": "20", "wait_timeout": "30",
                "innodb_lock_wait_timeout": "10", "lock_wait_timeout": "10", "max_statement_time": "30",
                "net_read_timeout": "30", "ssl": "true"}

    session_status = "information_schema.session_status"

    def note_settings(self):
        each = ", ".join(f"('{name}', @@session.{name})" for name in self.settings if name != "ssl")
        self.rows("DROP TABLE IF EXISTS noted; CREATE TABLE noted (name text, value text); "
                  f"CREATE TRIGGER note AFTER INSERT ON seen FOR EACH ROW INSERT INTO noted VALUES {each}, ('ssl', (SELECT "
                  f"if(variable_value <> '', 'true', 'false') FROM {self.session_status} WHERE variable_name = "
                  "'Ssl_cipher'))")

    tables = {"pv": "CREATE TABLE {table} (app_id varchar(200) COLLATE utf8mb4_nopad_bin PRIMARY KEY, pv bigint)",
              "seen": "CREATE TABLE {table} (`partition` text, position bigint, app_id text)"}
    has_table = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'out' AND table_name = '{table}'"
    not_null = "ALTER TABLE {table} MODIFY COLUMN {column} {type} NOT NULL"


class MySQL9(MariaDB):
    name = "mysql9"
    tables = {**MariaDB.tables,
              "pv": "CREATE TABLE {table} (app_id varchar(200) COLLATE utf8mb4_0900_bin PRIMARY KEY, pv bigint)"}
    # It has no limit to the time of a transaction without a statement: wait_timeout is that.
    settings = {"transaction_isolation": "READ-COMMITTED", "wait_timeout": "30", "innodb_lock_wait_timeout": "10",
                "lock_wait_timeout": "10", "net_read_timeout": "30", "ssl": "true"}
    session_status = "performance_schema.session_status"


def make(kind, folder, tls=False):
    return {"postgres": Postgres, "mariadb": MariaDB, "mysql9": MySQL9}[kind](folder, tls)


class Proxy(threading.Thread):
    """Passes bytes between a job and its server, and cuts. `rules` is a list of (word, action, chance): when the client says
    the word, the connection is cut before the server hears it ("before"), or after the server has answered ("after": the
    answer is lost), or the client gets the answer late ("late"), or the server never hears of it nor of the connection's end, as
when the client's machine vanished ("hold")."""

    def __init__(self, upstream, rng):
        super().__init__(daemon=True)
        self.upstream, self.rng, self.rules = upstream, rng, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cuts = {}
        self.pairs, self.held = [], []
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def action(self, data):
        for word, action, chance in self.rules:
            if word in data and self.rng.random() < chance:
                self.cuts[action, word] = self.cuts.get((action, word), 0) + 1
                return action
        return None

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream()), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        self.pairs.append(pair)
        silent = threading.Event()
        threading.Thread(target=self.pass_back, args=(server, client, silent), daemon=True).start()
        try:
            while data := client.recv(1 << 16):
                action = self.action(data)
                if action == "before":
                    break
                if action == "hold":
                    self.pairs.remove(pair)
                    self.held.append(pair)
                    return
                if action == "after":
                    silent.set()
                    server.sendall(data)
                    time.sleep(0.3)
                    break
                if action == "late":
                    time.sleep(self.rng.random() * 0.3)
                server.sendall(data)
        except OSError:
            pass
        self.close(pair)

    def pass_back(self, server, client, silent):
        try:
            while data := server.recv(1 << 16):
                if not silent.is_set():
                    client.sendall(data)
        except OSError:
            pass
        self.close((client, server))

    def close(self, pair):
        for each in pair:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        if pair in self.pairs:
            self.pairs.remove(pair)

    def cut_all(self):
        for pair in list(self.pairs):
            self.close(pair)
