"""Real database servers for the tests: started in a folder of their own on loopback, killed, started again, asked by their
own clients (psql, mariadb), which know nothing of weir. And a proxy between a job and its server that cuts connections at
chosen words."""
import os
import pwd
import signal
import socket
import subprocess
import threading
import time

FIELD, RECORD = "\x1f", "\x1e"


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


class Server:
    """What both have in common: a folder, a port, a process that runs as a user without rights where the test is root."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        os.makedirs(folder, exist_ok=True)
        self.user = {"user": self.account, "group": self.account} if os.getuid() == 0 else {}
        if self.user:
            entry = pwd.getpwnam(self.account)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            os.chmod(os.path.dirname(folder), 0o755)

    def run(self, command):
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, cwd="/", **self.user)

    def start(self):
        with open(os.path.join(self.folder, "log.txt"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            **self.user)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None:
                time.sleep(0.5)  # what a killed server leaves behind can be in the way for a moment
                return self.start() if time.monotonic() < deadline - 30 else self.fail()
            if time.monotonic() > deadline:
                self.fail()
            time.sleep(0.1)
        return self

    def fail(self):
        with open(os.path.join(self.folder, "log.txt"), "rb") as log:
            raise RuntimeError("the server does not start: " + log.read().decode("utf-8", "replace")[-2000:])

    def answers(self):
        try:
            self.rows("SELECT 1")
            return True
        except RuntimeError:
            return False

    def rows(self, query, database=None):
        """The rows of a query, as tuples of texts."""
        done = subprocess.run(self.client(database or self.database), input=query.encode(), capture_output=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))
        return self.parse(done.stdout.decode("utf-8", "surrogateescape"))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.gentle)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


class Postgres(Server):
    name, account, scheme, gentle, database = "postgres", "postgres", "postgresql", signal.SIGINT, "out"

    def __init__(self, folder):
        super().__init__(folder)
        self.bin = max((os.path.join("/usr/lib/postgresql", each, "bin") for each in os.listdir("/usr/lib/postgresql")))
        self.data = os.path.join(folder, "data")
        secret = os.path.join(folder, "password")
        with open(secret, "w", encoding="ascii") as file:
            file.write("secret of postgres\n")
        os.chmod(secret, 0o644)
        self.password_file = secret
        self.run([os.path.join(self.bin, "initdb"), "-D", self.data, "-U", "weir", "-A", "scram-sha-256", "--pwfile", secret,
                  "--encoding=UTF8", "--locale=C"])
        self.start()
        self.rows("CREATE DATABASE out", "postgres")

    def command(self):
        return [os.path.join(self.bin, "postgres"), "-D", self.data, "-p", str(self.port), "-c", "max_connections=30", "-c",
                "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", "-c", "shared_buffers=64MB"]

    def kill(self):
        """The postmaster; its children notice, and must be gone before another can start."""
        super().kill()
        time.sleep(0.3)

    def client(self, database):
        os.environ["PGPASSWORD"] = "secret of postgres"
        return ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-F", FIELD, "-R", RECORD, "-h", "127.0.0.1", "-p",
                str(self.port), "-U", "weir", database]

    def answers(self):
        try:
            self.rows("SELECT 1", "postgres")
            return True
        except RuntimeError:
            return False

    @staticmethod
    def parse(text):
        text = text.rstrip("\n")
        return [tuple(row.split(FIELD)) for row in text.split(RECORD)] if text else []

    tables = {"pv": "CREATE TABLE {table} (app_id text PRIMARY KEY, pv bigint)",
              "seen": "CREATE TABLE {table} (partition text, position bigint, app_id text)"}
    has_table = "SELECT count(*) FROM information_schema.tables WHERE table_name = '{table}'"


class MariaDB(Server):
    name, account, scheme, gentle, database = "mariadb", "mysql", "mysql", signal.SIGTERM, "out"

    def __init__(self, folder):
        super().__init__(folder)
        self.data = os.path.join(folder, "data")
        self.password_file = os.path.join(folder, "password")
        with open(self.password_file, "w", encoding="ascii") as file:
            file.write("secret of mariadb\n")
        self.run(["mariadb-install-db", "--no-defaults", "--datadir=" + self.data, "--skip-test-db",
                  "--auth-root-authentication-method=normal"])
        first = os.path.join(folder, "first.sql")
        with open(first, "w", encoding="ascii") as file:
            file.write("DELETE FROM mysql.global_priv WHERE User = '';\nCREATE DATABASE IF NOT EXISTS out;\n"
                       "FLUSH PRIVILEGES;\nCREATE OR REPLACE USER weir@'%' IDENTIFIED BY 'secret of mariadb';\n"
                       "GRANT ALL ON *.* TO weir@'%' WITH GRANT OPTION;\n".replace("EXISTS out", "EXISTS `out`"))
        os.chmod(first, 0o644)
        self.first = ["--init-file=" + first]
        self.start()
        self.first = []

    def command(self):
        return ["mariadbd", "--no-defaults", "--datadir=" + self.data, "--port", str(self.port), "--bind-address=127.0.0.1",
                "--socket=" + os.path.join(self.folder, "socket"), "--pid-file=" + os.path.join(self.folder, "pid"),
                "--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4"] + self.first

    def client(self, database):
        os.environ["MYSQL_PWD"] = "secret of mariadb"
        return ["mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names", "-h", "127.0.0.1", "-P",
                str(self.port), "-u", "weir", "--default-character-set=utf8mb4", database]

    @staticmethod
    def parse(text):
        return [tuple(row.split("\t")) for row in text.split("\n")[:-1]]

    tables = {"pv": "CREATE TABLE {table} (app_id varchar(200) COLLATE utf8mb4_nopad_bin PRIMARY KEY, pv bigint)",
              "seen": "CREATE TABLE {table} (`partition` text, position bigint, app_id text)"}
    has_table = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'out' AND table_name = '{table}'"


def make(kind, folder):
    return {"postgres": Postgres, "mariadb": MariaDB}[kind](folder)


class Proxy(threading.Thread):
    """Passes bytes between a job and its server, and cuts. `rules` is a list of (word, action, chance): when the client says
    the word, the connection is cut before the server hears it ("before"), or after the server has answered ("after": the
    answer is lost), or the client gets the answer late ("late")."""

    def __init__(self, upstream, rng):
        super().__init__(daemon=True)
        self.upstream, self.rng, self.rules = upstream, rng, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cuts = {}
        self.pairs = []
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
