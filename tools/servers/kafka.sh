#!/bin/sh
# tools/servers/kafka.sh start DIR [--port P] [--tls] [--sasl] | stop DIR | kill DIR | restart DIR: an Apache Kafka broker.
#
# One node (KRaft) in the folder DIR, on 127.0.0.1 only. `start` makes the folder where it is new, and returns when the broker
# answers and every partition has a leader. `stop` is SIGTERM, `kill` SIGKILL; both return when the process is gone. `restart`
# stops it, if it runs, and starts it with the settings it had. Options are those of the first start.
#
#   DIR/port            PLAINTEXT, without a password
#   DIR/port-tls        with --tls: DIR/tls/ca.pem is the CA of its certificate, DIR/tls/wrong-ca.pem another one
#   DIR/port-sasl       with --sasl: user weir, password DIR/password, by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
#   DIR/port-sasl-tls   with both
#   DIR/pid, DIR/log.txt, DIR/server.properties, DIR/data
#
# The jars are those that `tools/install.sh kafka` keeps in ${WEIR_CACHE:-~/.cache/weir}/kafka-4.4.0.
set -eu
name=kafka.sh
. "$(dirname "$0")/common.sh"
cache=${WEIR_CACHE:-$HOME/.cache/weir}/kafka-4.4.0
stop_signal=TERM

listener() { # NAME PORT
  listeners="$listeners,$1://127.0.0.1:$2"
}

tls_settings() { # LISTENER
  echo "listener.name.$1.ssl.keystore.type=PEM"
  echo "listener.name.$1.ssl.keystore.location=$dir/tls/server.pem"
}

sasl_settings() { # LISTENER
  modules=org.apache.kafka.common.security
  echo "listener.name.$1.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
  echo "listener.name.$1.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required user_weir=\"$password\";"
  for mechanism in scram-sha-256 scram-sha-512; do
    echo "listener.name.$1.$mechanism.sasl.jaas.config=$modules.scram.ScramLoginModule required;"
  done
}

settings() {
  cat <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=$listeners
advertised.listeners=${listeners#*,}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL
log.dirs=$dir/data
auto.create.topics.enable=false
# After a kill the broker waits for its own dead session before it is let in again; below 3 s a busy machine loses live ones.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=200
log.index.size.max.bytes=1048576
log.retention.check.interval.ms=2000
num.network.threads=2
num.io.threads=4
SETTINGS
  if [ -n "$tls" ]; then tls_settings tls; fi
  if [ -n "$sasl" ]; then sasl_settings sasl; fi
  if [ -n "$tls" ] && [ -n "$sasl" ]; then tls_settings sasltls && sasl_settings sasltls; fi
}

java_run() {
  java -cp "$cache/lib/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true "$@"
}

prepare() {
  tls="" sasl="" password="" controller_port=$(free_port)
  case " $chosen " in *" --tls "*) tls=yes ;; esac
  case " $chosen " in *" --sasl "*) sasl=yes ;; esac
  rm -rf "$dir/data" # of a first start that did not get this far
  listeners="CONTROLLER://127.0.0.1:$controller_port"
  listener PLAINTEXT "$port"
  if [ -n "$tls" ]; then
    make_certificates
    free_port >"$dir/port-tls"
    listener TLS "$(cat "$dir/port-tls")"
  fi
  if [ -n "$sasl" ]; then
    password=$(openssl rand -hex 12)
    echo "$password" >"$dir/password"
    free_port >"$dir/port-sasl"
    listener SASL "$(cat "$dir/port-sasl")"
  fi
  if [ -n "$tls" ] && [ -n "$sasl" ]; then
    free_port >"$dir/port-sasl-tls"
    listener SASLTLS "$(cat "$dir/port-sasl-tls")"
  fi
  settings >"$dir/server.properties"
  # shellcheck disable=SC2086 # the arguments are words on purpose
  java_run -XX:+UseSerialGC -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
    -t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')" -c "$dir/server.properties" \
    ${sasl:+--add-scram "SCRAM-SHA-256=[name=weir,password=$password]"} \
    ${sasl:+--add-scram "SCRAM-SHA-512=[name=weir,password=$password]"} >"$dir/log.txt" 2>&1 ||
    fail "the storage was not made: $(tail -n 5 "$dir/log.txt")"
}

# The classes of a first run, kept beside the jars, halve the time of the next ones. An archive fits one java only.
archive() {
  echo "$cache/classes-$(stat -L -c '%s-%Y' "$(command -v java)").jsa"
}

launch() {
  if [ -e "$(archive)" ]; then
    classes="-XX:SharedArchiveFile=$(archive)"
  else
    classes="-XX:ArchiveClassesAtExit=$dir/classes.jsa"
  fi
  setsid java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:disable "$classes" -cp "$cache/lib/*" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
    kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/log.txt" 2>&1 &
  echo $! >"$dir/pid"
}

# Metadata (version 1, of all topics) names the broker itself, and a leader for every partition.
answers() {
  python3 - "$(cat "$dir/port")" <<'PYTHON'
import socket, struct, sys
port = int(sys.argv[1])
try:
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        request = struct.pack(">hhih4si", 3, 1, 1, 4, b"weir", -1)
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        answer = stream.read(struct.unpack(">i", stream.read(4))[0])
except (OSError, struct.error):
    sys.exit(1)
at = 4
def take(form):
    global at
    values = struct.unpack_from(">" + form, answer, at)
    at += struct.calcsize(">" + form)
    return values[0]
def text():
    global at
    length = take("h")
    at += max(0, length)
brokers = take("i")
for _ in range(brokers):
    take("i"), text(), take("i"), text()
take("i")
faults = 0
for _ in range(take("i")):
    faults += take("h") != 0
    text(), take("b")
    for _ in range(take("i")):
        faults += take("h") != 0
        take("i"), take("i")
        for _ in range(2):
            count = take("i")
            at += 4 * count
sys.exit(0 if brokers == 1 and faults == 0 else 1)
PYTHON
}

read_arguments "--tls --sasl" "$@"
for program in java openssl python3; do
  command -v "$program" >/dev/null || fail "there is no $program; tools/install.sh kafka installs what is missing"
done
[ -d "$cache/lib" ] || fail "there is no $cache/lib; tools/install.sh kafka fetches it"
act
if [ -e "$dir/classes.jsa" ] && ! alive; then # written by java when it ended
  cp "$dir/classes.jsa" "$(archive).$$"
  mv "$(archive).$$" "$(archive)" # whole, for others that start now
  rm "$dir/classes.jsa"
fi
