"""Real database servers for the tests: started in a folder of their own on loopback, killed, started again, asked by their
own clients (psql, mariadb), which know nothing of weir. And a proxy between a job and its server that cuts connections at
chosen words."""
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

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        os.chmod(os.path.dirname(folder), 0o755)  # where the test is root, the server is somebody else
        self.password_file = os.path.join(folder, "password")
        self.start()
        self.port = int(self.read("port"))
        self.password = self.read("password")
        os.environ[self.password_variable] = self.password

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="ascii") as file:
            return file.read().strip()

    def act(self, verb):
        """Returns when it is done: the server answers, or its process is gone."""
        starter = os.path.join(STARTERS, self.name + ".sh")
        done = subprocess.run([starter, verb, self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))

    def start(self):
        self.act("start")

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
    has_table = "SELECT count(*) FROM information_schema.tables WHERE table_name = '{table}'"


class MariaDB(Server):
    name, scheme, password_variable = "mariadb", "mysql", "MYSQL_PWD"

    def client(self, database):
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
